"""A model folder loaded into PyTorch: aligned faces in, predictions out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from faceage.core.script import UserError
from faceage.core.settings import Grouping
from faceage.evaluation.age_bins import bin_index
from faceage.evaluation.conformal import Calibration
from faceage.inference.predictions import Predictions
from faceage.networks import devices, forward, saved_model


class TorchPredictor:
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
        evaluation = saved_model.describe_evaluation(folder) or {}
        intervals = evaluation.get("intervals")
        try:
            self.calibration = Calibration.from_dict(intervals) if intervals else None
            self.side: int = about["side"]
            self.fingerprint: str = about["fingerprint"]
            self.grouping, self.learned = self._grouping(about["training"]["groupings"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{folder} says too little to predict with ({error!r}); {saved_model.RETRAIN}"
            ) from None
        found = self.target.distribution(torch.zeros(1, self.target.outputs))
        self.years = found[0].numpy() if found else None

    def _grouping(self, contents: dict[str, Any]) -> tuple[Grouping, bool]:
        """The age groups that faces are put into, and whether the model has learned just these.

        A model without ages can only tell the classes that it has learned.
        """
        nothing = torch.zeros(1, self.target.outputs)
        learned = self.target.classes(nothing)
        without_ages = bool(self.target.age(nothing).isnan().any())
        name = learned.grouping if learned and without_ages else "age_group"
        return Grouping(**contents[name]), learned is not None and learned.grouping == name

    def predict(self, crops: np.ndarray) -> Predictions:
        """Predict the ages of aligned faces: uint8 (n, side, side, 3), red, green, blue."""
        logits = forward.predict(self.network, torch.from_numpy(crops), torch.float32)
        age = self.target.age(logits).numpy().astype(float)
        intervals = self._intervals(age)
        found = self.target.distribution(logits)
        return Predictions(
            age=age,
            low=intervals["low"].to_numpy(),
            high=intervals["high"].to_numpy(),
            age_group=self._age_groups(age, logits),
            years=self.years,
            distribution=found[1].numpy() if found else None,
        )

    def _intervals(self, age: np.ndarray) -> pd.DataFrame:
        if self.calibration is None:
            return pd.DataFrame({"low": np.full(len(age), np.nan), "high": np.nan})
        return self.calibration.intervals(age)

    def _age_groups(self, age: np.ndarray, logits: Tensor) -> Sequence[str]:
        """The most likely class where the grouping was learned, else that of the age."""
        learned = self.target.classes(logits)
        numbers = bin_index(age, self.grouping.boundaries)
        if learned and self.learned:
            numbers = learned.numbers.numpy()
        return [self.grouping.names[number] for number in numbers]
