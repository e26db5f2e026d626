"""What the stage that DVC runs depends on: whether it is still what it was when the stage began.

DVC looks at dependencies and parameters once more when a stage has ended, and writes what it finds
into dvc.lock. What somebody edits meanwhile would count as what the stage has read.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from faceage.core.dotted import filled, flatten
from faceage.core.image_files import is_leftover

# DVC sets it for the commands of stages, whose inputs it has found to be those of dvc.lock.
BY_DVC = "DVC_STAGE"
PIPELINE, PARAMS = Path("dvc.yaml"), Path("params.yaml")
State = dict[str, object]


def state() -> State:
    """Time and size of each file that the stage depends on, and the value of each parameter.

    Nothing where DVC runs no stage, for then nobody writes down what was read.
    """
    name, _, item = os.environ.get(BY_DVC, "").partition("@")
    if not name:
        return {}
    try:
        stages = yaml.safe_load(PIPELINE.read_text())["stages"]
        values = dict(flatten(yaml.safe_load(PARAMS.read_text())))
        return _state(stages[name], item, values) if name in stages else {}
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return {f"{PIPELINE} or {PARAMS}": "in the middle of an edit"}


def changed(before: State) -> list[str]:
    """Files and parameters of a `state` that came since, went, or are others now."""
    now = state()
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _state(stage: dict[str, Any], item: str, values: dict[str, Any]) -> State:
    if item:
        values = values | _of_item(stage["foreach"].strip("${}"), item, values)
        stage = stage["do"]

    found: State = {}
    for dep in stage.get("deps", []):
        found |= dict(_files(Path(filled(dep, values))))
    for param in stage.get("params", []):
        key = filled(param, values)
        own = (known for known in values if known == key or known.startswith(f"{key}."))
        found |= {f"{PARAMS}: {known}": values[known] for known in own}
    return found


def _of_item(group: str, item: str, values: dict[str, Any]) -> dict[str, Any]:
    """What `foreach` lets a stage say for one of several: key, and item with what is in it."""
    prefix = f"{group}.{item}."
    own = {key: value for key, value in values.items() if key.startswith(prefix)}
    return {"key": item} | {f"item.{key.removeprefix(prefix)}": own[key] for key in own}


def _files(path: Path) -> Iterator[tuple[str, tuple[int, int] | None]]:
    """The file, or those below the folder but for byte code and what programs leave behind."""
    files = [str(path)]
    if path.is_dir():
        walked = os.walk(path)
        files = [os.path.join(folder, name) for folder, _, names in walked for name in names]  # noqa: PTH118 (of tens of thousands)
        files = [name for name in files if not is_leftover(os.path.relpath(name, path))]
    for name in files:
        if "__pycache__" not in name:
            yield name, _time_and_size(name)


def _time_and_size(name: str) -> tuple[int, int] | None:
    try:
        info = os.stat(name)  # noqa: PTH116
    except OSError:
        return None
    return info.st_mtime_ns, info.st_size
