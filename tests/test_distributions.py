"""Calibration of predicted distributions, on simulated data and in closed form."""

import numpy as np
import pytest

from faceage.evaluation import distributions

YEARS = np.arange(0, 121)
RNG = np.random.default_rng(0)


def gaussians(mean, sd):
    density = np.exp(-0.5 * ((YEARS - mean[:, None]) / sd) ** 2)
    return density / density.sum(axis=1, keepdims=True)


def test_a_calibrated_distribution_holds_what_it_claims():
    mean = RNG.uniform(40, 80, 4000)
    age = np.round(mean + RNG.normal(0, 6, 4000))
    levels = distributions.by_level(age, (YEARS, gaussians(mean, 6.0)))
    # Binomial error of 4,000 draws, and up to a year of rounding outwards.
    assert (levels["coverage"] > levels["nominal"] - 0.02).all()
    assert (levels["coverage"] < levels["nominal"] + 0.07).all()
    assert levels["mean_width"].is_monotonic_increasing


def test_one_that_is_too_sure_holds_less():
    mean = RNG.uniform(40, 80, 1000)
    age = np.round(mean + RNG.normal(0, 12, 1000))
    levels = distributions.by_level(age, (YEARS, gaussians(mean, 4.0)))
    assert (levels["coverage"] < levels["nominal"] - 0.1).all()
    summary = distributions.summary(levels, 1.0)
    assert (summary["largest_miscoverage"] or 0) > 0.1


def test_crps_of_a_sure_prediction_is_its_absolute_error():
    sure = np.zeros((2, len(YEARS)))
    sure[0, 30] = sure[1, 50] = 1
    assert distributions.crps(np.array([33.0, 50.0]), YEARS, sure) == pytest.approx(1.5)


def test_crps_of_two_equally_likely_ages_by_hand():
    half = np.zeros((1, len(YEARS)))
    half[0, 20] = half[0, 30] = 0.5
    # Ten years at a distance of a half: 10 / 4.
    assert distributions.crps(np.array([20.0]), YEARS, half) == pytest.approx(2.5)
