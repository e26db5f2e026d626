"""Layouts that keep the labels in tables beside the images."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import pandas as pd

from faceage.core.reasons import Reason
from faceage.core.settings import Data, Grouping
from faceage.data.readers import label_tables, values
from faceage.data.readers.base import Labels, NoLabel, NotThisLayout, Reader, implausible
from faceage.data.readers.imdb_wiki import person
from faceage.data.sources import Source


class Listed(Reader):
    """A line of a table for each image; all tables of the source that have the columns are read.

    tables: glob of their names; columns: those by which they are known, the first with the names of
    the images.
    """

    tables: ClassVar[str] = "*.csv"
    columns: tuple[str, ...] = ()
    age: str = "age"  # column
    certain = True

    def __init__(self, source: Source, data: Data, groupings: Mapping[str, Grouping]) -> None:
        wanted = data.csv.file or self.tables
        known = [
            name
            for name in label_tables.named(source, wanted)
            if set(self.columns) <= set(label_tables.header(source, name))
        ]
        if not known:
            raise NotThisLayout(
                f"data.layout: {self.layout} takes a table with the columns"
                f" {', '.join(self.columns)}, and no {wanted} in {data.source} has them"
            )
        self._read(source, known)

    def _read(self, source: Source, tables: list[str]) -> None:
        self.named = " and ".join(tables) if len(tables) < 3 else f"{len(tables)} tables"
        self.images = [name for name in source.names if name not in tables]
        self.rows = label_tables.read(source, tables)

    def listed(self) -> list[str]:
        """The images' names as the table has them, row by row."""
        return self.rows[self.columns[0]].tolist()

    def key(self, name: str) -> str:
        """What of a file's name the table has."""
        return name

    def labels_of(self, row: Mapping[str, str]) -> Labels:
        """Labels in a row of the table; raises `NoLabel`."""
        said = values.exact_age(row[self.age]) or values.age_band(row[self.age])
        if said is None:
            raise NoLabel(Reason.UNPARSEABLE, f"{row[self.age]!r} is no age")
        race = values.race(row.get("race", ""))
        return Labels(**said, gender=values.gender(row.get("gender", "")), race=race)

    def labels(self, name: str) -> Labels:
        rows = self._rows_of.get(name, [])
        if not rows:
            raise NoLabel(Reason.UNLISTED, f"in {self.named}")
        if len(rows) > 1:
            raise NoLabel(Reason.LISTED_TWICE, f"in {self.named}")
        if self._files_of[rows[0]] > 1:
            raise NoLabel(Reason.AMBIGUOUS, f"in {self.named}")
        return self.labels_of(self._records[rows[0]])

    @property
    def absent(self) -> Sequence[str]:
        names = self.listed()
        return sorted({names[row] for row in range(len(names)) if row not in self._files_of})

    @cached_property
    def _rows_of(self) -> dict[str, list[int]]:
        keys = {name: self.key(name) for name in self.images}
        rows = label_tables.rows_of(self.listed(), set(keys.values()))
        return {name: rows[key] for name, key in keys.items() if key in rows}

    @cached_property
    def _files_of(self) -> Counter[int]:
        return Counter(row for rows in self._rows_of.values() for row in rows)

    @cached_property
    def _records(self) -> list[dict[str, str]]:
        return self.rows.to_dict("records")


class Csv(Listed):
    """A table gives file names, and ages, bands of ages or names of classes."""

    layout = "csv"
    shown = "labels.csv with a line for each image"
    tables = "*.[ct]sv"
    certain = False

    def __init__(self, source: Source, data: Data, groupings: Mapping[str, Grouping]) -> None:
        settings = data.csv
        self.columns, self.age = (settings.name, settings.label), settings.label
        self.classes = {name.lower(): name for name in groupings[settings.classes].names}
        self.grouping = settings.classes
        self._read(source, self._lists(source, data))

    def _lists(self, source: Source, data: Data) -> list[str]:
        """The one table that has both columns, or those that `data.csv.file` names."""
        tables = label_tables.named(source, data.csv.file or self.tables)
        columns = {name: label_tables.header(source, name) for name in tables}
        lists = [name for name in tables if set(self.columns) <= set(columns[name])]
        if len(lists) == 1 or (lists and data.csv.file):
            return lists
        if lists:
            raise NotThisLayout(
                f"data.csv.file: {', '.join(lists)} are label lists; name one, or several by a"
                f" pattern: -S data.csv.file={lists[0]} or -S 'data.csv.file=\"*.csv\"'"
            )
        if not tables:
            raise NotThisLayout(
                f"data.layout: csv takes a .csv in data.source, and there is no"
                f" {data.csv.file or 'such file'} in {data.source}"
            )
        has = columns[tables[0]]
        key = "label" if data.csv.name in has else "name"
        raise NotThisLayout(
            f"data.csv.{key}: {tables[0]} has no column {getattr(data.csv, key)!r}; it has"
            f" {', '.join(has) or 'none'}; name the one: -S data.csv.{key}=COLUMN"
        )

    @property
    def objection(self) -> str:
        return implausible(self.labelled)

    def labels_of(self, row: Mapping[str, str]) -> Labels:
        text = row[self.age]
        said = values.exact_age(text)
        group = self.classes.get(text.lower())
        if said is None and group is None:
            said = values.age_band(text)
        if said is None and group is None:
            raise NoLabel(Reason.UNKNOWN_CLASS, f"{text!r}, no age and not in {self.grouping}")
        gender = values.gender(row.get("gender", ""))
        race = values.race(row.get("race", ""))
        return Labels(**(said or {"age_class": group}), gender=gender, race=race)


