"""dvc.yaml against the code: rooms, parameters, and the direction of imports."""

import ast
from pathlib import Path

import pytest
import yaml
from closure import SRC, imported_files

from faceage.core import params

# Of a stage for each of several sources, what it does for one.
STAGES = {
    name: stage.get("do", stage)
    for name, stage in yaml.safe_load((SRC.parent / "dvc.yaml").read_text())["stages"].items()
}
SCRIPTS = {stage: content["cmd"].split()[1] for stage, content in STAGES.items()}
LIBRARY = SRC / "faceage"
# Each imports from those before it.
ROOMS = ["core", "tracking", "sample", "detection", "data", "networks", "cleaning", "training"]
ROOMS += ["pretraining", "evaluation", "explanation", "experiments", "reporting", "inference"]


def rooms(stage: str) -> set[str]:
    """Rooms of the library that the stage declares."""
    return {Path(dep).name for dep in STAGES[stage]["deps"] if dep.startswith("src/faceage/")}


def stages_after_an_edit_of(path: str) -> list[str]:
    """Stages that DVC runs when this file of src/ has changed and no stage's output has."""
    return [
        stage
        for stage, content in STAGES.items()
        if any(path == dep or path.startswith(f"{dep}/") for dep in content["deps"])
    ]


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_imports_lies_in_the_rooms_that_it_declares(stage):
    used = imported_files(SRC.parent / SCRIPTS[stage]) - {"src/faceage/__init__.py"}
    declared = [dep for dep in STAGES[stage]["deps"] if dep.startswith("src/")]
    for path in used:
        assert any(path == dep or path.startswith(f"{dep}/") for dep in declared), path
    for dep in declared:
        assert any(path == dep or path.startswith(f"{dep}/") for path in used), f"{dep} is unused"


def test_rooms_are_the_only_place_for_code():
    """The package itself, which every stage imports and none declares, holds a docstring."""
    assert [path.name for path in LIBRARY.glob("*.py")] == ["__init__.py"]
    assert len(ast.parse((LIBRARY / "__init__.py").read_text()).body) == 1
    assert {path.parent.name for path in LIBRARY.glob("*/__init__.py")} == set(ROOMS)


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_is_the_script_and_nothing_of_the_machine(stage):
    own = {
        "external": "python src/evaluate_on.py --name ${key}",
        "sources": "python src/sources.py ${key}",
    }
    assert STAGES[stage]["cmd"] == own.get(stage, f"python src/{stage}.py")


@pytest.mark.parametrize(
    "path",
    [
        "charts/ages.py",
        "figures.py",
        "templates/chapters/data.html.j2",
        "templates/model_card.md.j2",
    ],
)
def test_an_edit_of_a_figure_a_chapter_or_a_card_runs_report_alone(path):
    assert (LIBRARY / "reporting" / path).is_file()
    assert stages_after_an_edit_of(f"src/faceage/reporting/{path}") == ["report"]


def test_an_edit_of_a_metric_does_not_train():
    assert (LIBRARY / "evaluation/metrics.py").is_file()
    assert stages_after_an_edit_of("src/faceage/evaluation/metrics.py") == [
        "evaluate",
        "external",
        "publish",
    ]


@pytest.mark.parametrize("path", ["serving/app.py", "onnx_export.py", "batch_prediction.py"])
def test_an_edit_of_the_server_of_onnx_or_of_predict_runs_publish_alone(path):
    assert (LIBRARY / "inference" / path).is_file()
    assert stages_after_an_edit_of(f"src/faceage/inference/{path}") == ["publish"]


@pytest.mark.parametrize(
    ("room", "stages"),
    [
        ("data", {"check", "sources", "ingest", "split", "external"}),
        (
            "networks",
            {"check", "label_issues", "train", "evaluate", "external", "explain", "publish"},
        ),
        ("training", {"check", "train"}),
        ("detection", {"check", "ingest", "evaluate", "external"}),
        ("cleaning", {"label_issues"}),
        ("evaluation", {"evaluate", "external", "publish"}),
    ],
)
def test_a_new_file_of_a_room_is_watched_without_an_edit_of_dvc_yaml(room, stages):
    """A loss, a target, a transform, a reader or a metric is a file or a line in its room."""
    assert set(stages_after_an_edit_of(f"src/faceage/{room}/something_new.py")) == stages


def test_training_does_not_wait_for_label_issues():
    train = STAGES["train"]["deps"]
    assert not set(STAGES["label_issues"]["outs"]) & set(train)
    assert "${train.split}" in train
    content = yaml.safe_load((SRC.parent / "params.yaml").read_text())
    assert content["train"]["split"] in STAGES["split"]["outs"]


def test_every_plot_that_dvc_shows_has_been_asked_for():
    """It shows each file among the plots of a stage; if it is told no more, the last column."""
    shown = [plot for stage in STAGES.values() for plot in stage.get("plots", [])]
    for plot in shown:
        ((path, asked),) = plot.items()
        assert {"title", "x", "y"} <= set(asked), path
    shown += yaml.safe_load((SRC.parent / "dvc.yaml").read_text())["plots"]
    assert len(shown) <= 8


def views_loaded(stage: str) -> set[str]:
    """Names given to `load(...)` in the stage's script."""
    tree = ast.parse((SRC.parent / SCRIPTS[stage]).read_text())
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {
        argument.id
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "load"
        for argument in call.args
        if isinstance(argument, ast.Name)
    }


@pytest.mark.parametrize("stage", STAGES)
def test_parameters_are_those_that_the_stage_declares(stage):
    # Whether a stage logs is no parameter of what it computes: see TrackingParams.
    views = views_loaded(stage) - {"TrackingParams"}
    if not views:
        assert "params" not in STAGES[stage]
        return
    (view_name,) = views
    if view_name == "Params":
        # All of them: the file itself is the dependency.
        assert "params.yaml" in STAGES[stage]["deps"]
        return
    view = getattr(params, view_name)
    declared = {name.split(".")[0] for name in STAGES[stage]["params"]}
    assert set(view.model_fields) == declared


def test_where_a_run_is_logged_is_a_parameter_of_publish_alone():
    watching = [name for name, stage in STAGES.items() if "tracking" in stage.get("params", [])]
    assert watching == ["publish"]


def test_the_library_gets_its_parameters_handed_in():
    for path in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "faceage.core.params":
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


def test_rooms_import_one_way():
    for place, room in enumerate(ROOMS):
        for path in (LIBRARY / room).rglob("*.py"):
            for imported in imported_files(path):
                later = [name for name in ROOMS[place + 1 :] if f"faceage/{name}/" in imported]
                assert not later, f"{path.relative_to(SRC)} imports {imported}"
