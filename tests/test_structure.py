"""dvc.yaml against the code: dependencies, parameters, and the direction of imports."""

import ast
import dataclasses

import pytest
import yaml
from closure import SRC, imported_files

from faceage import params

STAGES = yaml.safe_load((SRC.parent / "dvc.yaml").read_text())["stages"]


@pytest.mark.parametrize("stage", STAGES)
def test_dependencies_are_the_files_that_the_stage_imports(stage):
    declared = {path for path in STAGES[stage]["deps"] if path.startswith("src/")}
    used = imported_files(SRC / f"{stage}.py")
    if stage == "report":
        used.add("src/faceage/reporting/templates")  # read, not imported
    assert declared == used


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_is_the_script_and_nothing_of_the_machine(stage):
    assert STAGES[stage]["cmd"] == f"python src/{stage}.py"


def views_loaded(stage: str) -> list[str]:
    """Names given to `load(...)` in the stage's script."""
    tree = ast.parse((SRC / f"{stage}.py").read_text())
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [
        argument.id
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "load"
        for argument in call.args
        if isinstance(argument, ast.Name)
    ]


@pytest.mark.parametrize("stage", STAGES)
def test_parameters_are_those_that_the_stage_declares(stage):
    views = views_loaded(stage)
    if not views:
        assert "params" not in STAGES[stage]
        return
    (view_name,) = views
    if view_name == "Params":
        # All of them: the file itself is the dependency.
        assert "params.yaml" in STAGES[stage]["deps"]
        return
    view = getattr(params, view_name)
    read = {field.name for field in dataclasses.fields(view)}
    assert read == set(STAGES[stage]["params"])


def test_the_library_gets_its_parameters_handed_in():
    for path in (SRC / "faceage").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "faceage.params":
                assert "load" not in {alias.name for alias in node.names}, path.name


def test_imports_run_one_way():
    """No circles in the library, and nothing in it imports a script."""
    graph = {
        str(path.relative_to(SRC.parent)): imported_files(path)
        - {str(path.relative_to(SRC.parent))}
        for path in SRC.rglob("*.py")
    }
    for path, imported in graph.items():
        for other in imported:
            assert path not in graph[other], f"{path} and {other} import each other"
        if "faceage/" in path:
            assert all("faceage/" in other for other in imported)


def test_folders_of_the_library_import_one_way():
    """Each imports from those before it, and from what all share: `src/faceage/*.py`."""
    order = ["sample", "photographs", "data", "learning", "evaluation", "explanation"]
    order += ["reporting", "use"]
    library = SRC / "faceage"
    assert {path.parent.name for path in library.glob("*/__init__.py")} == set(order)
    for place, folder in enumerate(order):
        for path in (library / folder).rglob("*.py"):
            for imported in imported_files(path):
                later = [name for name in order[place + 1 :] if f"faceage/{name}/" in imported]
                assert not later, f"{path.relative_to(SRC)} imports {imported}"
    for path in library.glob("*.py"):
        assert not any(
            f"faceage/{name}/" in other for name in order for other in imported_files(path)
        )


def test_the_report_does_not_retrain_the_model():
    report_only = imported_files(SRC / "report.py") - imported_files(SRC / "train.py")
    assert {"src/report.py", "src/faceage/reporting/figures.py"} <= report_only


def test_edits_of_one_stage_leave_the_costly_ones_alone():
    train = set(STAGES["train"]["deps"])
    others = ("data", "photographs/alignment", "evaluation", "explanation", "reporting", "use")
    for name in others:
        assert not any(path.startswith(f"src/faceage/{name}") for path in train)
