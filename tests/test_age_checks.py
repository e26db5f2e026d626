"""Age checks against counting by hand: perfect, constant and biased estimates, empty cells."""

import numpy as np
import pandas as pd
import pytest

from faceage.core.utkface import GENDERS, RACES
from faceage.evaluation import age_checks
from faceage.evaluation.bootstrap import Resamples

ADULTS = "18 and over"


def resamples(count):
    return Resamples(pd.Series(np.arange(count)), 200, seed=0)


def people(count, gender="male", race="White"):
    labels = pd.DataFrame({"gender": [gender] * count, "race": [race] * count})
    return labels.assign(gender_race=labels["gender"] + ", " + labels["race"])


def by_threshold(age, predicted, legal_age=18):
    """Rates by threshold, error and whom they are of."""
    table = age_checks.by_threshold(age, predicted, [legal_age], resamples(len(age)))
    return table.set_index(["threshold", "error", "ages"])["rate"]


def summary(age, predicted, who=None, legal_ages=(18,)):
    who = people(len(age)) if who is None else who
    drawn, legal_ages = resamples(len(age)), list(legal_ages)
    positives = age_checks.false_positives(age, predicted, who, legal_ages, drawn, smallest=2)
    return age_checks.summary(
        age_checks.by_threshold(age, predicted, legal_ages, drawn),
        age_checks.single_ages(age, predicted, who),
        age_checks.ratios(age, predicted, who, positives, drawn),
        age_checks.child_safety(age, predicted, drawn),
        legal_ages,
    )


def test_rates_are_shares_of_minors_and_of_adults():
    age = np.array([10.0, 17, 17, 17, 18, 30, 60, 60, 60])
    predicted = np.array([9.0, 18, 25, 24.99, 17, 25, 60, 40, 24])
    rates = by_threshold(age, predicted)
    assert sorted(set(rates.index.get_level_values("threshold"))) == list(range(18, 31))
    assert rates[18, "false_positive_rate", "under 18"] == 3 / 4
    assert rates[18, "false_positive_rate", "13-17"] == 1
    assert rates[25, "false_positive_rate", "under 18"] == 1 / 4
    assert rates[25, "false_positive_rate", "13-17"] == pytest.approx(1 / 3)
    assert rates[18, "false_negative_rate", ADULTS] == 1 / 5
    assert rates[25, "false_negative_rate", ADULTS] == 2 / 5
    found = summary(age, predicted)
    assert (found["legal_age"], found["challenge_age"]) == (18, 25)
    assert found["false_positive_rate"]["n"] == 4
    assert found["false_positive_rate"]["rate"] == 0.25
    assert found["false_negative_rate"]["rate"] == 0.4
    assert found["mae_18_30"] == pytest.approx((1 + 5) / 2)


def test_a_perfect_estimate_lets_no_minor_pass():
    age = np.arange(0.0, 90)
    rates = by_threshold(age, age)
    assert (rates[:, "false_positive_rate"] == 0).all()
    refused = rates[:, "false_negative_rate", ADULTS].tolist()
    assert refused == pytest.approx([n / 72 for n in range(13)])
    found = summary(age, age)
    assert found["mae_18_30"] == found["mae_18_30_by_gender"] == 0
    assert found["children_13_16"] == {"n": 4, "below": 0, "inside": 1, "above": 0}


def test_a_constant_estimate_decides_alike_about_all():
    age = np.arange(0.0, 60)
    rates = by_threshold(age, np.full(60, 20.0))
    assert rates[20, "false_positive_rate", "under 18"] == 1
    assert rates[20, "false_negative_rate", ADULTS] == 0
    assert rates[21, "false_positive_rate", "under 18"] == 0
    assert rates[21, "false_negative_rate", ADULTS] == 1


def test_a_biased_estimate_lets_those_pass_whom_the_bias_lifts():
    age = np.arange(0.0, 60)
    rates = by_threshold(age, age + 3)
    assert rates[18, "false_positive_rate", "13-17"] == 3 / 5
    assert rates[20, "false_positive_rate", "13-17"] == 1 / 5
    assert rates[21, "false_positive_rate", "13-17"] == 0
    twice = np.repeat(age, 2)
    singles = age_checks.single_ages(twice, twice + 3, people(120))
    of_all = singles[singles["gender"] == "all"]
    assert of_all[["mae", "bias"]].eq(3).all(axis=None)
    assert of_all["sd"].eq(0).all()
    children = summary(age, age + 3)["children_13_16"]
    assert children == {"n": 4, "below": 0, "inside": 0.25, "above": 0.75}


