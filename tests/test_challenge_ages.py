"""The challenge age: chosen so that the rate is under the target, confirmed on other faces."""

import numpy as np
import pandas as pd
import pytest

from faceage.evaluation import challenge_ages
from faceage.evaluation.bootstrap import Resamples


def resamples(count):
    return Resamples(pd.Series(np.arange(count)), 200, seed=0)


def chosen(predicted, legal_age=18):
    """Thresholds by target, chosen on minors with these predicted ages."""
    age = np.full(len(predicted), legal_age - 1.0)
    table = challenge_ages.choose(age, np.array(predicted), [legal_age])
    return table.set_index("target")["threshold"]


def test_the_lowest_tenth_of_a_year_that_stays_under_the_target():
    # 100 minors predicted 10.05, 10.15 ... 19.95: 5 of 100 are not under 5%, 4 are.
    predicted = 10.05 + np.arange(100) / 10
    threshold = chosen(predicted)
    assert threshold[0.05] == 19.6
    assert (predicted >= threshold[0.05]).sum() == 4
    assert threshold[0.02] == 19.9
    assert threshold[0.01] == 20.0


@pytest.mark.parametrize("count", [1, 7, 50, 100, 150, 300, 700])
def test_the_rate_is_under_the_target_and_a_tenth_less_would_not_be(count):
    predicted = np.sort(18 + 10 * np.random.default_rng(count).random(count))
    for target, threshold in chosen(predicted).items():
        assert (predicted >= threshold).mean() < target
        assert threshold == 18 or (predicted >= threshold - 0.1).mean() >= target


def test_a_prediction_at_the_threshold_passes_it():
    assert chosen([20.0])[0.01] == 20.1
    assert chosen([20.0, 20.0, 19.0])[0.05] == 20.1


def test_a_perfect_estimate_needs_no_margin():
    age = np.arange(0.0, 90)
    table = challenge_ages.choose(age, age, [13, 18])
    assert (table["threshold"] == table["legal_age"]).all()
    assert (table["rate_val"] == 0).all()
    assert table["n_val"].tolist() == [13] * 3 + [18] * 3


def test_without_minors_nothing_is_chosen_and_nothing_confirmed():
    age = np.array([40.0, 50])
    table = challenge_ages.choose(age, age, [18])
    assert table["threshold"].isna().all()
    assert challenge_ages.confirm(table, age, age, resamples(2)).empty


def test_the_price_is_counted_by_age_on_other_faces():
    age = np.array([10.0, 17, 17, 18, 20, 22, 24, 27, 35, 45, 70])
    predicted = np.array([9.0, 30, 17, 19, 21, 21, 31, 22, 36, 21, 70])
    choice = pd.DataFrame({"legal_age": [18], "target": [0.05], "threshold": [22.0]})
    table = challenge_ages.confirm(choice, age, predicted, resamples(11))
    rate = table.set_index(["error", "ages"])["rate"]
    assert rate["false_positive_rate", "under 18"] == pytest.approx(1 / 3)
    assert rate["false_positive_rate", "13-17"] == 1 / 2
    refused = rate["false_negative_rate"].to_dict()
    assert refused == {
        "18 and over": 4 / 8, "18-20": 1, "21-24": 0.5, "25-29": 0, "30-39": 0, "40-59": 1,
        "60 and over": 0,
    }  # fmt: skip


def test_bands_of_adults_start_at_the_legal_age():
    assert list(challenge_ages.adults(np.array([20.0]), 21)) == [
        "21 and over", "21-24", "25-29", "30-39", "40-59", "60 and over",
    ]  # fmt: skip
    assert list(challenge_ages.adults(np.array([20.0]), 70)) == ["70 and over"] * 1
