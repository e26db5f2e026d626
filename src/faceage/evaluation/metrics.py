"""Measures of age estimates, each with a bootstrap interval: overall, by decade, of the oldest."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from faceage.evaluation.age_bins import decade_names
from faceage.evaluation.bootstrap import Resamples, interval

TOLERANCES = (1, 3, 5, 10)  # years
# With interval; the others are given as they are.
HEADLINE = (
    "mae",
    "balanced_mae",
    "rmse",
    "r2",
    "bias",
    *(f"cs{years}" for years in TOLERANCES),
    "group_accuracy",
)
# What tables of parts of the faces show.
COLUMNS = ("n", "mae", "mae_low", "mae_high", "bias")
OLDER = {"over_70": 70, "over_80": 80}  # years and older

Number = float | None


def per_face(age: np.ndarray, predicted: np.ndarray, same_group: np.ndarray) -> pd.DataFrame:
    """What the measures are sums of, face by face.

    Parameters
    ----------
    age, predicted : years (n,)
    same_group : whether the estimate is in the right age group (n,)
    """
    error = predicted - age
    columns: dict[str, np.ndarray] = {
        "n": np.ones(len(age)),
        "error": error,
        "absolute": np.abs(error),
        "squared": error**2,
        "age": age,
        "age_squared": age**2,
        "same_group": same_group,
    }
    columns |= {f"within{years}": np.abs(error) <= years for years in TOLERANCES}
    return pd.DataFrame(columns).astype(float)


def from_sums(sums: pd.DataFrame) -> pd.DataFrame:
    """Measures from sums of the columns of `per_face`: one row a resample in, one out.

    mae, rmse, bias in years, mse in years squared; cs*: share within so many years (cumulative
    score); not a number where there is no face, and r2 where all ages are equal.
    """
    n = sums["n"]
    spread = sums["age_squared"] - sums["age"] ** 2 / n
    measures = {
        "mae": sums["absolute"] / n,
        "mse": sums["squared"] / n,
        "rmse": np.sqrt(sums["squared"] / n),
        "r2": 1 - sums["squared"] / spread.where(spread > 1e-9),
        "bias": sums["error"] / n,
    }
    measures |= {f"cs{years}": sums[f"within{years}"] / n for years in TOLERANCES}
    return pd.DataFrame(measures | {"group_accuracy": sums["same_group"] / n})


def measure(faces: pd.DataFrame, resamples: Resamples) -> dict[str, Number]:
    """All measures of these faces; those of `HEADLINE` with `_low` and `_high`.

    A measure that cannot be had from these faces, as R2 from one face, is None.

    Parameters
    ----------
    faces : rows of `per_face`, of all or some of the faces that are resampled
    """
    decades = _by_decade_columns(faces)
    points = from_sums(_total(faces)).assign(balanced_mae=_balanced_mae(_total(decades)))
    draws = from_sums(resamples.sums(faces))
    draws["balanced_mae"] = _balanced_mae(resamples.sums(decades))
    result: dict[str, Number] = {"n": len(faces)}
    for name, value in points.iloc[0].items():
        result[str(name)] = number(value)
        if name in HEADLINE:
            low, high = interval(draws[name])
            result |= {f"{name}_low": number(low), f"{name}_high": number(high)}
    result["median_error"] = number(faces["absolute"].median())
    return result


def by_decade(faces: pd.DataFrame, resamples: Resamples) -> pd.DataFrame:
    """MAE with interval, bias and number of faces of each decade of age: reports/decades.csv."""
    decades = decade_names(faces["age"].to_numpy())
    rows = [{"decade": name} | in_short(part, resamples) for name, part in faces.groupby(decades)]
    return pd.DataFrame(rows)


def of_older(faces: pd.DataFrame, resamples: Resamples) -> dict[str, dict[str, Number]]:
    """MAE, bias and number of the faces of 70, and of 80 years and over, few as they may be."""
    return {
        name: in_short(faces[faces["age"] >= first], resamples) for name, first in OLDER.items()
    }


def in_short(faces: pd.DataFrame, resamples: Resamples) -> dict[str, Number]:
    """Those measures of these faces that tables show; of no faces there is their number only."""
    if faces.empty:
        return dict.fromkeys(COLUMNS) | {"n": 0}
    measured = measure(faces, resamples)
    return {name: measured[name] for name in COLUMNS}


def number(value: Any) -> Number:
    """Turn what is not a number into None, which JSON and MLflow can tell apart from one."""
    return float(value) if np.isfinite(value) else None


def numbers_only(content: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of nested results what MLflow cannot log as a metric: names and missing numbers."""
    kept: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            kept[key] = numbers_only(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            kept[key] = value
    return kept


def _by_decade_columns(faces: pd.DataFrame) -> pd.DataFrame:
    """Faces and absolute errors in a column of their own for each decade."""
    by_decade = faces[["n", "absolute"]].assign(decade=decade_names(faces["age"].to_numpy()))
    return by_decade.pivot(columns="decade").fillna(0)


def _balanced_mae(sums: pd.DataFrame) -> pd.Series:
    """Mean over decades of the decade's MAE; a decade without a face does not count."""
    return (sums["absolute"] / sums["n"]).mean(axis=1)


def _total(faces: pd.DataFrame) -> pd.DataFrame:
    return faces.sum().to_frame().T
