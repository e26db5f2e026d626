"""Layouts that keep the labels in the folders' names."""

import re
from pathlib import PurePosixPath

from faceage.core.reasons import Reason
from faceage.data.readers.base import Labels, NoLabel, Reader, implausible


class AFAD(Reader):
    """A folder for each age, in it one for the men and one for the women."""

    layout = "afad"
    shown = "26/111/anything.jpg (111 men, 112 women)"
    certain = True

    GENDERS = ("111", "112")

    def labels(self, name: str) -> Labels:
        age, gender = ("", "", *PurePosixPath(name).parts[:-1])[-2:]
        if gender not in self.GENDERS:
            raise NoLabel(Reason.UNPARSEABLE, f"folder {gender!r} is no gender")
        return Labels(age=_years(age), gender=self.GENDERS.index(gender))


class AgeFolders(Reader):
    """The age is the name of the folder that the file is in."""

    layout = "age_folders"
    shown = "26/anything.jpg or 026/anything.jpg"

    def labels(self, name: str) -> Labels:
        return Labels(age=_years(PurePosixPath(name).parent.name))

    @property
    def objection(self) -> str:
        return implausible(self.labelled)


class OuterAgeFolders(AgeFolders):
    """The age is the name of the folder above the one that the file is in."""

    layout = "outer_age_folders"
    shown = "26/any folder/anything.jpg"

    def labels(self, name: str) -> Labels:
        return Labels(age=_years(PurePosixPath(name).parent.parent.name))


def _years(folder: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", folder):
        raise NoLabel(Reason.UNPARSEABLE, f"folder {folder!r} is no age")
    return int(folder)
