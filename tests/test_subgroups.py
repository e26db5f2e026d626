"""Subgroups: names, gaps, age standardisation in closed form, and tables that lack something."""

import numpy as np
import pandas as pd
import pytest
from conftest import errors_of

from faceage.evaluation import subgroups
from faceage.evaluation.bootstrap import Resamples

RNG = np.random.default_rng(0)


def tables(age, error, gender, race=None, smallest=30):
    """Labels and the table of subgroups of faces with these labels and errors."""
    age = np.asarray(age, dtype=float)
    race = [0] * len(age) if race is None else race
    labels = subgroups.labels(pd.DataFrame({"gender": gender, "race": race}, dtype="Int8"))
    errors = errors_of(age, age + error, [18])
    resamples = Resamples(pd.Series(np.arange(len(age))), 200, seed=0)
    return labels, subgroups.by_subgroup(errors, labels, resamples, smallest)


def test_missing_labels_are_a_subgroup_of_their_own():
    labels, table = tables([20, 30, 40], 1, [0, 1, None], [2, None, None])
    assert list(labels["gender"]) == ["male", "female", "not given"]
    assert list(labels["gender_race"]) == [
        "male, Asian",
        "female, not given",
        "not given, not given",
    ]
    assert table.groupby("grouping")["n"].sum().to_dict() == {
        "gender": 3,
        "gender_race": 3,
        "race": 3,
    }


def test_subgroups_have_their_own_error_and_interval():
    gender = np.repeat([0, 1], 100)
    error = np.where(gender == 0, 2.0, -5.0) + RNG.normal(0, 0.1, 200)
    _, table = tables(RNG.integers(0, 90, 200), error, gender)
    rows = table[table["grouping"] == "gender"].set_index("subgroup")
    assert rows.loc["female", "mae"] == pytest.approx(5, abs=0.05)
    assert rows.loc["female", "bias"] == pytest.approx(-5, abs=0.05)
    assert (rows["mae_low"] < rows["mae"]).all()
    assert (rows["mae"] < rows["mae_high"]).all()
    gaps = subgroups.gaps(table)
    assert gaps["gender"]["worst"] == "female"
    assert gaps["gender"]["gap"] == pytest.approx(3, abs=0.1)


def test_a_gap_that_is_all_age_goes_at_equal_age_mix():
    """Both genders err by a tenth of the decade; one of them is older."""
    age = np.concatenate([np.tile([15, 25, 25, 25, 55], 20), np.tile([15, 55, 55, 55, 25], 20)])
    _, table = tables(age, age // 10, np.repeat([0, 1], 100))
    gap = subgroups.gaps(table)["gender"]
    assert gap["gap"] == pytest.approx((1 + 3 * 5 + 2 - 1 - 3 * 2 - 5) / 5)
    assert gap["gap_age_standardised"] == pytest.approx(0)
    rows = table[table["grouping"] == "gender"]
    assert list(rows["mae_age_standardised"]) == pytest.approx([np.mean(age // 10)] * 2)


def test_a_gap_at_every_age_stays():
    age = np.tile([15, 35, 55], 60)
    gender = np.repeat([0, 1], 90)
    _, table = tables(age, 3.0 + 2 * gender, gender)
    assert subgroups.gaps(table)["gender"]["gap_age_standardised"] == pytest.approx(2)


def test_standardising_with_the_own_ages_changes_nothing():
    age = RNG.integers(0, 90, 400).astype(float)
    errors = errors_of(age, age + RNG.normal(0, 5, 400), [18])
    standardised = subgroups.age_standardised_mae(errors, errors["age"])
    assert standardised == pytest.approx(errors["absolute"].mean())


def test_a_small_subgroup_is_shown_but_never_the_worst():
    gender = [0] * 40 + [1] * 29
    error = np.where(np.array(gender) == 0, 1.0, 50.0)
    _, table = tables(np.full(69, 30), error, gender)
    row = table[(table["grouping"] == "gender") & (table["subgroup"] == "female")].iloc[0]
    assert (row["n"], row["mae"], bool(row["enough"])) == (29, 50, False)
    assert pd.isna(row["mae_age_standardised"])
    nothing = {"worst": None, "gap": None, "gap_age_standardised": None}
    assert subgroups.gaps(table)["gender"] == nothing


@pytest.mark.parametrize("gender", [[0] * 50, [None] * 50, [1]])
def test_one_subgroup_alone_has_no_gap(gender):
    _, table = tables(np.full(len(gender), 30), 2.0, gender, [None] * len(gender))
    assert set(table["grouping"]) == {"gender", "race", "gender_race"}
    assert (table["mae"] == 2).all()
    assert all(gap["gap"] is gap["worst"] is None for gap in subgroups.gaps(table).values())