class AppaReal(Listed):
    """Real ages; the faces that the set has cut out are taken where there are any."""

    layout = "appa_real"
    shown = "gt_avg_train.csv and train/000000.jpg_face.jpg"
    tables = "gt_avg_*.csv"
    columns = ("file_name", "real_age", "apparent_age_avg")
    age = "real_age"

    FACE = "_face.jpg"

    def _read(self, source: Source, tables: list[str]) -> None:
        super()._read(source, tables)
        faces = [name for name in self.images if name.endswith(self.FACE)]
        self.images = faces or self.images

    def key(self, name: str) -> str:
        return name.removesuffix(self.FACE)


class AppaRealApparent(AppaReal):
    """The mean of the ages that people guessed, rounded to whole years."""

    layout = "appa_real_apparent"
    age = "apparent_age_avg"


class FairFace(Listed):
    """Bands of ages, gender and ethnicity; also the small tables `file,age_band,gender`."""

    layout = "fairface"
    shown = "fairface_label_train.csv and train/1.jpg"
    columns = ("file", "gender")

    def _read(self, source: Source, tables: list[str]) -> None:
        super()._read(source, tables)
        self.age = "age_band" if "age_band" in self.rows else "age"
        bands = self.rows.get(self.age, pd.Series(dtype=str)).map(values.age_band)
        if bands.isna().all():
            raise NotThisLayout(f"data.layout: fairface takes bands of ages; {self.named} has none")


class ImdbClean(Listed):
    """Exact ages of IMDB-WIKI's film people, cleaned; a person's number is in the file's name."""

    layout = "imdb_clean"
    shown = "imdb_train_new_1024.csv and 00/nm0000100_rm1003657216_1955-1-6_2003.jpg"
    tables = "imdb_*_new_1024.csv"  # those without 1024 are of other crops of the same images
    columns = ("filename", "age", "gender")

    def labels_of(self, row: Mapping[str, str]) -> Labels:
        said = super().labels_of(row)
        return Labels(age=said.age, gender=said.gender, identity=person(row["filename"]))


class Lagenda(Listed):
    """People in photographs, with their faces' boxes: the label is that of the largest face."""

    layout = "lagenda"
    shown = "lagenda_annotation.csv and lag_benchmark/b5c8ef090f134ad5.jpg, with data.align: always"
    columns = ("img_name", "age", "gender", "face_x0", "face_y0", "face_x1", "face_y1")

    def _read(self, source: Source, tables: list[str]) -> None:
        super()._read(source, tables)
        box = self.rows[["face_x0", "face_y0", "face_x1", "face_y1"]].apply(pd.to_numeric)
        area = (box["face_x1"] - box["face_x0"]) * (box["face_y1"] - box["face_y0"])
        largest = area.groupby(self.rows["img_name"]).idxmax()
        self.rows = self.rows.loc[largest].reset_index(drop=True)

    def labels_of(self, row: Mapping[str, str]) -> Labels:
        if row["age"].startswith("-"):
            raise NoLabel(Reason.SET_ASIDE, "the largest face has no age")
        return super().labels_of(row)


class Adience(Listed):
    """Bands, some exact ages; the album stands for the person, as in the set's own folds."""

    layout = "adience"
    shown = "fold_0_data.txt and 30601258@N03/landmark_aligned_face.1.photo.jpg"
    tables = "fold_*_data.txt"
    columns = ("user_id", "face_id", "original_image", "age", "gender")

    def listed(self) -> list[str]:
        rows = self.rows
        return (rows["user_id"] + "/" + rows["face_id"] + "." + rows["original_image"]).tolist()

    def key(self, name: str) -> str:
        return re.sub(r"(coarse_tilt|landmark)_aligned_face\.", "", name)

    def labels_of(self, row: Mapping[str, str]) -> Labels:
        if row["age"] == "None":
            raise NoLabel(Reason.SET_ASIDE, "no age")
        said = super().labels_of(row)
        return Labels(
            age=said.age,
            age_low=said.age_low,
            age_high=said.age_high,
            gender=said.gender,
            identity=f"adience/{row['user_id']}",
        )
