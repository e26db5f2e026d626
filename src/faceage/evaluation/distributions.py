"""Whether a predicted distribution over ages means what it says.

Central intervals of a calibrated distribution hold as many true ages as they claim to (Gneiting,
Balabdaoui and Raftery 2007); the continuous ranked probability score (CRPS, in years) is the mean
absolute error of a distribution.
"""

import numpy as np
import pandas as pd

from faceage.evaluation.metrics import Number, number

NOMINAL = (0.5, 0.8, 0.9, 0.95)


def by_level(age: np.ndarray, distribution: tuple[np.ndarray, np.ndarray] | None) -> pd.DataFrame:
    """Coverage of the central interval of each nominal level: table `distribution`.

    Parameters
    ----------
    age : true ages, in years (n,)
    distribution : whole years (k,) and the probability of each (n, k), rows sum to 1; None gives a
        table without rows
    """
    if distribution is None:
        return pd.DataFrame()
    years, probabilities = distribution
    below = probabilities.cumsum(axis=1)
    rows = []
    for level in NOMINAL:
        low = years[_first_reaching(below, (1 - level) / 2)]
        high = years[_first_reaching(below, (1 + level) / 2)]
        inside = (low <= age) & (age <= high)
        rows.append(
            {
                "nominal": level,
                "coverage": inside.mean(),
                "mean_width": (high - low).mean(),
                "n": len(age),
            }
        )
    return pd.DataFrame(rows)


def crps(age: np.ndarray, years: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean over faces of the integral of (predicted - true distribution function) squared."""
    below = probabilities.cumsum(axis=1)
    return float(((below - (years >= age[:, None])) ** 2).sum(axis=1).mean())


def summary(levels: pd.DataFrame, score: float) -> dict[str, Number]:
    """CRPS, in years, and the largest distance of a coverage from what it should be."""
    distance = (levels["coverage"] - levels["nominal"]).abs().max()
    return {"crps": number(score), "largest_miscoverage": number(distance)}


def _first_reaching(below: np.ndarray, level: float) -> np.ndarray:
    reached = below >= level - 1e-9
    return np.where(reached.any(axis=1), reached.argmax(axis=1), below.shape[1] - 1)
