"""Predictions for faces, and who makes them: the same from PyTorch and from ONNX."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Predictions:
    """Of n faces.

    age: years (n,); low, high: ends of the prediction interval in years (n,); all not a number
    where the model has none. age_group: its name (n). years (k,) and distribution (n, k):
    whole years and the probability of each, None where the model has none.
    """

    age: np.ndarray
    low: np.ndarray
    high: np.ndarray
    age_group: Sequence[str]
    years: np.ndarray | None = None
    distribution: np.ndarray | None = None

    def __getitem__(self, rows: slice) -> "Predictions":
        return Predictions(
            age=self.age[rows],
            low=self.low[rows],
            high=self.high[rows],
            age_group=self.age_group[rows],
            years=self.years,
            distribution=None if self.distribution is None else self.distribution[rows],
        )


class Predictor(Protocol):
    """A model that is loaded; side: of the square crops that it takes, in pixels."""

    side: int

    def predict(self, crops: np.ndarray) -> Predictions:
        """Predict the ages of aligned faces: uint8 (n, side, side, 3), red, green, blue."""
