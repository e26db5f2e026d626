"""Age checks, as NIST reports them: Face Analysis Technology Evaluation, NIST IR 8525 (2024).

A shop that must not sell to minors lets a predicted age at or above a threshold pass and asks the
others for a document: "Challenge 25" has the threshold 25. Two things can go wrong: a minor passes
(false positive), an adult is turned away.
"""

import numpy as np
import pandas as pd

from faceage.evaluation.metrics import Number, number

ADULT = 18  # years
CHALLENGE = 25  # the threshold that shops use, in years
AGES = range(18, 31)  # thresholds, and the single ages whose errors matter there


def by_threshold(age: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """Error rates of "at least 18" for each threshold of `AGES`: table `age_checks`.

    false_positive_rate: share of the minors predicted at or above the threshold;
    adults_turned_away: share of the adults predicted below it. A rate of nobody is not a number.

    Parameters
    ----------
    age, predicted : years (n,)
    """
    minors, adults = pd.Series(predicted[age < ADULT]), pd.Series(predicted[age >= ADULT])
    return pd.DataFrame(
        {
            "threshold": threshold,
            "false_positive_rate": (minors >= threshold).mean(),
            "adults_turned_away": (adults < threshold).mean(),
        }
        for threshold in AGES
    )


def by_single_age(age: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """Number of faces and MAE, in years, of each single age of `AGES`: table `ages_18_30`."""
    absolute = pd.Series(np.abs(predicted - age))
    parts = {years: absolute[age == years] for years in AGES}
    return pd.DataFrame(
        {"age": years, "n": len(part), "mae": part.mean()} for years, part in parts.items()
    )


def summary(
    age: np.ndarray, thresholds: pd.DataFrame, single_ages: pd.DataFrame
) -> dict[str, Number | dict[str, Number]]:
    """MAE over the single ages with equal weight (those that have faces), and Challenge 25.

    Parameters
    ----------
    age : years (n,)
    thresholds, single_ages : results of `by_threshold` and `by_single_age`
    """
    challenge = thresholds.set_index("threshold").loc[CHALLENGE]
    return {
        "mae_18_30": number(single_ages["mae"].mean()),
        f"challenge_{CHALLENGE}": {
            "false_positive_rate": number(challenge["false_positive_rate"]),
            "adults_turned_away": number(challenge["adults_turned_away"]),
            "n_minors": int((age < ADULT).sum()),
            "n_adults": int((age >= ADULT).sum()),
        },
    }
