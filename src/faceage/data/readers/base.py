"""What a reader of labels is. A class that names its `layout` is known to `registry` by it."""

import statistics
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from faceage.core.image_files import may_be_image
from faceage.core.reasons import Reason
from faceage.core.script import UserError
from faceage.core.settings import Data, Grouping
from faceage.data.sources import Source

READERS: dict[str, type["Reader"]] = {}


@dataclass(frozen=True, slots=True)
class Labels:
    """What a source says of a face; `None` where it says nothing usable.

    age in whole years; age_low, age_high: first and last year of a band, where there is no exact
    age; age_class: name of an age group; gender and race: codes as in `utkface`; taken: when, in
    seconds; identity: whose face it is, the same text for the same person.
    """

    age: int | None = None
    age_low: int | None = None
    age_high: int | None = None
    age_class: str | None = None
    gender: int | None = None
    race: int | None = None
    taken: float | None = None
    identity: str | None = None

    @property
    def years(self) -> tuple[int, int] | None:
        """First and last year that the face may have, the same of an age; None of a class."""
        if self.age is not None:
            return self.age, self.age
        if self.age_low is not None and self.age_high is not None:
            return self.age_low, self.age_high
        return None

    @property
    def middle(self) -> int | None:
        """The age in whole years, of a band its middle, rounded down."""
        return sum(self.years) // 2 if self.years else None

    def of_years(self, low: int, high: int) -> "Labels":
        """The same with another age or band."""
        if low == high:
            return replace(self, age=low, age_low=None, age_high=None)
        return replace(self, age=None, age_low=low, age_high=high)

    @property
    def in_words(self) -> str:
        """The age as it is understood."""
        if self.age_class:
            return self.age_class
        if self.age is None:
            return f"{self.age_low} to {self.age_high} years"
        return "1 year" if self.age == 1 else f"{self.age} years"


class NoLabel(Exception):
    """A file has no usable label; the text adds to the reason."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason


class NotThisLayout(UserError):
    """A source lacks what a layout is known by."""


class Reader(ABC):
    """Labels of the files of one source.

    Raises
    ------
    NotThisLayout
        If the source lacks what the layout is known by.
    """

    layout: ClassVar[str]
    shown: ClassVar[str]  # what the layout looks like, for messages
    certain: ClassVar[bool] = False  # files that look like this are in no other layout

    def __init_subclass__(cls) -> None:
        """Make the layout known by its name."""
        if "layout" in vars(cls):
            READERS[cls.layout] = cls

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
    def labelled(self) -> dict[str, Labels]:
        """Labels of those files named like images that have any."""
        return {name: said for name, said in self._said.items() if isinstance(said, Labels)}

    @cached_property
    def unlabelled(self) -> dict[str, NoLabel]:
        """Why the other files named like images have none, but for what the set puts aside."""
        return {
            name: said
            for name, said in self._said.items()
            if isinstance(said, NoLabel) and said.reason is not Reason.SET_ASIDE
        }

    @cached_property
    def share(self) -> float:
        """Share of the images that are labelled."""
        return len(self.labelled) / max(1, len(self.labelled) + len(self.unlabelled))

    @property
    def objection(self) -> str:
        """What speaks against this being the layout; empty where nothing does."""
        return ""

    @property
    def examples(self) -> str:
        """How three images are understood: a young one, one in the middle, an old one."""
        ages = sorted(self.labelled.items(), key=lambda item: (item[1].age or 0, item[0]))
        places = [round(share * (len(ages) - 1)) for share in (0.05, 0.5, 0.95)] if ages else []
        chosen = [ages[place] for place in dict.fromkeys(places)]
        return "; ".join(f"{name} is {said.in_words}" for name, said in chosen)

    @cached_property
    def _said(self) -> dict[str, Labels | NoLabel]:
        return {name: self._try(name) for name in filter(may_be_image, self.images)}

    def _try(self, name: str) -> Labels | NoLabel:
        try:
            return self.labels(name)
        except NoLabel as reason:
            return reason.with_traceback(None)  # which would hold all that was at hand then

    def forget(self) -> None:
        """Drop the labels of all files, but for the share of those that have any."""
        for name in ("_said", "labelled", "unlabelled"):
            vars(self).pop(name, None)


def implausible(labelled: Mapping[str, Labels]) -> str:
    """Why numbers that were taken for ages may be something else; empty where nothing says so."""
    ages = [said.age for said in labelled.values() if said.age is not None]
    if ages and max(ages) < 20:
        return f"numbers from {min(ages)} to {max(ages)} may be of classes or people"
    if ages and statistics.median(ages) > 90:
        return f"half of the people would be {statistics.median(ages):g} years old or more"
    return ""
