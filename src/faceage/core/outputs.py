"""Outputs appear whole or not at all: written beside their place, then renamed into it.

What a killed process had begun to write, `.NAME.PROCESS.part`, is removed by the next one that
writes there; git and DVC pass over it.
"""

import glob
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from faceage.core import processes


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path; on success rename it to `path`, on failure remove it.

    What the system refuses is an `OSError`, also where a library made something else of it.
    """
    path = Path(path)
    part = _part_of(path)
    try:
        yield part
        if path.is_dir():
            shutil.rmtree(path)
        part.replace(path)
    except Exception as error:
        refused = _of_the_system(error)
        if refused is None:
            raise
        # A failed write names no file of its own: the message to the user should.
        refused.filename = refused.filename or str(path)
        raise refused from None
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder; on success it takes the place of `path`, on failure it goes."""
    path = Path(path)
    part = _part_of(path)
    part.mkdir()
    try:
        yield part
        if path.is_file():
            path.unlink()
        shutil.rmtree(path, ignore_errors=True)
        part.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _of_the_system(error: Exception) -> OSError | None:
    """What the operating system refused; None where it was something else.

    torch.save says that it is at another place of the file than it thought, with the cause in the
    error's context; safetensors has the cause in its text, as Rust says it.
    """
    found: BaseException | None = error
    while isinstance(found, RuntimeError):
        found = found.__cause__ or found.__context__
    if isinstance(found, OSError):
        return found
    said = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(said[1]), os.strerror(int(said[1]))) if said else None


def _part_of(path: Path) -> Path:
    """Where this process writes what is to become `path`, cleared of what killed ones left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        pid = part.suffixes[-2].removeprefix(".")
        # In a container the next process may have the number of the killed one.
        if pid.isdigit() and (int(pid) == os.getpid() or not processes.runs(int(pid))):
            shutil.rmtree(part, ignore_errors=True)
            part.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write `content` as indented JSON, floats with 6 digits so that diffs stay readable."""
    with atomic_write(path) as part:
        part.write_text(json.dumps(rounded(content), indent=2) + "\n")


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write `table` without its index, floats with 6 significant digits."""
    with atomic_write(path) as part:
        table.to_csv(part, index=False, float_format="%.6g", lineterminator="\n")


def write_rows(path: str | Path, table: pd.DataFrame) -> None:
    """Write `table` as a JSON list, a row in each line, floats with 6 significant digits.

    What is missing is null, as JSON has no other word for it.
    """
    rows = records(table)
    lines = ",\n".join(json.dumps(rounded(row), allow_nan=False) for row in rows)
    with atomic_write(path) as part:
        part.write_text(f"[\n{lines}\n]\n" if rows else "[]\n")


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as JSON has them: what is missing is None."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def rounded(value: Any) -> Any:
    """A value of JSON with its floats at 6 significant digits, as they are written."""
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return value
