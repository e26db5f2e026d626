"""What earlier stages stored, held against the hashes that dvc.lock has of it before it is read.

DVC trusts what lies in its cache and looks at times and sizes of files elsewhere: it does not see a
bit that turned over on the disk, and the next stage would compute something else of it.
"""

import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceage.core import hashing, repository
from faceage.core.inputs import BY_DVC
from faceage.core.script import UserError

if TYPE_CHECKING:
    import pandas as pd

ENTRIES = Path(".dvc/cache/files/md5")


def check(path: Path) -> None:
    """Compare a stage's output with what dvc.lock says of it; nothing where it says nothing.

    A script that was started by hand says on standard error what differs, and goes on: the stage
    before it may have been started by hand too.

    Raises
    ------
    UserError
        If it is another in a stage that DVC runs: it is damaged.
    """
    if not path.exists():
        return
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    state = tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    name = Path(os.path.relpath(path)).as_posix()
    message = _objection(name, state, Path.cwd())
    if message and BY_DVC in os.environ:
        raise UserError(f"{message}: it is damaged; {remedy(name)}")
    if message:
        _say_once(f"{message}: it is of a run without DVC, or damaged")


def read_json(path: Path) -> dict[str, Any]:
    """Content of a JSON object that a stage wrote.

    Raises
    ------
    UserError
        If it is damaged.
    """
    check(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise damaged(path)
    return content


def read_csv(path: Path, **options: Any) -> "pd.DataFrame":
    """A table that a stage wrote; `options` are those of pandas.

    Raises
    ------
    UserError
        If it is damaged.
    """
    import pandas as pd  # noqa: PLC0415 (slow to load)
    from pandas.errors import EmptyDataError, ParserError  # noqa: PLC0415

    check(path)
    try:
        table = pd.read_csv(path, **options)
    except (EmptyDataError, ParserError, UnicodeDecodeError):
        raise damaged(path) from None
    if not isinstance(table.index, pd.RangeIndex):  # fields without a column become an index
        raise damaged(path)
    return table


def damaged(path: Path) -> UserError:
    """The error for a file that cannot be read."""
    return UserError(f"{path} is damaged: {remedy(path.as_posix())}")


def remedy(name: str) -> str:
    """The command that has DVC write a stage's output again, not out of its cache if that is it."""
    _, md5 = _locked().get(name, ("", ""))
    entry = repository.root() / ENTRIES / md5[:2] / md5[2:]
    files = [name]
    if md5 and entry.is_file() and hashing.md5(entry) != md5:
        files.append(os.path.relpath(entry))
    return f"`rm -r {' '.join(files)} && dvc repro` makes it anew"


@cache
def _objection(name: str, _state: tuple[tuple[str, int, int], ...], _folder: Path) -> str:
    """What is wrong with a file, empty if nothing; asked once for each state of it."""
    stage, md5 = _locked().get(name, ("", ""))
    if not md5 or hashing.md5(Path(name)) == md5:
        return ""
    return f"{name} is not what {stage} wrote, by its hash in dvc.lock"


@cache
def _say_once(message: str) -> None:
    print(f"note: {message}", file=sys.stderr)


def _locked() -> dict[str, tuple[str, str]]:
    """Stage and MD5 of each output in dvc.lock, by path."""
    lock = Path("dvc.lock")
    return _outputs(Path.cwd(), lock.stat().st_mtime_ns if lock.exists() else 0)


@cache
def _outputs(_folder: Path, _time: int) -> dict[str, tuple[str, str]]:
    return {
        out["path"]: (stage, out.get("md5", ""))
        for stage, content in repository.locked_stages().items()
        for out in content.get("outs", [])
    }
