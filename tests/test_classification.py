"""Classification against scikit-learn, and closed forms at the ends."""

import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from faceage.core.settings import Grouping
from faceage.evaluation import classification

STAGE = Grouping(boundaries=[31, 51], names=["YOUNG", "MIDDLE", "OLD"])
OTHER = Grouping(boundaries=[30], names=["young", "old"])
RNG = np.random.default_rng(0)
AGES = RNG.uniform(0, 100, 500)


def table(age, predicted):
    classes = classification.classes(age, predicted, {"life_stage": STAGE}, None)
    return classification.by_grouping(classes).set_index("grouping")


def test_scores_agree_with_scikit_learn():
    predicted = np.clip(AGES + RNG.normal(0, 12, 500), 0, 99)
    true, estimated = (np.select([a < 31, a < 51], [0, 1], 2) for a in (AGES, predicted))
    row = table(AGES, predicted).loc["life_stage"]
    assert row["n"] == 500
    assert row["accuracy"] == reference.accuracy_score(true, estimated)
    assert row["balanced_accuracy"] == reference.balanced_accuracy_score(true, estimated)
    assert row["macro_f1"] == pytest.approx(reference.f1_score(true, estimated, average="macro"))
    kappa = reference.cohen_kappa_score(true, estimated, weights="quadratic")
    assert row["quadratic_kappa"] == pytest.approx(kappa)


def test_decades_are_measured_too():
    rows = table(AGES, AGES + 10)
    assert list(rows.index) == ["life_stage", "decade"]
    assert rows.loc["decade", "accuracy"] == 0


def test_a_perfect_estimate_scores_one():
    assert (table(AGES, AGES).drop(columns="n") == 1).all(axis=None)


def test_a_constant_estimate_agrees_by_chance_only():
    row = table(AGES, np.full(500, 40.0)).loc["life_stage"]
    assert row["balanced_accuracy"] == pytest.approx(1 / 3)
    assert row["quadratic_kappa"] == pytest.approx(0)


def test_kappa_counts_the_empty_decades_in_between():
    """Labels 0 and 9, one estimate at 8: near, not next to far."""
    true, estimated = np.array([0, 0, 9, 9]), np.array([0, 0, 9, 8])
    weights = ((true[:, None] - estimated[None]) ** 2).mean()  # of all pairs: by chance
    kappa = 1 - ((true - estimated) ** 2).mean() / weights
    assert classification.scores(true, estimated)["quadratic_kappa"] == pytest.approx(kappa)


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
    learned = [31, 51], torch.tensor([2, 2, 2])
    ages = np.array([20.0, 40.0, 60.0])
    classes = classification.classes(ages, ages, {"life_stage": STAGE, "other": OTHER}, learned)
    assert list(classes["life_stage"][1]) == [2, 2, 2]
    assert list(classes["other"][1]) == [0, 1, 1]
