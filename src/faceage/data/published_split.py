"""A split that somebody published: a CSV with the columns path and split, used as it is."""

from collections.abc import Iterable
from pathlib import Path, PurePath

import pandas as pd

from faceage.core.contracts import SPLITS
from faceage.core.script import UserError

SHOWN = 3  # named in a message


def look_up(path: Path, faces: pd.DataFrame) -> pd.Series:
    """The split that a CSV gives to each face; rows of files that are not used are counted aloud.

    A row names a file as a table of labels does: by its path in data.source or without its folder.

    Parameters
    ----------
    faces : column `path`, the file's in data.source

    Returns
    -------
    Series of split names, index as `faces`.

    Raises
    ------
    UserError
        If the CSV is none, names a split that there is not, or lists a face twice or not at all.
    """
    table = _read(path)
    unknown = table[~table["split"].isin(SPLITS)]
    _refuse(path, unknown["split"], f"are in a split that is none of {', '.join(SPLITS)}")

    split_of = dict(zip(table["path"], table["split"], strict=True))
    names = [_listed_as(name, split_of) for name in faces["path"]]
    rows_of = table["path"].value_counts()
    rows = [sum(rows_of[name] for name in listed) for listed in names]
    listed_twice = [face for face, count in zip(faces["path"], rows, strict=True) if count > 1]
    _refuse(path, listed_twice, "are listed more than once")
    absent = [face for face, count in zip(faces["path"], rows, strict=True) if not count]
    _refuse(path, absent, "are not listed: add them, or leave them out of the data")

    unused = len(table) - len({name for listed in names for name in listed})
    if unused:
        print(f"{unused} of {len(table)} rows name files that are not used: data/rejected.csv")
    return pd.Series([split_of[listed[0]] for listed in names], index=faces.index)


def _read(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"split.source: there is no file {path}") from None
    except ValueError as error:  # pandas' own errors and those of decoding
        raise UserError(f"split.source: {path} is no CSV ({error})") from None
    lacking = [name for name in ("path", "split") if name not in table]
    if lacking:
        raise UserError(
            f"split.source: {path} has no column {' and '.join(lacking)}; it has"
            f" {', '.join(map(str, table))}"
        )
    return table


def _listed_as(name: str, split_of: dict[str, str]) -> list[str]:
    """The names, of the two that it may have, under which a file is listed."""
    return [key for key in dict.fromkeys((name, PurePath(name).name)) if key in split_of]


def _refuse(path: Path, wrong: Iterable[str], what: str) -> None:
    found = list(wrong)
    if found:
        first = ", ".join(repr(name) for name in list(dict.fromkeys(found))[:SHOWN])
        raise UserError(f"split.source: in {path} {len(found)} faces {what}, first {first}")
