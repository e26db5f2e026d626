"""Classification against scikit-learn, and closed forms at the ends."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics as reference

from faceage.core.settings import Grouping
from faceage.evaluation import classification
from faceage.networks.target import LearnedClasses

STAGE = Grouping(boundaries=[31, 51], names=["YOUNG", "MIDDLE", "OLD"])
OTHER = Grouping(boundaries=[30], names=["young", "old"])
RNG = np.random.default_rng(0)
AGES = RNG.uniform(0, 100, 500)


def table(age, predicted):
    classes = classification.of_ages(age, predicted, {"life_stage": STAGE}, None)
    return classification.by_grouping(classes).set_index("grouping")


def test_scores_agree_with_scikit_learn():
    predicted = np.clip(AGES + RNG.normal(0, 12, 500), 0, 99)
    true, guess = (np.select([a < 31, a < 51], [0, 1], 2) for a in (AGES, predicted))
    row = table(AGES, predicted).loc["life_stage"]
    assert row["n"] == 500
    assert row["accuracy"] == reference.accuracy_score(true, guess)
    assert row["balanced_accuracy"] == reference.balanced_accuracy_score(true, guess)
    assert row["macro_f1"] == pytest.approx(reference.f1_score(true, guess, average="macro"))
    kappa = reference.cohen_kappa_score(true, guess, weights="quadratic")
    assert row["quadratic_kappa"] == pytest.approx(kappa)


def test_decades_are_measured_too():
    rows = table(AGES, AGES + 10)
    assert list(rows.index) == ["life_stage", "decade"]
    assert rows.loc["decade", "accuracy"] == 0


def test_a_perfect_prediction_scores_one():
    assert (table(AGES, AGES).drop(columns="n") == 1).all(axis=None)


def test_a_constant_prediction_agrees_by_chance_only():
    row = table(AGES, np.full(500, 40.0)).loc["life_stage"]
    assert row["balanced_accuracy"] == pytest.approx(1 / 3)
    assert row["quadratic_kappa"] == pytest.approx(0)


def test_kappa_counts_the_empty_decades_in_between():
    """Labels 0 and 9, one prediction at 8: near, not next to far."""
    true, guess = np.array([0, 0, 9, 9]), np.array([0, 0, 9, 8])
    weights = ((true[:, None] - guess[None]) ** 2).mean()  # of all pairs: by chance
    kappa = 1 - ((true - guess) ** 2).mean() / weights
    assert classification.scores(true, guess)["quadratic_kappa"] == pytest.approx(kappa)


def test_one_face_and_classes_without_faces_end_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right = classification.scores(np.array([1]), np.array([1]))
        wrong = classification.scores(np.array([1]), np.array([2]))
    assert right == {
        "accuracy": 1,
        "balanced_accuracy": 1,
        "macro_f1": 1,
        "quadratic_kappa": None,
    }
    assert wrong["accuracy"] == wrong["balanced_accuracy"] == wrong["macro_f1"] == 0
    rows = table(np.array([30.0]), np.array([30.0])).reset_index()
    summary = classification.summary(rows)
    assert summary["life_stage"]["quadratic_kappa"] is None


def test_classes_that_were_learned_are_taken_as_they_are():
    learned = LearnedClasses("life_stage", torch.tensor([2, 2, 2]))
    ages = np.array([20.0, 40.0, 60.0])
    groupings = {"life_stage": STAGE, "other": OTHER}
    classes = classification.of_ages(ages, ages, groupings, learned)
    assert list(classes["life_stage"][1]) == [2, 2, 2]
    assert list(classes["other"][1]) == [0, 1, 1]


def test_of_two_groupings_with_equal_boundaries_the_one_by_name_was_learned():
    twin = Grouping(boundaries=STAGE.boundaries, names=["early", "middle", "late"])
    learned = LearnedClasses("life_stage", torch.tensor([2, 2, 2]))
    ages = np.array([20.0, 40.0, 60.0])
    classes = classification.of_ages(ages, ages, {"twin": twin, "life_stage": STAGE}, learned)
    assert list(classes["twin"][1]) == [0, 1, 2]
    assert list(classes["life_stage"][1]) == [2, 2, 2]
    labels = pd.Series(["YOUNG", "OLD", "OLD"])
    found = classification.of_labels(labels, {"twin": twin, "life_stage": STAGE}, learned)
    assert {name: [list(part) for part in parts] for name, parts in found.items()} == {
        "life_stage": [[0, 2, 2], [2, 2, 2]]
    }
