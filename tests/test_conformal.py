"""Conformal intervals: coverage on simulated data is what theory says, within chance."""

import json

import numpy as np
import pandas as pd
import pytest

from faceage.evaluation.conformal import Calibration, coverage_by_subgroup, half_width, summary


def simulated(count, seed):
    """Ages, and predictions whose error grows with the prediction."""
    random = np.random.default_rng(seed)
    predicted = random.uniform(0, 100, count)
    return np.maximum(predicted + random.normal(0, 1 + predicted / 10), 0), predicted


def calibrated(count):
    age, predicted = simulated(count, seed=1)
    return Calibration.fit(age, predicted, coverage=0.9)


def covered(calibration, age, predicted, low="low", high="high"):
    intervals = calibration.intervals(predicted)
    return ((intervals[low] <= age) & (age <= intervals[high])).to_numpy()


def test_the_half_width_is_the_finite_sample_quantile():
    scores = np.arange(1.0, 100)[::-1]  # 99 of them: the 90th of 1 to 99
    assert half_width(scores, 0.9) == 90
    assert half_width(np.arange(9.0), 0.9) == 8
    assert np.isnan(half_width(np.arange(8.0), 0.9))


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_coverage_over_many_calibrations_is_nominal(level):
    """With n calibration faces it is ceil((n + 1) level) / (n + 1) on average (Vovk 2012)."""
    n, trials = 60, 4000
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(trials):
        errors = random.normal(size=n + 1)
        hits += abs(errors[n]) <= half_width(np.abs(errors[:n]), level)
    expected = np.ceil((n + 1) * level) / (n + 1)
    assert hits / trials == pytest.approx(expected, abs=4 * np.sqrt(level * (1 - level) / trials))


def test_by_age_the_coverage_is_nominal_in_every_bin_and_plain_it_is_not():
    calibration = calibrated(20_000)
    age, predicted = simulated(20_000, seed=2)
    by_age = covered(calibration, age, predicted)
    plain = covered(calibration, age, predicted, "low_plain", "high_plain")
    # Binomial error of calibration and test together, over the 2,000 faces of a decade.
    error = np.sqrt(2 * 0.9 * 0.1 / 2000)
    for decade in range(10):
        rows = predicted // 10 == decade
        assert by_age[rows].mean() == pytest.approx(0.9, abs=4 * error)
    assert plain.mean() == pytest.approx(0.9, abs=0.01)
    assert plain[predicted < 10].mean() > 0.97
    assert plain[predicted > 90].mean() < 0.85


def test_intervals_grow_where_errors_do_and_are_never_negative():
    calibration = calibrated(5000)
    intervals = calibration.intervals(np.array([0.5, 50.0, 95.0]))
    width = intervals["high"] - intervals["low"]
    assert width.is_monotonic_increasing
    assert (intervals[["low", "low_plain"]] >= 0).all(axis=None)


def test_a_perfect_model_has_intervals_of_no_width():
    age = np.arange(100.0)
    calibration = Calibration.fit(age, age, coverage=0.9)
    intervals = calibration.intervals(age)
    assert (intervals["low"] == age).all()
    assert (intervals["high"] == age).all()


def test_bins_with_too_few_faces_are_merged():
    calibration = calibrated(60)
    assert calibration.boundaries == []
    assert calibration.by_age == [calibration.plain]
    assert calibration.bin_faces == [60]


def test_the_table_has_every_group_and_its_overall_row_is_the_mean():
    calibration = calibrated(3000)
    age, predicted = simulated(500, seed=2)
    labels = pd.DataFrame({"gender": ["male", "not given"] * 250, "race": ["Asian"] * 500})
    intervals = calibration.intervals(predicted)
    table = coverage_by_subgroup(age, intervals, labels)
    assert set(table["method"]) == {"plain", "by_age"}
    for _, rows in table.groupby(["method", "grouping"]):
        assert rows["n"].sum() == 500
        mean = np.average(rows["coverage"], weights=rows["n"])
        assert mean == pytest.approx(summary(table)[rows["method"].iloc[0]]["coverage"])
    assert summary(table)["by_age"]["coverage"] == covered(calibration, age, predicted).mean()


def test_too_few_calibration_faces_give_no_interval():
    calibration = Calibration.fit(np.array([30.0]), np.array([33.0]), coverage=0.9)
    intervals = calibration.intervals(np.array([20.0]))
    assert intervals.isna().all(axis=None)
    labels = pd.DataFrame({"gender": ["not given"], "race": ["not given"]})
    table = coverage_by_subgroup(np.array([20.0]), intervals, labels)
    nothing = {"coverage": None, "mean_width": None}
    assert summary(table) == {"plain": nothing, "by_age": nothing}
    assert table["coverage"].isna().all()


def test_what_goes_with_the_model_is_plain_json():
    calibration = calibrated(3000)
    content = json.loads(json.dumps(calibration.as_dict(), allow_nan=False))
    assert content["n"] == sum(entry["n"] for entry in content["by_age"]) == 3000
    assert content["by_age"][0]["from_predicted_age"] == 0
    assert [entry["half_width"] for entry in content["by_age"]] == calibration.by_age
