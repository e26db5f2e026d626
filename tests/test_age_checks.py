"""Age checks against counting by hand."""

import numpy as np
import pytest

from faceage.evaluation import age_checks


def test_rates_are_shares_of_minors_and_of_adults():
    age = np.array([10.0, 17, 17, 17, 18, 30, 60, 60, 60])
    predicted = np.array([9.0, 18, 25, 24.99, 17, 25, 60, 40, 24])
    rates = age_checks.by_threshold(age, predicted).set_index("threshold")
    assert list(rates.index) == list(range(18, 31))
    assert rates.loc[18, "false_positive_rate"] == 3 / 4
    assert rates.loc[25, "false_positive_rate"] == 1 / 4
    assert rates.loc[18, "adults_turned_away"] == 1 / 5
    assert rates.loc[25, "adults_turned_away"] == 2 / 5
    singles = age_checks.by_single_age(age, predicted)
    assert age_checks.summary(age, rates.reset_index(), singles) == {
        "mae_18_30": pytest.approx((1 + 5) / 2),
        "challenge_25": {
            "false_positive_rate": 0.25,
            "adults_turned_away": 0.4,
            "n_minors": 4,
            "n_adults": 5,
        },
    }


def test_single_ages_count_the_same_however_many_faces_they_have():
    age = np.repeat(np.arange(18.0, 31), np.arange(1, 14))
    error = np.repeat(np.arange(13.0), np.arange(1, 14))
    singles = age_checks.by_single_age(age, age - error)
    assert list(singles["age"]) == list(range(18, 31))
    assert list(singles["n"]) == list(range(1, 14))
    thresholds = age_checks.by_threshold(age, age)
    assert age_checks.summary(age, thresholds, singles)["mae_18_30"] == pytest.approx(6)


def test_a_perfect_estimate_lets_no_minor_pass():
    age = np.arange(0.0, 90)
    rates = age_checks.by_threshold(age, age)
    assert (rates["false_positive_rate"] == 0).all()
    assert list(rates["adults_turned_away"]) == pytest.approx([n / 72 for n in range(13)])


def test_without_minors_there_is_no_false_positive_rate():
    age = np.array([40.0])
    rates, singles = age_checks.by_threshold(age, age), age_checks.by_single_age(age, age)
    summary = age_checks.summary(age, rates, singles)
    assert rates["false_positive_rate"].isna().all()
    assert summary["mae_18_30"] is None
    assert summary["challenge_25"] == {
        "false_positive_rate": None,
        "adults_turned_away": 0,
        "n_minors": 0,
        "n_adults": 1,
    }
