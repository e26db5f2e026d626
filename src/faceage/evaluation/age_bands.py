"""Predicted ages against bands of years: for labels like 3-9 or 60-69, where no exact age is known.

A band from 3 to 9 holds the ages from 3.0 to just under 10.0, as ages are counted in whole years.
"""

from typing import Any

import numpy as np
import pandas as pd

from faceage.evaluation.bootstrap import Resamples
from faceage.evaluation.metrics import number

COLUMNS = ("age_low", "age_high", "n", "in_band", "within_one_band", "distance", "bias")


def distance(low: np.ndarray, high: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Signed years from the band to the prediction: 0 inside, below 0 where it is too young.

    Parameters
    ----------
    low, high : first and last year of each face's band (n,)
    predicted : years (n,)
    """
    return np.where(predicted < low, predicted - low, np.maximum(predicted - (high + 1), 0))


def errors(low: np.ndarray, high: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """What the metrics of bands are sums of, face by face.

    within_one_band: whether the prediction lies in the face's band or one next to it, of the bands
    that the labels use.
    """
    away = distance(low, high, predicted)
    firsts, lasts = np.unique(low), np.unique(high)
    place = np.searchsorted(firsts, low)
    before = firsts[np.maximum(place - 1, 0)]
    after = lasts[np.minimum(np.searchsorted(lasts, high) + 1, len(lasts) - 1)]
    return pd.DataFrame(
        {
            "age_low": low,
            "age_high": high,
            "n": 1.0,
            "in_band": (away == 0).astype(float),
            "within_one_band": ((predicted >= before) & (predicted < after + 1)).astype(float),
            "distance": np.abs(away),
            "bias": away,
        }
    )


def by_band(errors: pd.DataFrame) -> pd.DataFrame:
    """Shares and mean distances, in years, of each band."""
    bands = errors.groupby(["age_low", "age_high"], as_index=False)
    means = bands[["in_band", "within_one_band", "distance", "bias"]].mean()
    return bands["n"].sum().astype({"n": int}).merge(means)[list(COLUMNS)]


def by_subgroup(errors: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Shares and mean distances, in years, of people of a gender, an ethnicity or both.

    Parameters
    ----------
    labels : names of subgroups, one column a grouping, index as `errors`
    """
    shown = ["in_band", "distance", "bias"]
    return pd.DataFrame(
        {"grouping": grouping, "subgroup": subgroup, "n": len(part)} | dict(part[shown].mean())
        for grouping in labels
        for subgroup, part in errors.groupby(labels[grouping])
    )


def summary(errors: pd.DataFrame, resamples: Resamples) -> dict[str, Any]:
    """The same of all faces, with 95% intervals, and the largest bias of a band in years."""
    found: dict[str, Any] = {"n": len(errors)}
    for metric in ("in_band", "within_one_band", "distance", "bias"):
        low, high = resamples.interval_of_mean(errors[metric])
        mean = float(errors[metric].mean())
        found |= {
            metric: number(mean),
            f"{metric}_low": number(low),
            f"{metric}_high": number(high),
        }
    return found | {"largest_bias": number(by_band(errors)["bias"].abs().max())}
