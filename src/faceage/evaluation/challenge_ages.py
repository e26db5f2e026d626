"""The challenge age that keeps the false positive rate low, and its price.

It is chosen on the validation faces and confirmed on the test faces: a threshold that was chosen on
the faces on which it is judged looks better than it is.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from faceage.evaluation import rates
from faceage.evaluation.age_checks import and_over, below
from faceage.evaluation.bootstrap import Resamples
from faceage.evaluation.rates import Rate

TARGETS = (0.01, 0.02, 0.05)  # false positive rates that a check is to stay under
STEP = 0.1  # years, of a threshold
# First ages of the bands of adults who are turned away, from the legal age on.
BANDS = (13, 16, 18, 21, 25, 30, 40, 60)


def choose(age: np.ndarray, predicted: np.ndarray, legal_ages: Iterable[int]) -> pd.DataFrame:
    """The lowest threshold, in tenths of a year, whose false positive rate is under each target.

    Never below the legal age; no number where nobody is below it. n_val: faces below the legal
    age that it was chosen on; rate_val: their false positive rate.

    Parameters
    ----------
    age, predicted : years (n,), of the validation faces
    """
    rows = []
    for legal_age in legal_ages:
        minors = np.sort(predicted[age < legal_age])
        for target in TARGETS:
            row = {"legal_age": legal_age, "target": target, "n_val": len(minors)}
            threshold = lowest(minors, target, legal_age)
            rate = (minors >= threshold).mean() if len(minors) else np.nan
            rows.append(row | {"threshold": threshold, "rate_val": rate})
    return pd.DataFrame(rows)


def lowest(minors: np.ndarray, target: float, legal_age: int) -> float:
    """The lowest threshold of at least the legal age that fewer than this share of them reach.

    Parameters
    ----------
    minors : predicted ages of those below the legal age, in years, sorted (n,)
    """
    if not len(minors):
        return np.nan
    # So many may pass that their share stays under the target; the next one must not.
    may_pass = int(np.ceil(round(target * len(minors), 9))) - 1
    highest_refused = minors[len(minors) - 1 - may_pass]
    steps = np.floor(highest_refused / STEP + 1e-9) + 1
    return float(max(legal_age, round(steps * STEP, 1)))


def confirm(
    chosen: pd.DataFrame, age: np.ndarray, predicted: np.ndarray, resamples: Resamples
) -> pd.DataFrame:
    """Error rates at the chosen thresholds on other faces, adults by age: table `challenge_ages`.

    error: false_positive_rate, of all below the legal age and of those just below, or
    false_negative_rate, of all of the legal age and of bands of it; ages: whom it is of.

    Parameters
    ----------
    chosen : result of `choose`; thresholds that could not be chosen are left out
    age, predicted : years (n,), of the test faces
    """
    found = []
    for row in chosen.dropna(subset="threshold").to_dict("records"):
        legal_age, passed = int(row["legal_age"]), predicted >= row["threshold"]
        for ages, members in below(age, legal_age).items():
            named = row | {"error": "false_positive_rate", "ages": ages}
            found.append(Rate(named, passed, members))
        for ages, members in adults(age, legal_age).items():
            named = row | {"error": "false_negative_rate", "ages": ages}
            found.append(Rate(named, ~passed, members))
    return rates.table(found, resamples)


def adults(age: np.ndarray, legal_age: int) -> dict[str, np.ndarray]:
    """Who is of the legal age, and in which band: bool (n,) by what they are called."""
    firsts = [legal_age, *(first for first in BANDS if first > legal_age)]
    nexts = [*firsts[1:], np.inf]
    named = {and_over(legal_age): age >= legal_age}
    for first, after in zip(firsts, nexts, strict=True):
        name = and_over(first) if after == np.inf else f"{first}-{int(after) - 1}"
        named[name] = (age >= first) & (age < after)
    return named
