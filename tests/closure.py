"""Which files of src/ a script imports, all the way down: DVC does not follow imports, tests do."""

import ast
import re
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"


def imported_files(script: Path) -> set[str]:
    """Paths, relative to the repository, of the script and every project file that it imports."""
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [file for name in _imported_names(path) for file in _files(name)]
    return {str(path.relative_to(SRC.parent)) for path in found}


def required_packages(script: Path) -> set[str]:
    """Packages that pip installs, by their normalised names, that the same files import."""
    files = (SRC.parent / name for name in imported_files(script))
    modules = {name.split(".")[0] for path in files for name in _imported_names(path)}
    installed = packages_distributions()
    packages = (
        module if module in installed[module] else installed[module][0]
        for module in modules - sys.stdlib_module_names
        if module in installed
    )
    return {re.sub("[-_.]+", "-", name).lower() for name in packages}


@cache
def _imported_names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@cache
def _files(name: str) -> list[Path]:
    """Project files that importing the dotted `name` executes: the module and its packages."""
    parts = name.split(".")
    modules = [SRC.joinpath(*parts).with_suffix(".py")]
    packages = [SRC.joinpath(*parts[: n + 1], "__init__.py") for n in range(len(parts))]
    return [path for path in modules + packages if path.is_file()]
