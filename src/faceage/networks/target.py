"""What a target is, and the labels that it learns: see `targets` for those that there are."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

import pandas as pd
import torch
from torch import Tensor

from faceage.core.script import UserError
from faceage.core.settings import Grouping, TargetSettings

Groupings = Mapping[str, Grouping]


class LearnedClasses(NamedTuple):
    """The grouping that a target has learned, and the number of each face's class, long (n,)."""

    grouping: str
    numbers: Tensor


@dataclass(frozen=True)
class Labels:
    """What is known of n faces.

    age: years, float (n,), not a number where the source gives classes only, of a band of ages its
    middle; age_low, age_high: first and last year of the band, float (n,), of an exact age twice
    that; age_class: its number, long (n,), -1 where the source gives ages; gender, race: codes,
    long (n,), -1 where they are missing.
    """

    age: Tensor
    age_low: Tensor
    age_high: Tensor
    age_class: Tensor
    gender: Tensor
    race: Tensor

    def __len__(self) -> int:
        return len(self.age)

    def __getitem__(self, rows: Tensor | slice) -> "Labels":
        return Labels(**{name: values[rows] for name, values in vars(self).items()})

    @property
    def range(self) -> tuple[int, int]:
        """Youngest and oldest age that a face may have, in whole years."""
        return math.floor(self.age_low.min()), math.ceil(self.age_high.max())

    @property
    def bands(self) -> Tensor:
        """First and last year of each face: (n, 2)."""
        return torch.stack([self.age_low, self.age_high], dim=1)


def labels(faces: pd.DataFrame, classes: Sequence[str]) -> Labels:
    """Labels of a table of faces.

    Parameters
    ----------
    faces : columns `age`, `age_low`, `age_high`, `age_class`, `gender`, `race`
    classes : names of the groups that `age_class` is numbered by

    Raises
    ------
    UserError
        If a face is of another class.
    """
    unknown = set(faces["age_class"].dropna()) - set(classes)
    if unknown:
        raise UserError(
            f"target.grouping: its classes are {', '.join(classes)}, and faces of data.source are"
            f" labelled {', '.join(sorted(unknown))}; name the grouping that has these"
        )
    number = faces["age_class"].map({name: k for k, name in enumerate(classes)})
    codes = [column.fillna(-1).astype(int) for column in (number, faces["gender"], faces["race"])]
    years = [
        torch.tensor(faces[name].to_numpy(dtype="float32", na_value=math.nan))
        for name in ("age", "age_low", "age_high")
    ]
    return Labels(*years, *(torch.tensor(code.to_numpy()) for code in codes))


def distance_to(bands: Tensor, ages: Tensor) -> Tensor:
    """How far ages (n,) are from bands (n, 2), below 0 where they are too young: (n,).

    Losses take a band to end with its last year as it is written, because exact ages, which are
    whole years, are learned so too; what lies inside is in the band by any count.
    """
    return (ages - bands[:, 0]).clamp(max=0) + (ages - bands[:, 1]).clamp(min=0)


def is_exact(bands: Tensor) -> Tensor:
    """Whether the first and the last value of a label (n, 2) are the same: (n,)."""
    return bands[:, 0] == bands[:, 1]


def log_probability(log_p: Tensor, values: Tensor, bands: Tensor) -> Tensor:
    """Logarithm of the probability of all values in a band: (n,).

    Parameters
    ----------
    log_p : logarithms of the probabilities (n, k) of `values` (k,), whole numbers
    bands : first and last value (n, 2), not all beyond `values`
    """
    inside = (values >= bands[:, :1].floor()) & (values <= bands[:, 1:].ceil())
    return log_p.masked_fill(~inside, -math.inf).logsumexp(dim=1)


class Target(ABC):
    """From labels to a loss, from logits to ages. Logits are float (n, outputs).

    A band of ages is learned as what it says: the loss is minus the logarithm of the probability
    that the model gives to all of it, which is the likelihood of an interval-censored age (Turnbull
    1976, JRSS B 38) and of a set of labels of which one is right (Jin and Ghahramani 2002, Learning
    with Multiple Labels); where a target predicts no probabilities, the loss of its distance.
    """

    learns_classes: ClassVar[bool] = False
    weighs_faces: ClassVar[bool] = True  # whether the loss of each face is its own

    @classmethod
    @abstractmethod
    def fit(cls, labels: Labels, settings: TargetSettings, groupings: Groupings) -> Self:
        """Make the target that params.yaml asks for from the labels of the training set."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Logits a face."""

    @abstractmethod
    def encode(self, labels: Labels) -> Tensor:
        """Labels as what the loss compares the logits with: float (n, columns).

        The first two say from where to where the label reaches, in the target's own units.
        """

    @abstractmethod
    def losses(self, logits: Tensor, encoded: Tensor) -> Tensor:
        """Loss of each face: (n,)."""

    @abstractmethod
    def age(self, logits: Tensor) -> Tensor:
        """Ages in years, never negative: (n,); not a number where no ages were learned."""

    @abstractmethod
    def attribution_output(self, logits: Tensor) -> Tensor:
        """A number for each face (n,) that grows with its prediction and has a gradient."""

    def classes(self, logits: Tensor) -> LearnedClasses | None:
        """What a target that learns classes finds most likely."""
        return None

    def distribution(self, logits: Tensor) -> tuple[Tensor, Tensor] | None:
        """Whole years (k,) and the probability of each (n, k), where the target has them."""
        return None
