"""Parameters of an experiment as options of `dvc exp run`, in the grammar of Hydra's overrides."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from faceage.core import repository
from faceage.core.dotted import flatten
from faceage.core.params import PATH, check
from faceage.core.script import UserError
from faceage.core.settings import Params

# An experiment runs in a folder of its own, so paths that are given become absolute, but for those
# of what its stages make.
FILES = ("data.source", "data.identity.model", "split.source", "weights")
MADE = ("data/sample", "data/faces.parquet")
SHOWN = 3  # differing parameters named in a message


def pair(item: str) -> tuple[str, str]:
    """Key and value of a `-S key=value` that was given; files become absolute paths."""
    key, equals, value = item.partition("=")
    if not equals:
        raise UserError(f"-S takes key=value, and was given {item}")
    given = key in FILES and value not in MADE and Path(value).exists()
    return key, str(Path(value).resolve()) if given else value


def options(values: Mapping[str, str]) -> list[str]:
    """`-S key=value` for each; values are as `hydra` writes them."""
    return [part for key, value in values.items() for part in ("-S", f"{key}={value}")]


def hydra(value: Any) -> str:
    """Write a value as Hydra reads it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{hydra(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(hydra, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)


def configured(options: Sequence[str]) -> Params:
    """What DVC makes of params.yaml with these options, by the library that it uses.

    Raises
    ------
    UserError
        If a parameter cannot be set, or params.yaml with it would not be valid.
    """
    from dvc.exceptions import DvcException  # noqa: PLC0415 (slow to load)
    from dvc.utils.hydra import apply_overrides  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(PATH, folder))
        try:
            apply_overrides(path, list(options[1::2]))
        except DvcException as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise UserError(f"a parameter cannot be set: {reason}") from None
        return check(yaml.safe_load(path.read_text()))


def refuse_others(wanted: Mapping[str, Params], finished: Mapping[str, str]) -> None:
    """Raise `UserError` if an experiment that has a wanted one's name had other parameters.

    Parameters
    ----------
    wanted, finished : parameters of the one and commits of the other, by name
    """
    for name in wanted.keys() & finished.keys():
        params = check(yaml.safe_load(repository.content_at(finished[name], PATH)))
        before, now = (dict(flatten(each.model_dump())) for each in (params, wanted[name]))
        other = [key for key, value in now.items() if before.get(key) != value]
        if other:
            raise UserError(
                f"the experiment {name} exists and had other parameters"
                f" ({', '.join(other[:SHOWN])}): `dvc exp remove {name}` to measure it anew"
            )
