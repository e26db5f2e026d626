"""Age checks, "at least 18" and others: false positives and false negatives, and for whom.

An estimated age at or above a threshold passes; who is estimated younger is asked for a document.
"Challenge 25" has the legal age 18 and the threshold, or challenge age, 25. Of faces under the
legal age the false positive rate is the share that passes, of the others the false negative rate is
the share that does not: words of NIST's Face Analysis Technology Evaluation (FATE), age estimation
and verification, NIST IR 8525 (2024).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from faceage.core.utkface import GENDERS, RACES
from faceage.evaluation import rates
from faceage.evaluation.bootstrap import Resamples
from faceage.evaluation.metrics import Number, number
from faceage.evaluation.rates import Rate
from faceage.evaluation.subgroups import NOT_GIVEN

ADULT = 18  # years
MARGIN = 7  # years from the legal age to the challenge age, as in Challenge 25
JUST_BELOW = 5  # years under the legal age at which a check is hardest: 13 to 17 for 18
THRESHOLDS = 13  # whole years from the legal age on: 18 to 30 for 18
# Ages whose errors matter near a threshold; NIST's mean absolute error is of those from 18 on.
SINGLE_AGES, NIST_AGES = range(13, 31), range(18, 31)
# First and last age of the band in which NIST FATE looks at the safety of children online.
CHILD_BAND = (13, 16)
EVERYBODY = "all"


def by_threshold(
    age: np.ndarray, predicted: np.ndarray, legal_ages: Iterable[int], resamples: Resamples
) -> pd.DataFrame:
    """Error rates at each legal age and threshold: table `age_checks`.

    error: false_positive_rate, of all below the legal age and of those just below, or
    false_negative_rate; ages: whom it is of.

    Parameters
    ----------
    age, predicted : years (n,)
    """
    found = []
    for legal_age in legal_ages:
        for threshold in range(legal_age, legal_age + THRESHOLDS):
            passed = predicted >= threshold
            about = {"legal_age": legal_age, "threshold": threshold}
            for ages, members in below(age, legal_age).items():
                named = about | {"error": "false_positive_rate", "ages": ages}
                found.append(Rate(named, passed, members))
            named = about | {"error": "false_negative_rate", "ages": and_over(legal_age)}
            found.append(Rate(named, ~passed, age >= legal_age))
    return rates.table(found, resamples)


def false_positives(
    age: np.ndarray,
    predicted: np.ndarray,
    people: pd.DataFrame,
    legal_ages: Iterable[int],
    resamples: Resamples,
    smallest: int,
) -> pd.DataFrame:
    """False positive rates by single age, gender, ethnicity and both: table `false_positives`.

    The thresholds are the legal age and the challenge age. enough: whether there are `smallest`
    faces; with fewer a rate is shown, but not compared.

    Parameters
    ----------
    age, predicted : years (n,)
    people : `subgroups.labels` of these faces
    """
    found = _by_group(age, predicted, people, legal_ages)
    table = rates.table(found, resamples)
    return table.assign(enough=table["n"] >= smallest)


def ratios(
    age: np.ndarray,
    predicted: np.ndarray,
    people: pd.DataFrame,
    table: pd.DataFrame,
    resamples: Resamples,
) -> pd.DataFrame:
    """False positive rate of the worst subgroup over that of the best: `false_positive_ratios`.

    Of the subgroups with enough faces; no number where fewer than two have them, or where the
    best has no false positive, and no worst and best where nobody has. The interval is of the ratio
    of these two subgroups; its upper end is no number where chance alone could leave the best
    without a false positive.

    Parameters
    ----------
    table : result of `false_positives`
    """
    rows = []
    keys = ["legal_age", "threshold", "ages", "grouping"]
    compared = table[~table["grouping"].isin([EVERYBODY, "age"])]
    for key, part in compared.groupby(keys, sort=False):
        legal_age, threshold, ages, grouping = key
        row: dict[str, Any] = dict(zip(keys, key, strict=True))
        enough = part[part["enough"]]
        if len(enough) > 1 and enough["rate"].max() > 0:
            worst, best = (
                enough.loc[enough["rate"].agg(pick), "subgroup"] for pick in ("idxmax", "idxmin")
            )
            row |= {"worst": worst, "best": best}
            passed, members = predicted >= threshold, below(age, legal_age)[ages]
            pair = [
                Rate({}, passed, members & (people[grouping] == name).to_numpy())
                for name in (worst, best)
            ]
            row |= _ratio(enough["rate"].max(), enough["rate"].min(), pair, resamples)
        rows.append(row)
    return pd.DataFrame(rows, columns=[*keys, "worst", "best", "ratio", "low", "high"])


def single_ages(age: np.ndarray, predicted: np.ndarray, people: pd.DataFrame) -> pd.DataFrame:
    """Errors, in years, of all and of both genders at each age near 18: table `single_ages`.

    mae; sd: standard deviation of the error, which a single face has none of; bias: mean of
    predicted - true.

    Parameters
    ----------
    people : column `gender`, names, row for row as `age`
    """
    error = pd.Series(predicted - age)
    gender = people["gender"].to_numpy()
    rows = []
    for years, name in product(SINGLE_AGES, (EVERYBODY, *GENDERS)):
        part = error[(age == years) & ((gender == name) | (name == EVERYBODY))]
        rows.append(
            {
                "age": years,
                "gender": name,
                "n": len(part),
                "mae": part.abs().mean(),
                "sd": part.std(ddof=0) if len(part) > 1 else np.nan,
                "bias": part.mean(),
            }
        )
    return pd.DataFrame(rows)


def child_safety(age: np.ndarray, predicted: np.ndarray, resamples: Resamples) -> pd.DataFrame:
    """Share of the children of 13 to 16, and of others, estimated inside that band, below, above.

    Table `child_safety`: ages, who they are; estimated: where the model puts them.
    """
    first, last = CHILD_BAND
    names = (f"under {first}", f"{first}-{last}", and_over(last + 1))
    edges = [first, last + 1]
    true, estimated = np.digitize(age, edges), np.digitize(predicted, edges)
    return rates.table(
        (
            Rate({"ages": names[a], "estimated": names[b]}, estimated == b, true == a)
            for a, b in product(range(3), repeat=2)
        ),
        resamples,
    )


def summary(
    thresholds: pd.DataFrame,
    single_ages: pd.DataFrame,
    ratios: pd.DataFrame,
    children: pd.DataFrame,
    legal_ages: Sequence[int],
) -> dict[str, Any]:
    """The headline: of the legal age 18, or of the highest where that is not asked for.

    mae_18_30: mean over 13 single ages; mae_18_30_by_gender: mean over the 26 cells of an age and a
    gender, which is NIST's; both over those that have faces, cells_with_faces of 26.

    Parameters
    ----------
    thresholds, single_ages, ratios, children : results of `by_threshold`, `single_ages`, `ratios`
        and `child_safety`
    """
    legal_age = headline_age(legal_ages)
    challenge = legal_age + MARGIN
    at = thresholds[thresholds["legal_age"] == legal_age]
    at = at[at["threshold"] == challenge].set_index("ages")
    near = single_ages[single_ages["age"].isin(NIST_AGES)]
    cells = near[near["gender"].isin(GENDERS)]
    first, last = CHILD_BAND
    inside = children[children["ages"] == f"{first}-{last}"]
    shares = dict(zip(("below", "inside", "above"), inside["rate"].map(number), strict=True))
    worst = ratios[(ratios["legal_age"] == legal_age) & (ratios["threshold"] == challenge)]
    worst = worst[worst["ages"] == under(legal_age)].set_index("grouping")["ratio"]
    return {
        "legal_age": legal_age,
        "challenge_age": challenge,
        "false_positive_rate": _shown(at.loc[under(legal_age)]),
        "false_positive_rate_just_below": _shown(at.loc[just_below(legal_age)]),
        "false_negative_rate": _shown(at.loc[and_over(legal_age)]),
        "worst_to_best": {name: number(ratio) for name, ratio in worst.items()},
        "mae_18_30": number(near.loc[near["gender"] == EVERYBODY, "mae"].mean()),
        "mae_18_30_by_gender": number(cells["mae"].mean()),
        "cells_with_faces": int(cells["mae"].notna().sum()),
        "children_13_16": {"n": int(inside["n"].iloc[0])} | shares,
    }


def headline_age(legal_ages: Sequence[int]) -> int:
    """The legal age that headlines are of."""
    return ADULT if ADULT in legal_ages else max(legal_ages)


def below(age: np.ndarray, legal_age: int) -> dict[str, np.ndarray]:
    """Who is below the legal age, and who is just below: bool (n,) by what they are called."""
    minors = age < legal_age
    return {
        under(legal_age): minors,
        just_below(legal_age): minors & (age >= legal_age - JUST_BELOW),
    }


def under(legal_age: int) -> str:
    """What those below the legal age are called."""
    return f"under {legal_age}"


def just_below(legal_age: int) -> str:
    """What those just below the legal age are called: `13-17`."""
    return f"{max(0, legal_age - JUST_BELOW)}-{legal_age - 1}"


def and_over(legal_age: int) -> str:
    """What those of the legal age are called."""
    return f"{legal_age} and over"


def _by_group(
    age: np.ndarray, predicted: np.ndarray, people: pd.DataFrame, legal_ages: Iterable[int]
) -> Iterator[Rate]:
    groups = _groups(people)
    for legal_age in legal_ages:
        for threshold in (legal_age, legal_age + MARGIN):
            passed = predicted >= threshold
            about = {"legal_age": legal_age, "threshold": threshold}
            near = about | {"ages": just_below(legal_age), "grouping": "age"}
            for years in range(max(0, legal_age - JUST_BELOW), legal_age):
                yield Rate(near | {"subgroup": str(years)}, passed, age == years)
            for ages, members in below(age, legal_age).items():
                yield Rate(
                    about | {"ages": ages, "grouping": EVERYBODY, "subgroup": EVERYBODY},
                    passed,
                    members,
                )
                for grouping, subgroup, mine in groups:
                    named = {"ages": ages, "grouping": grouping, "subgroup": subgroup}
                    yield Rate(about | named, passed, members & mine)


def _groups(people: pd.DataFrame) -> list[tuple[str, str, np.ndarray]]:
    """Grouping, name and faces of each subgroup that occurs, those without a label left out."""
    names = {
        "gender": list(GENDERS),
        "race": list(RACES),
        "gender_race": [f"{gender}, {race}" for gender, race in product(GENDERS, RACES)],
    }
    return [
        (grouping, name, mine)
        for grouping, listed in names.items()
        for name in listed
        if NOT_GIVEN not in name and (mine := (people[grouping] == name).to_numpy()).any()
    ]


def _ratio(worst: float, best: float, pair: list[Rate], resamples: Resamples) -> dict[str, float]:
    if not best:
        return {}
    drawn = rates.draws(pair, resamples)
    ratio = drawn[0] / drawn[1]
    # Where the best has no false positive in too many resamples, the ratio has no upper end.
    ends = np.quantile(ratio.dropna(), [rates.TAIL, 1 - rates.TAIL], method="nearest")
    low, high = np.where(np.isfinite(ends), ends, np.nan)
    return {"ratio": worst / best, "low": low, "high": high}


def _shown(rate: pd.Series) -> dict[str, Number]:
    numbers = {name: number(rate[name]) for name in ("rate", "low", "high")}
    return {"n": int(rate["n"])} | numbers
