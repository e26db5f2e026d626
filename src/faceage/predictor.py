"""A model folder made ready for use with PyTorch: aligned faces in, estimates out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from faceage import devices, saved_model
from faceage.age_bins import bin_index
from faceage.conformal import Calibration
from faceage.estimates import Estimates
from faceage.inference import predict
from faceage.settings import Grouping


class Predictor:
    """A saved model on the fastest device there is, in float32 like its evaluation.

    Raises
    ------
    UserError
        If the folder holds no whole model.
    """

    def __init__(self, folder: Path = saved_model.FOLDER) -> None:
        about = saved_model.describe(folder)
        network, self.target = saved_model.load(folder)
        self.network = network.to(devices.pick())
        measured = saved_model.describe_evaluation(folder) or {}
        intervals = measured.get("intervals")
        self.calibration = Calibration.from_dict(intervals) if intervals else None
        self.side: int = about["side"]
        groupings = about["training"]["groupings"].items()
        self.groupings = {name: Grouping(**content) for name, content in groupings}

    def estimate(self, crops: np.ndarray) -> Estimates:
        """Estimate aligned faces: uint8 (n, side, side, 3), red, green, blue."""
        logits = predict(self.network, torch.from_numpy(crops), torch.float32)
        age = self.target.age(logits).numpy().astype(float)
        intervals = self._intervals(age)
        found = self.target.distribution(logits)
        years, distribution = (part.numpy() for part in found) if found else (None, None)
        return Estimates(
            age=age,
            low=intervals["low"].to_numpy(),
            high=intervals["high"].to_numpy(),
            group=self._groups(age, logits),
            years=years,
            distribution=distribution,
        )

    def _intervals(self, age: np.ndarray) -> pd.DataFrame:
        if self.calibration is None:
            return pd.DataFrame({"low": np.full(len(age), np.nan), "high": np.nan})
        return self.calibration.intervals(age)

    def _groups(self, age: np.ndarray, logits: Tensor) -> Sequence[str]:
        """The most likely class where these classes were learned, else that of the age."""
        grouping, learned = self.groupings["group"], self.target.classes(logits)
        if learned and np.isnan(age).any():
            boundaries = list(learned[0])
            grouping = next(g for g in self.groupings.values() if g.boundaries == boundaries)
        if learned and list(learned[0]) == grouping.boundaries:
            return [grouping.names[number] for number in learned[1]]
        return [grouping.names[number] for number in bin_index(age, grouping.boundaries)]
