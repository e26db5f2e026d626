"""Layouts that keep the labels in the files' names."""

import re
from posixpath import basename, splitext
from typing import ClassVar

from faceage.core import utkface
from faceage.core.reasons import Reason
from faceage.data.readers import values
from faceage.data.readers.base import Labels, NoLabel, Reader


class UTKFace(Reader):
    """Age, gender, ethnicity and time, of the aligned faces (`.jpg.chip.jpg`) and of the others."""

    layout = "utkface"
    shown = "26_1_0_20170116174525125.jpg"

    def labels(self, name: str) -> Labels:
        name = name.rpartition("/")[2]
        labels = utkface.parse(name)
        if labels is None:
            raise NoLabel(Reason.UNPARSEABLE)
        taken = utkface.taken(name)
        return Labels(age=labels.age, gender=labels.gender, race=labels.race, taken=taken)


class FileNames(Reader):
    """Labels in a name of one form; `pattern` is of the name without folder and ending.

    Its groups: `age`, and where the set has them `gender` (a letter) and `identity`.
    """

    pattern: ClassVar[str]

    def labels(self, name: str) -> Labels:
        said = re.fullmatch(self.pattern, _stem(name), re.IGNORECASE)
        if said is None:
            raise NoLabel(Reason.UNPARSEABLE)
        groups = said.groupdict()
        identity = groups.get("identity")
        return Labels(
            age=int(groups["age"]),
            gender=values.gender(groups.get("gender", "")),
            identity=identity and f"{self.layout}/{identity}",
        )


class AgeDB(FileNames):
    """Number, name, age, gender."""

    layout = "agedb"
    shown = "0_MariaCallas_35_f.jpg"
    pattern = r"\d+_(?P<identity>.+)_(?P<age>\d{1,3})_(?P<gender>[mf])"


class CACD(FileNames):
    """Age, name, number."""

    layout = "cacd"
    shown = "53_Robin_Williams_0001.jpg"
    pattern = r"(?P<age>\d{1,3})_(?P<identity>[^\d_].*)_\d{4}"


class FGNet(FileNames):
    """Person, age; a letter where there are several of one age."""

    layout = "fgnet"
    shown = "001A02.JPG"
    pattern = r"(?P<identity>\d{3})A(?P<age>\d{2})[a-z]?"


class Morph(FileNames):
    """Person, number of the picture, gender, age."""

    layout = "morph"
    shown = "009055_1M54.JPG"
    pattern = r"(?P<identity>\d{5,6})_\d{1,2}(?P<gender>[MF])(?P<age>\d{2})"


class AllAgeFaces(FileNames):
    """Serial number and age; the women have the numbers up to `LAST_WOMAN`."""

    layout = "all_age_faces"
    shown = "00000A02.jpg"
    pattern = r"\d{5}A(?P<age>\d{2})"

    LAST_WOMAN = 7380

    def labels(self, name: str) -> Labels:
        age = super().labels(name).age
        serial = int(_stem(name)[:5])
        return Labels(age=age, gender=int(serial <= self.LAST_WOMAN))


def _stem(name: str) -> str:
    return splitext(basename(name))[0]
