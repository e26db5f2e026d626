"""Errors by gender, by ethnicity and by both, and how far these subgroups lie apart.

UTKFace's differ in age, and age alone makes errors large or small. So each subgroup's MAE is
given a second time, directly standardised: its MAE in each bin of age, weighted with the ages of
the whole test set (Breslow & Day 1987, chapter 2), as if all had the same age mix.
"""

from typing import Any

import numpy as np
import pandas as pd

from faceage.core.utkface import GENDERS, RACES
from faceage.evaluation.age_bins import bin_index, merged_decades
from faceage.evaluation.bootstrap import Resamples
from faceage.evaluation.metrics import number, shown

NOT_GIVEN = "not given"
# Decades in which a subgroup has fewer faces are merged before its MAE is standardised.
SMALLEST_BIN = 10


def labels(faces: pd.DataFrame) -> pd.DataFrame:
    """Names of the subgroups that each face belongs to: columns gender, race, gender_race.

    Parameters
    ----------
    faces : columns `gender` and `race`, codes or null
    """
    gender, race = _named(faces["gender"], GENDERS), _named(faces["race"], RACES)
    return pd.DataFrame({"gender": gender, "race": race, "gender_race": gender + ", " + race})


def by_subgroup(
    errors: pd.DataFrame, labels: pd.DataFrame, resamples: Resamples, smallest: int
) -> pd.DataFrame:
    """Errors of every subgroup of every grouping: table `subgroups`.

    Parameters
    ----------
    errors : result of `metrics.errors`
    labels : names of subgroups, one column a grouping, index as `errors`
    smallest : faces below which a subgroup is shown but neither standardised nor compared
    """
    rows: list[dict[str, Any]] = []
    for grouping in labels:
        for subgroup, part in errors.groupby(labels[grouping]):
            enough = len(part) >= smallest
            row = {"grouping": grouping, "subgroup": subgroup} | shown(part, resamples)
            standardised = age_standardised_mae(part, errors["age"]) if enough else None
            rows.append(row | {"mae_age_standardised": standardised, "enough": enough})
    return pd.DataFrame(rows)


def age_standardised_mae(part: pd.DataFrame, ages: pd.Series) -> float:
    """MAE, in years, that a subgroup would have with the age mix of `ages`.

    Ages at which it has no face count with the bin that they fall into, the oldest with the
    last.

    Parameters
    ----------
    part : rows of `metrics.errors`
    ages : years, of the whole test set
    """
    boundaries = merged_decades(part["age"].to_numpy(), SMALLEST_BIN)
    mae = part["absolute"].groupby(bin_index(part["age"].to_numpy(), boundaries)).mean()
    mix = np.bincount(bin_index(ages.to_numpy(), boundaries), minlength=len(mae))
    return float(np.average(mae, weights=mix))


def gaps(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Worst subgroup and largest gap of each grouping, among those with enough faces.

    worst: by MAE as it is; gap: largest minus smallest MAE, in years, as it is and at equal age
    mix. All are None where fewer than two subgroups have enough faces.

    Parameters
    ----------
    table : result of `by_subgroup`
    """
    by_grouping = table.groupby("grouping", sort=False)
    return {str(name): _gap(part[part["enough"]]) for name, part in by_grouping}


def _gap(subgroups: pd.DataFrame) -> dict[str, Any]:
    if len(subgroups) < 2:
        return {"worst": None, "gap": None, "gap_age_standardised": None}
    mae = subgroups["mae"].astype(float)
    standardised = subgroups["mae_age_standardised"].astype(float)
    return {
        "worst": subgroups.loc[mae.idxmax(), "subgroup"],
        "gap": number(mae.max() - mae.min()),
        "gap_age_standardised": number(standardised.max() - standardised.min()),
    }


def _named(codes: pd.Series, names: tuple[str, ...]) -> pd.Series:
    named = [NOT_GIVEN if pd.isna(code) else names[code] for code in codes]
    return pd.Series(named, index=codes.index, dtype=object)
