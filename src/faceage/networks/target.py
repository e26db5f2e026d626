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

    age: years, float (n,), not a number where the source gives classes only; age_class: its
    number, long (n,), -1 where the source gives ages; gender, race: codes, long (n,), -1 where
    they are missing.
    """

    age: Tensor
    age_class: Tensor
    gender: Tensor
    race: Tensor

    def __len__(self) -> int:
        return len(self.age)

    def __getitem__(self, rows: Tensor | slice) -> "Labels":
        return Labels(self.age[rows], self.age_class[rows], self.gender[rows], self.race[rows])


def labels(faces: pd.DataFrame, classes: Sequence[str]) -> Labels:
    """Labels of a table of faces.

    Parameters
    ----------
    faces : columns `age`, `age_class`, `gender`, `race`
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
    age = torch.tensor(faces["age"].to_numpy(dtype="float32", na_value=math.nan))
    return Labels(age, *(torch.tensor(code.to_numpy()) for code in codes))


class Target(ABC):
    """From labels to a loss, from logits to ages. Logits are float (n, outputs)."""

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
        """Labels as what the loss compares the logits with: float (n, columns)."""

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
