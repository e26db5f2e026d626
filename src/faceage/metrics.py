"""Measures of age estimates, with bootstrap intervals that resample groups of near-duplicates.

Faces of one group are not independent, so the cluster bootstrap draws groups with replacement
(Field & Welsh 2007). Every measure but the median error is a ratio of sums over faces, so one
resample costs a product of counts and sums a group instead of a pass over the faces.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

TOLERANCES = (1, 3, 5, 10)  # years
# With interval in reports/metrics.json; the others are given as they are.
HEADLINE = ("mae", "rmse", "r2", "bias", "cs5", "group_accuracy")
LEVEL = 0.95

Sums = Mapping[str, np.ndarray]


def per_face(age: np.ndarray, predicted: np.ndarray, boundaries: Sequence[int]) -> pd.DataFrame:
    """What the measures are sums of, face by face.

    Parameters
    ----------
    age, predicted : years (n,)
    boundaries : first age of each age group but the first
    """
    error = predicted - age
    columns: dict[str, np.ndarray] = {
        "n": np.ones(len(age)),
        "error": error,
        "absolute": np.abs(error),
        "squared": error**2,
        "age": age,
        "age_squared": age**2,
        "same_group": group_index(age, boundaries) == group_index(predicted, boundaries),
    }
    columns |= {f"within{years}": np.abs(error) <= years for years in TOLERANCES}
    return pd.DataFrame(columns).astype(float)


def from_sums(sums: Sums) -> dict[str, np.ndarray]:
    """Measures from sums of the columns of `per_face`, over any number of resamples.

    mae, rmse, bias in years, mse in years squared; cs*: share within so many years (cumulative
    score); r2 is not a number where all ages are equal.
    """
    n = sums["n"]
    spread = sums["age_squared"] - sums["age"] ** 2 / n
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(spread > 1e-9, 1 - sums["squared"] / spread, np.nan)
    measures = {
        "mae": sums["absolute"] / n,
        "mse": sums["squared"] / n,
        "rmse": np.sqrt(sums["squared"] / n),
        "r2": r2,
        "bias": sums["error"] / n,
    }
    measures |= {f"cs{years}": sums[f"within{years}"] / n for years in TOLERANCES}
    return measures | {"group_accuracy": sums["same_group"] / n}


def bootstrap(faces: pd.DataFrame, groups: pd.Series, resamples: int, seed: int) -> pd.DataFrame:
    """Measures of `resamples` draws of groups with replacement: one row a draw.

    Parameters
    ----------
    faces : result of `per_face`
    groups : group of each face, index as `faces`
    """
    sums = faces.groupby(groups.to_numpy()).sum()
    draws = np.random.default_rng(seed)
    count = len(sums)
    counts = draws.multinomial(count, np.full(count, 1 / count), size=resamples)
    totals = counts @ sums.to_numpy()
    return pd.DataFrame(from_sums(dict(zip(sums.columns, totals.T, strict=True))))


def measure(
    faces: pd.DataFrame, groups: pd.Series, resamples: int, seed: int
) -> dict[str, float | None]:
    """All measures of a test part; those of `HEADLINE` with `_low` and `_high`.

    A measure that cannot be had from these faces, as R2 from one face, is None.
    """
    points = from_sums({name: faces[name].to_numpy().sum() for name in faces.columns})
    draws = bootstrap(faces, groups, resamples, seed)
    result: dict[str, float | None] = {"n": len(faces)}
    for name, value in points.items():
        result[name] = _number(value)
        if name in HEADLINE:
            result |= _interval(name, draws[name])
    result["median_error"] = _number(faces["absolute"].median())
    return result


def by_decade(faces: pd.DataFrame, groups: pd.Series, resamples: int, seed: int) -> pd.DataFrame:
    """MAE with interval, bias and number of faces of each decade of age."""
    rows = []
    for decade, part in faces.groupby(decade_names(faces["age"].to_numpy())):
        measured = measure(part, groups[part.index], resamples, seed)
        columns = ("n", "mae", "mae_low", "mae_high", "bias")
        rows.append({"decade": decade} | {name: measured[name] for name in columns})
    return pd.DataFrame(rows)


def decade_names(ages: np.ndarray) -> np.ndarray:
    """`020-029` and so on; padded with zeros, for they are sorted as text."""
    starts = (np.maximum(ages, 0) // 10 * 10).astype(int)
    return np.array([f"{start:03d}-{start + 9:03d}" for start in starts])


def group_index(ages: np.ndarray, boundaries: Sequence[int]) -> np.ndarray:
    """Number of the age group, from 0; an estimate is rounded down to whole years, as ages are."""
    return np.searchsorted(np.asarray(boundaries), np.floor(ages), side="right")


def group_names(boundaries: Sequence[int]) -> list[str]:
    """`<18`, `18-40`, ..., `>60` for the boundaries 18, 41, 61."""
    ranges = itertools.pairwise(boundaries)
    middle = [f"{low}-{high - 1}" if high - 1 > low else f"{low}" for low, high in ranges]
    return [f"<{boundaries[0]}", *middle, f">{boundaries[-1] - 1}"]


def _interval(name: str, draws: pd.Series) -> dict[str, float | None]:
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {f"{name}_low": _number(low), f"{name}_high": _number(high)}


def _number(value: float | np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None
