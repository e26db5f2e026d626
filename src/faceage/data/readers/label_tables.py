"""Tables of labels in a source: found, parsed whatever program wrote them, matched with files."""

import codecs
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import translate
from pathlib import PurePosixPath

import pandas as pd

from faceage.core.image_files import SUFFIXES, may_be_image
from faceage.core.script import UserError
from faceage.data.sources import Source

SEPARATORS = (",", ";", "\t", "|")
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def named(source: Source, pattern: str) -> list[str]:
    """Files of the source whose path, or name without folder, is matched by a glob."""
    fits = re.compile(translate(pattern.lower())).match
    return [
        name
        for name, lower in ((name, name.lower()) for name in source.names)
        if fits(lower) or fits(lower.rpartition("/")[2])
    ]


def header(source: Source, name: str) -> list[str]:
    """Columns of a table."""
    return list(_parsed(source, name, rows=0).columns)


def read(source: Source, names: Iterable[str]) -> pd.DataFrame:
    """Rows of several tables below each other, each once, as text without blanks around it."""
    tables = [_parsed(source, name) for name in names]
    rows = pd.concat(tables).fillna("").apply(lambda column: column.str.strip())
    return rows.drop_duplicates(ignore_index=True)


def _parsed(source: Source, name: str, rows: int | None = None) -> pd.DataFrame:
    text = _decoded(source.read(name))
    first_line = text.lstrip().partition("\n")[0]
    try:
        table = pd.read_csv(
            io.StringIO(text, newline=""),
            sep=max(SEPARATORS, key=first_line.count),
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
            index_col=False,
            nrows=rows,
        )
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except pd.errors.ParserError as error:
        raise UserError(f"{name} is no table: {' '.join(str(error).split())}") from None
    return table.rename(columns=str.strip)


def _decoded(content: bytes) -> str:
    encoding = next((MARKS[mark] for mark in MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return content.decode("latin-1")


def rows_of(listed: Sequence[str], names: Iterable[str]) -> dict[str, list[int]]:
    """Which places in a list are of which files; a file that is not listed is missing.

    A path and a listed path match if the shorter one is the end of the longer one. Listed paths may
    have backslashes, `./`, a root, or no ending. Where none matches so, because the files have been
    put into another folder since, names without folders are compared.
    """
    wanted = [_parts(path) for path in listed]
    found = {name: _parts(name) for name in names if may_be_image(name)}
    matched = _matched(wanted, found)
    return matched or _matched([path[-1:] for path in wanted], found)


def _parts(path: str) -> tuple[str, ...]:
    plain = re.sub(r"^[A-Za-z]:", "", path.strip().replace("\\", "/"))
    return tuple(part for part in plain.split("/") if part not in ("", ".", ".."))


def _matched(
    listed: Sequence[tuple[str, ...]], found: Mapping[str, tuple[str, ...]]
) -> dict[str, list[int]]:
    whole, ends = defaultdict(list), defaultdict(list)
    for row, path in enumerate(listed):
        whole[path].append(row)
        for start in range(1, len(path)):
            ends[path[start:]].append(row)
    matched = {}
    for name, path in found.items():
        rows = []
        for spelled in _spellings(path):
            rows += ends.get(spelled, [])
            rows += [row for at in range(len(path)) for row in whole.get(spelled[at:], [])]
        if rows:
            matched[name] = sorted(set(rows))
    return matched


def _spellings(path: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The path, and the path without an image's ending."""
    last = PurePosixPath(path[-1])
    if last.suffix.lower() not in SUFFIXES:
        return [path]
    return [path, (*path[:-1], last.stem)]