@pytest.mark.parametrize("legal_age", [13, 16, 21])
def test_other_legal_ages_have_their_own_thresholds_and_people(legal_age):
    age = np.arange(0.0, 60)
    rates = by_threshold(age, age + 1, legal_age)
    first = rates.index[0][0]
    assert first == legal_age
    near = f"{legal_age - 5}-{legal_age - 1}"
    assert rates[first, "false_positive_rate", near] == 1 / 5
    assert rates[first, "false_positive_rate", f"under {legal_age}"] == 1 / legal_age
    assert rates[first + 2, "false_negative_rate", f"{legal_age} and over"] == 1 / (60 - legal_age)


def test_the_mean_of_13_ages_and_nist_s_of_26_cells_differ():
    """Men are 1 year off and three times as many; women 5 years."""
    ages = np.arange(18.0, 31)
    age = np.concatenate([np.repeat(ages, 3), ages])
    who = pd.concat([people(39), people(13, gender="female")], ignore_index=True)
    error = np.where(who["gender"] == "male", 1.0, 5.0)
    found = summary(age, age + error, who)
    assert found["mae_18_30"] == pytest.approx((3 * 1 + 5) / 4)
    assert found["mae_18_30_by_gender"] == pytest.approx((1 + 5) / 2)
    assert found["cells_with_faces"] == 26
    only_men = summary(age[:39], age[:39] + 1, people(39))
    assert only_men["cells_with_faces"] == 13


def test_the_standard_deviation_is_of_the_signed_error():
    age, error = np.full(4, 18.0), np.array([-2.0, 2, 4, 8])
    singles = age_checks.single_ages(age, age + error, people(4)).set_index(["age", "gender"])
    assert singles.loc[(18, "all"), "sd"] == pytest.approx(np.std(error))
    assert singles.loc[(18, "all"), "mae"] == 4
    assert singles.loc[(18, "female"), "n"] == 0
    alone = age_checks.single_ages(age[:1], age[:1] + 2, people(1)).set_index(["age", "gender"])
    assert alone.loc[(18, "all"), "mae"] == 2
    assert np.isnan(alone.loc[(18, "all"), "sd"])


def four_groups():
    """Minors of 17: of 4 white men 1 passes, of 4 white women 2, of a black woman none."""
    who = pd.concat(
        [people(4), people(4, gender="female"), people(1, gender="female", race="Black")],
        ignore_index=True,
    )
    predicted = np.array([20.0, 9, 9, 9, 20, 20, 9, 9, 9])
    return np.full(9, 17.0), predicted, who


def test_false_positives_are_counted_by_group():
    age, predicted, who = four_groups()
    table = age_checks.false_positives(age, predicted, who, [18], resamples(9), smallest=4)
    at = table[(table["threshold"] == 18) & (table["ages"] == "13-17")]
    of = at.set_index(["grouping", "subgroup"])
    assert of.loc[("all", "all"), "rate"] == pytest.approx(3 / 9)
    assert of.loc[("gender", "male"), "rate"] == 1 / 4
    assert of.loc[("gender", "female"), "rate"] == 2 / 5
    assert of.loc[("age", "17"), ["n", "rate"]].tolist() == [9, pytest.approx(3 / 9)]
    assert of.loc[("age", "13"), "n"] == 0
    assert np.isnan(of.loc[("age", "13"), "rate"])
    alone = of.loc[("gender_race", "female, Black")]
    assert (alone["n"], alone["rate"], alone["enough"]) == (1, 0, False)
    assert alone["high"] == pytest.approx(0.975)
    passing_25 = table[(table["threshold"] == 25) & (table["grouping"] == "all")]
    assert passing_25["rate"].eq(0).all()


def test_the_ratio_is_of_worst_to_best_of_those_with_enough_faces():
    age, predicted, who = four_groups()
    drawn = resamples(9)
    table = age_checks.false_positives(age, predicted, who, [18], drawn, smallest=4)
    found = age_checks.ratios(age, predicted, who, table, drawn)
    at = found[(found["threshold"] == 18) & (found["ages"] == "13-17")].set_index("grouping")
    assert at.loc["gender_race", ["worst", "best"]].tolist() == ["female, White", "male, White"]
    assert at.loc["gender_race", "ratio"] == 2
    assert at.loc["gender_race", "low"] <= 2
    assert np.isnan(at.loc["gender_race", "high"]), "1 of 4 may as well have been none"
    assert at.loc["gender", "ratio"] == pytest.approx((2 / 5) / (1 / 4))
    assert np.isnan(at.loc["race", "ratio"])
    assert pd.isna(at.loc["race", "worst"])
    # Nobody passes at 25: a rate of nought has no ratio, and nobody is worst.
    assert found.loc[found["threshold"] == 25, ["worst", "ratio"]].isna().all(axis=None)


