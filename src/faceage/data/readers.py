"""Where a source keeps its labels: a reader for each layout, by name in `READERS`.

A fourth layout is a fourth subclass of `Reader` in this file.
"""

import csv
import io
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import ClassVar

from faceage.core import utkface
from faceage.core.reasons import Reason
from faceage.core.script import UserError
from faceage.core.settings import Data, Grouping
from faceage.data.sources import Source

# A layout is recognised where this share of the images have a label in it.
RECOGNISED = 0.5
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


@dataclass(frozen=True)
class Labels:
    """What a source says of a face; `None` where it says nothing usable.

    age in years, or age_class, the name of an age group; gender and race: codes as in `utkface`;
    taken: when, in seconds.
    """

    age: int | None = None
    age_class: str | None = None
    gender: int | None = None
    race: int | None = None
    taken: float | None = None


class NoLabel(Exception):
    """A file has no usable label; the text adds to the reason."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason


class Reader(ABC):
    """Labels of the files of one source."""

    layout: ClassVar[str]
    shown: ClassVar[str]  # what the layout records like, for messages

    def __init__(self, source: Source, data: Data, groupings: Mapping[str, Grouping]) -> None:
        self.images = source.names

    @property
    def absent(self) -> Sequence[str]:
        """Names that the source lists and has no file of."""
        return ()

    @property
    def found(self) -> int:
        """How many images the source has or lists."""
        return len(self.images) + len(self.absent)

    @abstractmethod
    def labels(self, name: str) -> Labels:
        """Labels of a file of the source; raises `NoLabel`."""

    @cached_property
    def share(self) -> float:
        """Share of the images that are labelled."""
        images = [name for name in self.images if name.lower().endswith(IMAGES)]
        return sum(self._is_labelled(name) for name in images) / max(1, len(images))

    def _is_labelled(self, name: str) -> bool:
        try:
            self.labels(name)
        except NoLabel:
            return False
        return True


class UTKFace(Reader):
    """Labels in the file name."""

    layout = "utkface"
    shown = "26_1_0_20170116174525125.jpg"

    def labels(self, name: str) -> Labels:
        name = name.rpartition("/")[2]
        labels = utkface.parse(name)
        if labels is None:
            raise NoLabel(Reason.UNPARSEABLE)
        return Labels(labels.age, None, labels.gender, labels.race, utkface.taken(name))


class AgeFolders(Reader):
    """The age is the name of the folder that the file is in."""

    layout = "age_folders"
    shown = "26/anything.jpg or 026/anything.jpg"

    def labels(self, name: str) -> Labels:
        folder = PurePath(name).parent.name
        if not re.fullmatch(r"[0-9]{1,3}", folder):
            raise NoLabel(Reason.UNPARSEABLE, f"folder {folder!r} is no age")
        return Labels(age=int(folder))


class Csv(Reader):
    """A table in the source gives file names and ages, or file names and classes."""

    layout = "csv"
    shown = "labels.csv with a line for each image"

    def __init__(self, source: Source, data: Data, groupings: Mapping[str, Grouping]) -> None:
        settings = data.csv
        table, rows = _only_table(source, settings.name, settings.label)
        self.table = table
        self.classes = {name.lower(): name for name in groupings[settings.classes].names}
        self.images = [name for name in source.names if name != table]
        self.label_of = {row[settings.name]: row[settings.label].strip() for row in rows}
        listed = Counter(row[settings.name] for row in rows)
        self.twice = {name for name, count in listed.items() if count > 1}
        self.grouping = settings.classes

    @property
    def absent(self) -> Sequence[str]:
        known = {self._listed_as(name) for name in self.images}
        return sorted(set(self.label_of) - known)

    def labels(self, name: str) -> Labels:
        listed = self._listed_as(name)
        if listed is None:
            raise NoLabel(Reason.UNLISTED, f"in {self.table}")
        if listed in self.twice:
            raise NoLabel(Reason.LISTED_TWICE, f"in {self.table}")
        label = self.label_of[listed]
        if re.fullmatch(r"[0-9]{1,3}(\.0*)?", label):
            return Labels(age=int(float(label)))
        if label.lower() not in self.classes:
            raise NoLabel(Reason.UNKNOWN_CLASS, f"{label!r}, no age and not in {self.grouping}")
        return Labels(age_class=self.classes[label.lower()])

    def _listed_as(self, name: str) -> str | None:
        """A table names a file by its path in the source or without its folder."""
        path = PurePath(name)
        return next((key for key in (name, path.name) if key in self.label_of), None)


READERS: dict[str, type[Reader]] = {reader.layout: reader for reader in (UTKFace, AgeFolders, Csv)}


def choose(source: Source, data: Data, groupings: Mapping[str, Grouping]) -> Reader:
    """The reader that `data.layout` names; for `auto`, that of the layout that is found.

    Raises
    ------
    UserError
        If no layout is found, or what the layout needs is missing.
    """
    if data.layout != "auto":
        return READERS[data.layout](source, data, groupings)
    if any(name.lower().endswith(".csv") for name in source.names):
        return Csv(source, data, groupings)
    readers = [READERS[layout](source, data, groupings) for layout in ("utkface", "age_folders")]
    best = max(readers, key=lambda reader: reader.share)
    if best.share < RECOGNISED:
        known = "; ".join(f"{reader.layout}, {reader.shown}" for reader in READERS.values())
        raise UserError(
            f"data.layout: none is found in {data.source} ({best.share:.0%} of the images are"
            f" labelled as in {best.layout}); known: {known}; name one to use what it finds"
        )
    return best


def _only_table(source: Source, name: str, label: str) -> tuple[str, list[dict[str, str]]]:
    tables = [path for path in source.names if path.lower().endswith(".csv")]
    if len(tables) != 1:
        found = ", ".join(tables) or "none"
        raise UserError(f"data.layout: csv takes one .csv in data.source, and there is {found}")
    text = source.read(tables[0]).decode("utf-8-sig", "replace")
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
    rows = list(reader)
    columns = reader.fieldnames or []
    for key, column in (("name", name), ("label", label)):
        if column not in columns:
            raise UserError(
                f"data.csv.{key}: {tables[0]} has no column {column!r}; it has"
                f" {', '.join(columns) or 'none'}"
            )
    return tables[0], rows
