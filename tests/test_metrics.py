"""Measures against closed forms, scikit-learn and a bootstrap done by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from faceage import baselines, metrics

BOUNDARIES = [18, 41, 61]
RNG = np.random.default_rng(0)
AGES = RNG.integers(1, 100, 300).astype(float)
GROUPS = pd.Series(np.arange(300).astype(str))


def measure(age, predicted, groups=GROUPS, resamples=200):
    return metrics.measure(metrics.per_face(age, predicted, BOUNDARIES), groups, resamples, seed=0)


def test_a_perfect_predictor():
    result = measure(AGES, AGES)
    zero = ("mae", "mse", "rmse", "bias", "median_error", "mae_low", "mae_high")
    assert all(result[name] == 0 for name in zero)
    one = ("r2", "cs1", "cs3", "cs5", "cs10", "group_accuracy", "cs5_low")
    assert all(result[name] == 1 for name in one)


def test_a_biased_predictor():
    result = measure(AGES, AGES + 4)
    for name in ("mae", "rmse", "bias", "median_error"):
        assert result[name] == pytest.approx(4)
    assert (result["cs3"], result["cs5"]) == (0, 1)
    assert result["mse"] == pytest.approx(16)


def test_a_constant_predictor_explains_nothing():
    result = measure(AGES, np.full(300, AGES.mean()))
    assert result["r2"] == pytest.approx(0)
    assert result["bias"] == pytest.approx(0)
    assert result["rmse"] == pytest.approx(AGES.std())


def test_measures_agree_with_scikit_learn():
    predicted = AGES + RNG.normal(0, 6, 300)
    result = measure(AGES, predicted)
    assert result["mae"] == pytest.approx(mean_absolute_error(AGES, predicted))
    assert result["mse"] == pytest.approx(mean_squared_error(AGES, predicted))
    assert result["r2"] == pytest.approx(r2_score(AGES, predicted))
    assert result["median_error"] == pytest.approx(np.median(np.abs(AGES - predicted)))
    assert result["cs5"] == pytest.approx(np.mean(np.abs(AGES - predicted) <= 5))


def test_the_bootstrap_agrees_with_one_done_face_by_face():
    age, groups = AGES[:60], pd.Series(np.arange(60) // 3).astype(str)
    predicted = age + RNG.normal(2, 6, 60)
    draws = metrics.bootstrap(metrics.per_face(age, predicted, BOUNDARIES), groups, 4000, seed=1)

    rng = np.random.default_rng(2)
    rows_of = [np.flatnonzero(groups == name) for name in groups.unique()]
    by_hand = []
    for _ in range(4000):
        rows = np.concatenate([rows_of[n] for n in rng.integers(0, len(rows_of), len(rows_of))])
        by_hand.append(
            (mean_absolute_error(age[rows], predicted[rows]), r2_score(age[rows], predicted[rows]))
        )
    for name, values in zip(("mae", "r2"), np.array(by_hand).T):
        expected, spread = np.quantile(values, [0.025, 0.975]), values.std()
        assert np.quantile(draws[name], [0.025, 0.975]) == pytest.approx(expected, abs=0.2 * spread)


def test_groups_that_err_together_widen_the_interval():
    groups = pd.Series(np.arange(300) // 10).astype(str)
    predicted = AGES + np.repeat(RNG.normal(0, 6, 30), 10)

    def width(result):
        return result["mae_high"] - result["mae_low"]

    alone = measure(AGES, predicted, resamples=2000)
    assert width(measure(AGES, predicted, groups, resamples=2000)) > 1.5 * width(alone)


def test_one_face_has_no_r2():
    result = measure(np.array([30.0]), np.array([33.0]), pd.Series(["a"]))
    assert result["r2"] is None
    assert result["mae"] == result["mae_low"] == result["mae_high"] == 3


def test_groups_and_decades_have_names():
    assert metrics.group_names(BOUNDARIES) == ["<18", "18-40", "41-60", ">60"]
    ages = np.array([17.0, 17.99, 18.0, 40.9, 41.0, 60.0, 61.0])
    assert list(metrics.group_index(ages, BOUNDARIES)) == [0, 0, 1, 1, 2, 2, 3]
    assert list(metrics.decade_names(np.array([0, 9.9, 10, 116]))) == [
        "000-009",
        "000-009",
        "010-019",
        "110-119",
    ]


def test_decades_add_up():
    per_face = metrics.per_face(AGES, AGES + RNG.normal(0, 6, 300), BOUNDARIES)
    table = metrics.by_decade(per_face, GROUPS, 200, seed=0)
    assert table["n"].sum() == 300
    assert np.average(table["mae"], weights=table["n"]) == pytest.approx(
        per_face["absolute"].mean()
    )
    assert (table["mae_low"] <= table["mae"]).all()
    assert (table["mae"] <= table["mae_high"]).all()


def test_the_median_baseline_is_the_training_median():
    assert list(baselines.median(np.array([1.0, 2, 30]), 2)) == [2, 2]


def test_the_ridge_baseline_learns_what_brightness_says():
    import torch

    ages = torch.arange(80, dtype=torch.float32)
    shades = (ages * 3).to(torch.uint8)[:, None, None, None]
    faces = shades.expand(-1, baselines.SIDE, baselines.SIDE, 3).clone()
    predicted = baselines.ridge(faces[::2], ages[::2].numpy(), faces[1::2])
    assert np.abs(predicted - ages[1::2].numpy()).mean() < 1