def test_the_ratio_s_interval_agrees_with_a_bootstrap_done_face_by_face():
    who = pd.concat([people(200), people(200, gender="female")], ignore_index=True)
    passes = np.arange(400) % 200 < np.where(np.arange(400) < 200, 40, 100)
    age, predicted = np.full(400, 17.0), np.where(passes, 20.0, 9)
    drawn = Resamples(pd.Series(np.arange(400)), 3000, seed=0)
    table = age_checks.false_positives(age, predicted, who, [18], drawn, smallest=4)
    found = age_checks.ratios(age, predicted, who, table, drawn)
    (row,) = found[(found["grouping"] == "gender") & (found["threshold"] == 18)].to_dict("records")[
        :1
    ]
    rng = np.random.default_rng(1)
    by_hand = []
    for _ in range(3000):
        rows = rng.integers(0, 400, 400)
        by_hand.append(passes[rows][rows >= 200].mean() / passes[rows][rows < 200].mean())
    assert row["ratio"] == 2.5
    expected = np.quantile(by_hand, [0.025, 0.975])
    assert [row["low"], row["high"]] == pytest.approx(expected, abs=0.2 * np.std(by_hand))


def test_faces_without_a_label_are_in_no_group():
    who = pd.DataFrame({"gender": ["not given"] * 2, "race": ["Black", "not given"]})
    who = who.assign(gender_race=who["gender"] + ", " + who["race"])
    age = np.array([15.0, 16])
    table = age_checks.false_positives(age, age, who, [18], resamples(2), smallest=2)
    assert set(table.loc[table["grouping"] != "age", "subgroup"]) == {"all", "Black"}


def test_every_group_that_occurs_has_a_row_in_the_order_of_the_labels():
    count = len(GENDERS) * len(RACES)
    who = pd.DataFrame({"gender": GENDERS * len(RACES), "race": sorted(RACES * len(GENDERS))})
    who = who.assign(gender_race=who["gender"] + ", " + who["race"])
    age = np.full(count, 40.0)
    table = age_checks.false_positives(age, age, who, [18], resamples(count), smallest=2)
    at = table[(table["threshold"] == 18) & (table["ages"] == "under 18")]
    assert list(at.loc[at["grouping"] == "race", "subgroup"]) == list(RACES)
    assert (at["grouping"] == "gender_race").sum() == count
    assert at["n"].eq(0).all()


def test_children_are_estimated_inside_the_band_below_or_above():
    age = np.array([12.0, 13, 14, 16, 16, 17, 40])
    predicted = np.array([13.0, 12.9, 13, 16.99, 17, 16, 30])
    table = age_checks.child_safety(age, predicted, resamples(7))
    rates = table.set_index(["ages", "estimated"])["rate"]
    assert rates["13-16"].to_dict() == {"under 13": 0.25, "13-16": 0.5, "17 and over": 0.25}
    assert rates["under 13", "13-16"] == 1
    assert rates["17 and over", "13-16"] == 0.5


def test_without_minors_there_is_no_false_positive_rate():
    found = summary(np.array([40.0]), np.array([40.0]))
    nothing = {"n": 0, "rate": None, "low": None, "high": None}
    assert found["false_positive_rate"] == found["false_positive_rate_just_below"] == nothing
    assert found["false_negative_rate"]["rate"] == 0
    assert found["mae_18_30"] is found["mae_18_30_by_gender"] is None
    assert found["cells_with_faces"] == 0
    assert found["children_13_16"] == {"n": 0, "below": None, "inside": None, "above": None}


@pytest.mark.parametrize(("legal_ages", "headline"), [([13, 18, 21], 18), ([13, 16], 16)])
def test_the_headline_is_of_18_where_that_is_asked_for(legal_ages, headline):
    age = np.arange(0.0, 60)
    assert summary(age, age, legal_ages=legal_ages)["legal_age"] == headline
