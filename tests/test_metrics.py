"""Metrics against closed forms, scikit-learn and a bootstrap done by hand."""

import numpy as np
import pandas as pd
import pytest
from conftest import errors_of
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from faceage.evaluation import baselines, metrics
from faceage.evaluation.bootstrap import Resamples

BOUNDARIES = [18, 41, 61]
RNG = np.random.default_rng(0)
AGES = RNG.integers(1, 100, 300).astype(float)
CLUSTERS = pd.Series(np.arange(300).astype(str))


def compute(age, predicted, clusters=CLUSTERS, resamples=200):
    errors = errors_of(age, predicted, BOUNDARIES)
    return metrics.compute(errors, Resamples(clusters, resamples, seed=0))


def test_a_perfect_predictor():
    result = compute(AGES, AGES)
    zero = ("mae", "balanced_mae", "mse", "rmse", "bias", "median_error", "mae_low", "mae_high")
    assert all(result[name] == 0 for name in zero)
    one = ("r2", "cs1", "cs3", "cs5", "cs10", "group_accuracy", "cs5_low")
    assert all(result[name] == 1 for name in one)


def test_a_biased_predictor():
    result = compute(AGES, AGES + 4)
    for name in ("mae", "balanced_mae", "rmse", "bias", "median_error"):
        assert result[name] == pytest.approx(4)
    assert (result["cs3"], result["cs5"]) == (0, 1)
    assert result["mse"] == pytest.approx(16)


def test_a_constant_predictor_explains_nothing():
    result = compute(AGES, np.full(300, AGES.mean()))
    assert result["r2"] == pytest.approx(0)
    assert result["bias"] == pytest.approx(0)
    assert result["rmse"] == pytest.approx(AGES.std())


def test_metrics_agree_with_scikit_learn():
    predicted = AGES + RNG.normal(0, 6, 300)
    result = compute(AGES, predicted)
    assert result["mae"] == pytest.approx(mean_absolute_error(AGES, predicted))
    assert result["mse"] == pytest.approx(mean_squared_error(AGES, predicted))
    assert result["r2"] == pytest.approx(r2_score(AGES, predicted))
    assert result["median_error"] == pytest.approx(np.median(np.abs(AGES - predicted)))
    assert result["cs5"] == pytest.approx(np.mean(np.abs(AGES - predicted) <= 5))


def test_the_balanced_mae_counts_every_decade_the_same():
    age = np.array([5.0, 5, 5, 25, 95])
    result = compute(age, age + np.array([1, 1, 1, 4, 10]), pd.Series(list("abcde")))
    assert result["balanced_mae"] == pytest.approx((1 + 4 + 10) / 3)


def by_definition(age, predicted):
    """mae, r2, cs3 and balanced_mae of one resample."""
    absolute, decades = np.abs(predicted - age), age // 10
    r2 = 1 - (absolute**2).sum() / ((age - age.mean()) ** 2).sum()
    balanced = np.mean([absolute[decades == decade].mean() for decade in set(decades)])
    return absolute.mean(), r2, np.mean(absolute <= 3), balanced


