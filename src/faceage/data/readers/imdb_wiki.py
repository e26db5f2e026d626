"""IMDB-WIKI: dates of birth and years of photographs, in a .mat file and in the files' names."""

import io
import math
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np

from faceage.core.reasons import Reason
from faceage.core.settings import Data, Grouping
from faceage.data.readers import label_tables
from faceage.data.readers.base import Labels, NoLabel, NotThisLayout, Reader
from faceage.data.sources import Source

NAME = re.compile(
    r"(?P<person>(?:nm)?\d+)_(?:rm\d+_)?(?P<born>\d{1,4}-\d{1,2}-\d{1,2})_(?P<taken>\d{4})\.\w+"
)
# Matlab counts days from the year 0, Python from the year 1.
MATLAB_DAYS = 366
MAX_BYTES = 2**30  # of imdb.mat: half a million rows


def person(name: str) -> str | None:
    """Who is on a photograph, by its file's name."""
    said = NAME.fullmatch(name.rpartition("/")[2])
    return said and f"imdb_wiki/{said['person']}"


class ImdbWiki(Reader):
    """Ages on the first of July of the year of the photograph, of which no more is known.

    With imdb.mat or wiki.mat, photographs in which the set's authors found no face or a second one
    are put aside, and there is a gender. Without, the ages come from the names.
    """

    layout = "imdb_wiki"
    shown = "wiki.mat and 17/10000217_1981-05-05_2009.jpg"
    certain = True

    def __init__(self, source: Source, data: Data, groupings: Mapping[str, Grouping]) -> None:
        tables = label_tables.named(source, "imdb.mat") + label_tables.named(source, "wiki.mat")
        self.images = [name for name in source.names if name not in tables]
        self.rows = [row for name in tables for row in _rows(source.read(name, MAX_BYTES))]
        if not self.rows and not any(map(person, self.images)):
            raise NotThisLayout(f"data.layout: no {self.shown} in {data.source}")
        listed = [row["full_path"] for row in self.rows]
        self.rows_of = label_tables.rows_of(listed, self.images) if self.rows else {}

    @property
    def absent(self) -> list[str]:
        found = {row for rows in self.rows_of.values() for row in rows}
        return sorted(row["full_path"] for at, row in enumerate(self.rows) if at not in found)

    def labels(self, name: str) -> Labels:
        if not self.rows:
            return Labels(age=_age_by_name(name), identity=person(name))
        if name not in self.rows_of:
            raise NoLabel(Reason.UNLISTED, "in the .mat file")
        row = self.rows[self.rows_of[name][0]]
        if not math.isfinite(row["face_score"]):
            raise NoLabel(Reason.SET_ASIDE, "no face")
        if not math.isnan(row["second_face_score"]):
            raise NoLabel(Reason.SET_ASIDE, "a second face")
        if row["dob"] <= MATLAB_DAYS:
            raise NoLabel(Reason.UNPARSEABLE, "no date of birth")
        born = date.fromordinal(int(row["dob"]) - MATLAB_DAYS)
        women_are_0 = row["gender"]
        gender = None if math.isnan(women_are_0) else 1 - int(women_are_0)
        age = _age(born, int(row["photo_taken"]))
        return Labels(age=age, gender=gender, identity=person(name))


def _rows(content: bytes) -> list[dict[str, Any]]:
    """Rows of the table in a .mat file; its one variable is a structure of equally long fields."""
    from scipy.io import loadmat  # noqa: PLC0415 (few need it, and it is slow to load)

    variables = loadmat(io.BytesIO(content), simplify_cells=True)
    table = next(value for name, value in variables.items() if not name.startswith("__"))
    fields = ("full_path", "dob", "photo_taken", "gender", "face_score", "second_face_score")
    columns = [np.atleast_1d(table[field]).tolist() for field in fields]
    return [dict(zip(fields, row, strict=True)) for row in zip(*columns, strict=True)]


def _age_by_name(name: str) -> int:
    said = NAME.fullmatch(name.rpartition("/")[2])
    if said is None:
        raise NoLabel(Reason.UNPARSEABLE)
    try:
        born = date(*(int(part) for part in said["born"].split("-")))
    except ValueError:
        raise NoLabel(Reason.UNPARSEABLE, f"{said['born']} is no date of birth") from None
    return _age(born, int(said["taken"]))


def _age(born: date, year: int) -> int:
    """Whole years on the first of July."""
    age = year - born.year - ((born.month, born.day) > (7, 1))
    if age < 0:
        raise NoLabel(Reason.UNPARSEABLE, f"photographed in {year}, born in {born.year}")
    return age
