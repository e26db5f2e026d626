"""Errors by gender, by ethnicity and by both, and how far the groups lie apart.

UTKFace's groups differ in age, and age alone makes errors large or small. So each group's MAE is
given a second time, directly standardised: its MAE in each bin of age, weighted with the ages of
the whole test set (Breslow & Day 1987, chapter 2), as if all groups had the same age mix.
"""

from typing import Any

import numpy as np
import pandas as pd

from faceage.core.utkface import GENDERS, RACES
from faceage.evaluation.age_bins import bin_index, merged_decades
from faceage.evaluation.bootstrap import Resamples
from faceage.evaluation.metrics import COLUMNS as SHORT
from faceage.evaluation.metrics import in_short, number

NOT_GIVEN = "not given"
# Decades in which a group has fewer faces are merged before its MAE is standardised.
SMALLEST_BIN = 10
COLUMNS = ("grouping", "subgroup", *SHORT, "mae_age_standardised", "enough")


def labels(faces: pd.DataFrame) -> pd.DataFrame:
    """Names of the groups that each face belongs to: columns gender, race, gender_race.

    Parameters
    ----------
    faces : columns `gender` and `race`, codes or null
    """
    gender, race = _named(faces["gender"], GENDERS), _named(faces["race"], RACES)
    return pd.DataFrame({"gender": gender, "race": race, "gender_race": gender + ", " + race})


def by_group(
    faces: pd.DataFrame, labels: pd.DataFrame, resamples: Resamples, smallest: int
) -> pd.DataFrame:
    """Errors of every group of every grouping: reports/subgroups.csv.

    Parameters
    ----------
    faces : result of `metrics.per_face`
    labels : group names, one column a grouping, index as `faces`
    smallest : faces below which a group is shown but neither standardised nor compared
    """
    rows: list[dict[str, Any]] = []
    for grouping in labels:
        for group, part in faces.groupby(labels[grouping]):
            enough = len(part) >= smallest
            row = {"grouping": grouping, "subgroup": group} | in_short(part, resamples)
            standardised = age_standardised_mae(part, faces["age"]) if enough else None
            rows.append(row | {"mae_age_standardised": standardised, "enough": enough})
    return pd.DataFrame(rows)


def age_standardised_mae(part: pd.DataFrame, ages: pd.Series) -> float:
    """MAE, in years, that a group would have with the age mix of `ages`.

    Ages at which the group has no face count with the bin that they fall into, the oldest with the
    last.

    Parameters
    ----------
    part : rows of `metrics.per_face`
    ages : years, of the whole test set
    """
    boundaries = merged_decades(part["age"].to_numpy(), SMALLEST_BIN)
    mae = part["absolute"].groupby(bin_index(part["age"].to_numpy(), boundaries)).mean()
    mix = np.bincount(bin_index(ages.to_numpy(), boundaries), minlength=len(mae))
    return float(np.average(mae, weights=mix))


def gaps(groups: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Worst group and largest gap of each grouping, among the groups with enough faces.

    worst: by MAE as it is; gap: largest minus smallest MAE, in years, as it is and at equal age
    mix. All are None where fewer than two groups have enough faces.

    Parameters
    ----------
    groups : result of `by_group`
    """
    by_grouping = groups.groupby("grouping", sort=False)
    return {str(name): _gap(part[part["enough"]]) for name, part in by_grouping}


def _gap(groups: pd.DataFrame) -> dict[str, Any]:
    if len(groups) < 2:
        return {"worst": None, "gap": None, "gap_age_standardised": None}
    mae, standardised = groups["mae"].astype(float), groups["mae_age_standardised"].astype(float)
    return {
        "worst": groups.loc[mae.idxmax(), "subgroup"],
        "gap": number(mae.max() - mae.min()),
        "gap_age_standardised": number(standardised.max() - standardised.min()),
    }


def _named(codes: pd.Series, names: tuple[str, ...]) -> pd.Series:
    named = [NOT_GIVEN if pd.isna(code) else names[code] for code in codes]
    return pd.Series(named, index=codes.index, dtype=object)
