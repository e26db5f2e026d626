"""Rates and their intervals against counting by hand and a bootstrap done face by face."""

import numpy as np
import pandas as pd
import pytest

from faceage.evaluation import rates
from faceage.evaluation.bootstrap import Resamples
from faceage.evaluation.rates import Rate

RNG = np.random.default_rng(0)


def resamples(clusters, count=1000):
    return Resamples(pd.Series(clusters), count, seed=0)


def test_a_rate_is_of_its_members():
    hits = np.array([True, True, False, True])
    members = np.array([True, False, True, True])
    table = rates.table([Rate({"of": "some"}, hits, members)], resamples(list("abcd")))
    assert table.loc[0, ["of", "n"]].tolist() == ["some", 3]
    assert table.loc[0, "rate"] == pytest.approx(2 / 3)


def test_the_intervals_agree_with_a_bootstrap_done_face_by_face():
    clusters = np.arange(90) // 3
    hits = RNG.random(90) < np.where(clusters % 2, 0.7, 0.1)
    members = RNG.random(90) < 0.6
    (found,) = rates.table([Rate({}, hits, members)], resamples(clusters, 4000)).to_dict("records")

    rng = np.random.default_rng(1)
    by_hand = []
    for _ in range(4000):
        drawn = rng.integers(0, 30, 30)
        rows = np.concatenate([np.flatnonzero(clusters == cluster) for cluster in drawn])
        by_hand.append(hits[rows][members[rows]].mean())
    expected, spread = np.quantile(by_hand, [0.025, 0.975]), np.std(by_hand)
    assert [found["low"], found["high"]] == pytest.approx(expected, abs=0.2 * spread)


def test_of_nobody_there_are_no_numbers():
    nobody = np.zeros(3, dtype=bool)
    table = rates.table([Rate({}, ~nobody, nobody)], resamples(list("abc")))
    assert table.loc[0, "n"] == 0
    assert table[["rate", "low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize(("people", "high"), [(1, 0.975), (10, 0.3085), (100, 0.0362)])
def test_none_of_few_is_not_never(people, high):
    """The upper ends of Clopper and Pearson's intervals stand in their tables."""
    everybody = np.ones(people, dtype=bool)
    pair = [Rate({}, ~everybody, everybody), Rate({}, everybody, everybody)]
    none, every = rates.table(pair, resamples(range(people))).to_dict("records")
    assert none == {"n": people, "rate": 0, "low": 0, "high": pytest.approx(high, abs=1e-4)}
    assert (every["low"], every["high"]) == (pytest.approx(1 - none["high"]), 1)


def test_faces_of_one_cluster_are_one_trial():
    everybody = np.ones(10, dtype=bool)
    table = rates.table([Rate({}, ~everybody, everybody)], resamples([0] * 10))
    assert table.loc[0, "high"] == pytest.approx(0.975)


def test_without_rates_there_is_no_row():
    assert rates.table([], resamples(list("ab"))).empty