def test_the_bootstrap_agrees_with_one_done_face_by_face():
    age, clusters = AGES[:60], pd.Series(np.arange(60) // 3).astype(str)
    predicted = age + RNG.normal(2, 6, 60)
    result = compute(age, predicted, clusters, resamples=4000)

    rng = np.random.default_rng(2)
    rows_of = [np.flatnonzero(clusters == name) for name in clusters.unique()]
    by_hand = []
    for _ in range(2000):
        rows = np.concatenate([rows_of[n] for n in rng.integers(0, len(rows_of), len(rows_of))])
        by_hand.append(by_definition(age[rows], predicted[rows]))
    for name, values in zip(("mae", "r2", "cs3", "balanced_mae"), np.array(by_hand).T):
        found = [result[f"{name}_low"], result[f"{name}_high"]]
        expected, spread = np.quantile(values, [0.025, 0.975]), values.std()
        assert found == pytest.approx(expected, abs=0.25 * spread), name


def test_all_intervals_come_from_the_same_draws():
    predicted = AGES + RNG.normal(0, 6, 300)
    errors = errors_of(AGES, predicted, BOUNDARIES)
    resamples = Resamples(CLUSTERS, 500, seed=0)
    older, younger = errors["age"] >= 50, errors["age"] < 50
    sums = resamples.sums(errors[older]) + resamples.sums(errors[younger])
    pd.testing.assert_frame_equal(sums, resamples.sums(errors))
    assert (sums["n"] == 300).all()


def test_clusters_that_err_together_widen_the_interval():
    clusters = pd.Series(np.arange(300) // 10).astype(str)
    predicted = AGES + np.repeat(RNG.normal(0, 6, 30), 10)

    def width(result):
        return result["mae_high"] - result["mae_low"]

    alone = compute(AGES, predicted, resamples=2000)
    assert width(compute(AGES, predicted, clusters, resamples=2000)) > 1.5 * width(alone)


def test_one_face_has_no_r2():
    result = compute(np.array([30.0]), np.array([33.0]), pd.Series(["a"]))
    assert result["r2"] is result["r2_low"] is result["r2_high"] is None
    assert result["mae"] == result["mae_low"] == result["mae_high"] == 3
    assert result["balanced_mae"] == result["balanced_mae_high"] == 3


def test_every_metric_of_the_headline_has_its_interval():
    result = compute(AGES, AGES + RNG.normal(0, 6, 300))
    for name in ("mae", "balanced_mae", "rmse", "r2", "bias", "cs1", "cs10", "group_accuracy"):
        assert result[f"{name}_low"] < result[name] < result[f"{name}_high"]


def test_decades_add_up():
    errors = errors_of(AGES, AGES + RNG.normal(0, 6, 300), BOUNDARIES)
    table = metrics.by_decade(errors, Resamples(CLUSTERS, 200, seed=0))
    assert table["n"].sum() == 300
    assert np.average(table["mae"], weights=table["n"]) == pytest.approx(errors["absolute"].mean())
    assert (table["mae_low"] <= table["mae"]).all()
    assert (table["mae"] <= table["mae_high"]).all()


def test_the_oldest_are_measured_on_their_own():
    age = np.array([60.0, 70, 79, 80, 90])
    errors = errors_of(age, age - [0, 1, 2, 3, 4], BOUNDARIES)
    older = metrics.of_older(errors, Resamples(pd.Series(list("abcde")), 200, seed=0))
    assert (older["over_70"]["n"], older["over_70"]["mae"]) == (4, 2.5)
    assert (older["over_80"]["n"], older["over_80"]["bias"]) == (2, -3.5)


def test_nobody_over_sixty_is_no_number_and_no_error():
    age = np.array([20.0, 30])
    errors = errors_of(age, age, BOUNDARIES)
    older = metrics.of_older(errors, Resamples(pd.Series(["a", "b"]), 100, seed=0))
    nothing = {"mae": None, "mae_low": None, "mae_high": None, "bias": None}
    assert older == {"over_70": {"n": 0, **nothing}, "over_80": {"n": 0, **nothing}}


def test_only_numbers_go_to_mlflow():
    content = {"a": {"worst": "Asian", "gap": None, "n": 3, "enough": True}, "b": 1.5}
    assert metrics.numbers_only(content) == {"a": {"n": 3}, "b": 1.5}


def test_the_median_baseline_is_the_training_median():
    assert list(baselines.median(np.array([1.0, 2, 30]), 2)) == [2, 2]


def test_the_ridge_baseline_learns_what_brightness_says():
    import torch

    ages = torch.arange(80, dtype=torch.float32)
    shades = (ages * 3).to(torch.uint8)[:, None, None, None]
    faces = shades.expand(-1, baselines.SIDE, baselines.SIDE, 3).clone()
    predicted = baselines.ridge(faces[::2], ages[::2].numpy(), faces[1::2])
    assert np.abs(predicted - ages[1::2].numpy()).mean() < 1
