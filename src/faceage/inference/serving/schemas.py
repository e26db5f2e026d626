"""The schemas of the API's JSON."""

from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from faceage.detection.crops import Crop
from faceage.inference.predictions import Predictions


class Face(BaseModel):
    """One face of a picture."""

    x: int = Field(description="left edge of its box, in pixels of the picture")
    y: int = Field(description="upper edge")
    w: int = Field(description="width")
    h: int = Field(description="height")
    age: float | None = Field(
        description="predicted age in years; null: the model has classes only"
    )
    low: float | None = Field(description="lower end of the prediction interval, in years")
    high: float | None = Field(description="upper end")
    age_group: str = Field(description="name of the age group")
    distribution: list[float] | None = Field(
        description="probability of each whole year from 0, where the model has them"
    )


class Prediction(BaseModel):
    """Faces of a picture, the largest first."""

    width: int = Field(description="of the picture, upright, in pixels")
    height: int
    faces: list[Face]


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


def faces(crops: list[Crop], predicted: Predictions) -> list[Face]:
    """Crops of one picture with their predictions, row for row."""
    return [
        Face(
            x=x,
            y=y,
            w=w,
            h=h,
            age=_years(predicted.age[row]),
            low=_years(predicted.low[row]),
            high=_years(predicted.high[row]),
            age_group=predicted.age_group[row],
            distribution=_from_birth(predicted, row),
        )
        for row, (x, y, w, h) in enumerate(crop.box for crop in crops)
    ]


def _years(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 2)


def _from_birth(predicted: Predictions, row: int) -> list[float] | None:
    """The distribution over years from 0; what lies before birth counts as 0."""
    if predicted.years is None or predicted.distribution is None:
        return None
    probability: np.ndarray[Any, Any] = np.zeros(predicted.years.max() + 1)
    np.add.at(probability, predicted.years.clip(0), predicted.distribution[row])
    return [round(float(value), 5) for value in probability]
