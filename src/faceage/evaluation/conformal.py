"""Prediction intervals by split conformal prediction, calibrated on the validation set.

An interval is the predicted age plus and minus a quantile of the absolute errors on faces that the
model was not fitted to (Lei et al. 2018, Distribution-Free Predictive Inference for Regression).
For a face exchangeable with those it holds the true age with at least the nominal probability,
on average over all faces. By age the same is done within bins of the predicted age (Mondrian
conformal prediction, Vovk et al. 2005): the true age is not known where an interval is needed.
The best epoch was chosen on the validation set, which makes its errors slightly too small.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from faceage.evaluation.age_bins import bin_index, decade_names, merged_decades
from faceage.evaluation.metrics import Number, number

# Fewer calibration faces make the coverage within a bin a matter of luck: with 50 of them its
# standard deviation is 4 points at 90% (Vovk 2012, Conditional Validity of Inductive Conformal
# Predictors).
SMALLEST_BIN = 50

METHODS = {"plain": ("low_plain", "high_plain"), "by_age": ("low", "high")}


@dataclass(frozen=True)
class Calibration:
    """Half widths of the intervals, in years; not a number where faces are too few to tell.

    coverage: nominal; faces: calibrated on; plain: for every face; boundaries: first predicted age
    of each bin but the first; by_age: for each of these bins; bin_faces: calibrated on in each.
    """

    coverage: float
    faces: int
    plain: float
    boundaries: list[int]
    by_age: list[float]
    bin_faces: list[int]

    @classmethod
    def fit(cls, age: np.ndarray, predicted: np.ndarray, coverage: float) -> "Calibration":
        """Calibrate on true and predicted ages (n,) of faces that the model was not fitted to."""
        scores = np.abs(predicted - age)
        boundaries = merged_decades(predicted, SMALLEST_BIN)
        bins = bin_index(predicted, boundaries)
        in_bins = [scores[bins == index] for index in range(len(boundaries) + 1)]
        return cls(
            coverage=coverage,
            faces=len(scores),
            plain=half_width(scores, coverage),
            boundaries=boundaries,
            by_age=[half_width(part, coverage) for part in in_bins],
            bin_faces=[len(part) for part in in_bins],
        )

    def intervals(self, predicted: np.ndarray) -> pd.DataFrame:
        """Both intervals of each predicted age: columns low, high (by age), low_plain, high_plain.

        No age is negative, so neither is a lower end, which costs no coverage.
        """
        by_age = np.array(self.by_age)[bin_index(predicted, self.boundaries)]
        return pd.DataFrame(
            {
                "low": np.maximum(predicted - by_age, 0),
                "high": predicted + by_age,
                "low_plain": np.maximum(predicted - self.plain, 0),
                "high_plain": predicted + self.plain,
            }
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON: what makes intervals out of predictions wherever the model goes."""
        starts = [0, *self.boundaries]
        bins = zip(starts, self.by_age, self.bin_faces, strict=True)
        return {
            "coverage": self.coverage,
            "n": self.faces,
            "plain": number(self.plain),
            "by_age": [
                {"from_predicted_age": start, "half_width": number(width), "n": n}
                for start, width, n in bins
            ],
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Calibration":
        """Undo `as_dict`."""
        bins = content["by_age"]
        widths = [content["plain"], *(one["half_width"] for one in bins)]
        plain, *by_age = (math.nan if width is None else width for width in widths)
        return cls(
            coverage=content["coverage"],
            faces=content["n"],
            plain=plain,
            boundaries=[one["from_predicted_age"] for one in bins[1:]],
            by_age=by_age,
            bin_faces=[one["n"] for one in bins],
        )


def half_width(scores: np.ndarray, coverage: float) -> float:
    """The ceil((n + 1) coverage)-th smallest of the scores (n,); not a number if n is too small.

    With fewer than coverage / (1 - coverage) scores no finite interval has the coverage.
    """
    rank = math.ceil((len(scores) + 1) * coverage)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.nan


def coverage_by_subgroup(
    age: np.ndarray, intervals: pd.DataFrame, labels: pd.DataFrame
) -> pd.DataFrame:
    """Share of true ages within the interval, and mean width in years: table `coverage`.

    Parameters
    ----------
    age : years (n,)
    intervals : result of `Calibration.intervals`, row for row as `age`
    labels : columns `gender` and `race`, names, row for row as `age`
    """
    groupings: dict[str, Any] = {
        "all": np.full(len(age), "all"),
        "decade": decade_names(age),
        "gender": labels["gender"].to_numpy(),
        "race": labels["race"].to_numpy(),
    }
    rows = []
    for method, (low, high) in METHODS.items():
        width = intervals[high] - intervals[low]
        # A missing interval holds nothing and misses nothing.
        covered = (intervals[low].le(age) & intervals[high].ge(age)).astype(float)
        faces = pd.DataFrame({"covered": covered.where(width.notna()), "width": width})
        for grouping, names in groupings.items():
            for subgroup, part in faces.groupby(names):
                rows.append(
                    {
                        "method": method,
                        "grouping": grouping,
                        "subgroup": subgroup,
                        "n": len(part),
                        "coverage": part["covered"].mean(),
                        "mean_width": part["width"].mean(),
                    }
                )
    return pd.DataFrame(rows)


def summary(coverage: pd.DataFrame) -> dict[str, dict[str, Number]]:
    """Coverage and mean width of both methods over all faces, from `coverage_by_subgroup`."""
    overall = coverage[coverage["grouping"] == "all"].set_index("method")
    return {
        method: {name: number(overall.loc[method, name]) for name in ("coverage", "mean_width")}
        for method in METHODS
    }
