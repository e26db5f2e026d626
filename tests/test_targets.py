"""Targets: losses by hand, gradients that reduce them, decoding as the inverse of encoding."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from faceage.core.script import UserError
from faceage.core.settings import Grouping, TargetSettings
from faceage.networks import losses, targets
from faceage.networks.ordinal import Ordinal
from faceage.networks.target import Labels
from faceage.networks.target import labels as labels_of

GROUPINGS = {
    "age_group": Grouping(boundaries=[18, 41, 61], names=["<18", "18-40", "41-60", ">60"]),
    "life_stage": Grouping(boundaries=[31, 51], names=["YOUNG", "MIDDLE", "OLD"]),
}
DEFAULTS: dict[str, Any] = {
    "loss": "smooth_l1",
    "beta": 1.0,
    "grouping": "age_group",
    "label_smoothing": 0.0,
    "sigma": 2.0,
    "quantile": None,
    "gender": 0.0,
    "race": 0.0,
}
AGES = torch.tensor([1.0, 2.0, 17.0, 30.0, 41.0, 64.0, 90.0])
BY_AGE = ("regression", "coral", "corn", "dldl", "sord", "mean_variance")
EVERY = (*BY_AGE, "classification")


def labels(ages=AGES, gender=0, race=0, high=None):
    none = torch.full((len(ages),), -1)
    high = ages if high is None else high
    middle = ((ages + high) / 2).floor()
    return Labels(middle, ages, high, none, none + 1 + gender, none + 1 + race)


def fitted(name, ages=AGES, **changes):
    settings = TargetSettings(**DEFAULTS | {"name": name} | changes)
    return targets.fit(labels(ages), settings, GROUPINGS)


def perfect(target, ages=AGES):
    """Logits that say the encoded labels as surely as the target can."""
    encoded = target.encode(labels(ages))[:, :1]
    match target:
        case targets.Regression():
            return encoded
        case targets.Classification():
            return 100 * torch.nn.functional.one_hot(encoded[:, 0].long(), target.outputs).float()
        case Ordinal():
            older = torch.arange(target.outputs) < encoded
            return torch.where(older, 100.0, -100.0)
        case targets.Distribution():
            years = torch.arange(target.first, target.last + 1)
            return -0.5 * ((years - encoded) / target.sigma) ** 2
    raise AssertionError(target)


@pytest.mark.parametrize("name", BY_AGE)
def test_decoding_is_the_inverse_of_encoding(name):
    target = fitted(name)
    # The Gaussian of an age of 1 year has a little of its weight below no years at all.
    assert torch.allclose(target.age(perfect(target)), AGES, atol=0.02)


def test_decoding_classes_is_the_inverse_of_encoding_them():
    target = fitted("classification")
    grouping, found = target.classes(perfect(target))
    assert grouping == "age_group"
    assert found.tolist() == [0, 0, 0, 1, 2, 3, 3]
    centres = torch.tensor([20 / 3, 20 / 3, 20 / 3, 30, 41, 77, 77])
    assert torch.allclose(target.age(perfect(target)), centres, atol=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_gradient_descent_finds_the_labels(name):
    torch.manual_seed(0)
    target = fitted(name)
    logits = torch.zeros(len(AGES), target.outputs, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.5)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.98)
    before = target.losses(logits, target.encode(labels())).mean()
    for _ in range(400):
        loss = target.losses(logits, target.encode(labels())).mean()
        optimizer.zero_grad()
        loss.backward()
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()
        optimizer.step()
        schedule.step()
    assert loss < before
    expected = target.age(perfect(target))
    assert torch.allclose(target.age(logits.detach()), expected, atol=1.0)


@pytest.mark.parametrize("name", EVERY)
def test_the_gradient_is_that_of_finite_differences(name):
    torch.manual_seed(0)
    target = fitted(name, loss="mse")
    encoded = target.encode(labels()).double()
    logits = torch.randn(len(AGES), target.outputs, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: target.losses(x, encoded).sum(), logits, atol=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_targets_survive_json(name):
    target = fitted(name)
    assert targets.restore(targets.as_dict(target)) == target


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        # Errors of 1 and 5 years in units of a spread of 10 years.
        ("mse", [0.01, 0.25]),
        ("l1", [0.1, 0.5]),
        ("smooth_l1", [0.5 * 0.1**2 / 0.2, 0.5 - 0.2 / 2]),
        (
            "focal_mse",
            [
                0.01 * (2 / (1 + math.exp(-0.2 * 1)) - 1),
                0.25 * (2 / (1 + math.exp(-0.2 * 5)) - 1),
            ],
        ),
    ],
)
def test_regression_losses_by_hand(loss, expected):
    target = targets.Regression(mean=30.0, sd=10.0, loss=loss, beta=2.0)
    ages = torch.tensor([30.0, 30.0])
    found = target.losses(torch.tensor([[0.1], [-0.5]]), target.encode(labels(ages)))
    assert found.tolist() == pytest.approx(expected)


def test_cross_entropy_by_hand():
    target = fitted("classification", label_smoothing=0.2)
    logits = torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    log = [x - math.log(3 + math.e) for x in (0, 1, 0, 0)]
    expected = -(0.8 * log[1] + 0.2 * sum(log) / 4)
    found = target.losses(logits, target.encode(labels(torch.tensor([30.0]))))
    assert float(found) == pytest.approx(expected)


def test_ordinal_losses_by_hand():
    ages = torch.tensor([10.0, 12.0])
    encoded = labels(torch.tensor([11.0]))
    logits = torch.tensor([[0.5, -1.0]])
    first, second = math.log(1 + math.exp(-0.5)), math.log(1 + math.exp(-1.0))
    coral, corn = fitted("coral", ages), fitted("corn", ages)
    assert coral.outputs == corn.outputs == 2
    # Older than 10: yes; older than 11: no. CORN's second task has the faces older than 10.
    assert float(coral.losses(logits, coral.encode(encoded))) == pytest.approx(first + second)
    assert float(corn.losses(logits, corn.encode(encoded))) == pytest.approx((first + second) / 2)


def test_distribution_losses_by_hand():
    ages, one = torch.tensor([10.0, 11.0]), labels(torch.tensor([10.0]))
    for name in ("dldl", "sord", "mean_variance"):
        target = fitted(name, ages, sigma=1.0)
        assert (target.first, target.last) == (7, 14)
        years = np.arange(7, 15)
        logits = torch.tensor([[0.0, 1, 0, 2, 0, 0, 0, 0]])
        p = np.exp(logits[0].numpy()) / np.exp(logits[0].numpy()).sum()
        mean = (p * years).sum()
        if name == "dldl":
            q = np.exp(-0.5 * (years - 10.0) ** 2)
            q /= q.sum()
            expected = (q * np.log(q / p)).sum() + abs(mean - 10)
        elif name == "sord":
            q = np.exp(-np.abs(years - 10.0))
            expected = -(q / q.sum() * np.log(p)).sum()
        else:
            variance = (p * (years - mean) ** 2).sum()
            expected = -np.log(p[3]) + 0.2 * (mean - 10) ** 2 / 2 + 0.05 * variance
        assert float(target.losses(logits, target.encode(one))) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["dldl", "sord", "mean_variance"])
def test_a_quantile_of_the_distribution_by_hand(name):
    ages = torch.tensor([10.0, 11.0])
    logits = torch.tensor([[0.0, 0.0, 0.5, 0.25, 0.25, 0.0, 0.0, 0.0]]).log()
    # A year is spread from half before it to half after it: a quarter is reached at 9, 60% at 9.9.
    for quantile, expected in ((0.25, 9.0), (0.5, 9.5), (0.6, 9.9), (0.75, 10.5), (0.99, 11.46)):
        target = fitted(name, ages, sigma=1.0, quantile=quantile)
        assert float(target.age(logits)) == pytest.approx(expected, abs=1e-5)
        assert targets.restore(targets.as_dict(target)) == target
    years, probabilities = fitted(name, ages, sigma=1.0, quantile=0.6).distribution(logits)
    assert probabilities.tolist() == [[0, 0, 0.5, 0.25, 0.25, 0, 0, 0]], "as without a quantile"
    assert len(years) == 8


@pytest.mark.parametrize("quantile", [1e-6, 0.1, 0.5, 0.9, 1 - 1e-6])
def test_quantiles_of_any_distribution_are_ages(quantile):
    torch.manual_seed(0)
    target = fitted("dldl", quantile=quantile)
    ages = target.age(30 * torch.randn(1000, target.outputs))
    assert ages.isfinite().all()
    assert ages.min() >= 0
    assert ages.max() <= target.last + 0.5


def test_a_model_of_before_quantiles_says_the_mean():
    before = {"kind": "dldl", "first": -5, "last": 122, "sigma": 2.0}
    target = targets.restore(before)
    assert isinstance(target, targets.Dldl)
    assert target.quantile is None


@pytest.mark.parametrize("name", ["coral", "corn", "dldl", "sord", "mean_variance"])
def test_distributions_are_over_whole_years_and_sum_to_one(name):
    target = fitted(name)
    torch.manual_seed(0)
    logits = torch.randn(5, target.outputs)
    if name == "coral":  # whose logits fall from age to age by construction
        logits = logits.sort(dim=1, descending=True).values
    years, probabilities = target.distribution(logits)
    assert probabilities.shape == (5, len(years))
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(5), atol=1e-5)
    assert probabilities.min() >= 0


def test_additional_heads_add_their_weighted_losses():
    ages = torch.tensor([20.0, 30.0])
    none = torch.tensor([-1, -1])
    both = Labels(ages, ages, ages, none, torch.tensor([1, -1]), torch.tensor([4, -1]))
    settings = TargetSettings(**DEFAULTS | {"name": "regression", "gender": 0.5, "race": 2.0})
    target = targets.fit(both, settings, GROUPINGS)
    assert isinstance(target, targets.MultiTask)
    assert target.outputs == 1 + 2 + 5
    logits = torch.cat([target.main.encode(both)[:, :1], torch.zeros(2, 7)], dim=1)
    expected = [0.5 * math.log(2) + 2 * math.log(5), 0.0]  # unlabelled faces add nothing
    assert target.losses(logits, target.encode(both)).tolist() == pytest.approx(expected)
    assert torch.allclose(target.age(logits), ages)
    assert targets.restore(targets.as_dict(target)) == target


def test_classes_instead_of_ages():
    table = pd.DataFrame(
        {"age": [None, None], "age_class": ["OLD", "YOUNG"], "gender": pd.NA, "race": pd.NA}
    )
    table = table.assign(age_low=table["age"], age_high=table["age"])
    found = labels_of(table, ["YOUNG", "MIDDLE", "OLD"])
    settings = TargetSettings(**DEFAULTS | {"name": "classification", "grouping": "life_stage"})
    target = targets.fit(found, settings, GROUPINGS)
    assert target.encode(found)[:, 0].tolist() == [2, 0]
    assert target.age(torch.zeros(2, 3)).isnan().all()
    with pytest.raises(UserError, match=r"target\.name=classification"):
        targets.fit(found, TargetSettings(**DEFAULTS | {"name": "dldl"}), GROUPINGS)
    with pytest.raises(UserError, match="labelled OLD, YOUNG"):
        labels_of(table, GROUPINGS["age_group"].names)


def test_rarity_by_hand():
    values = np.array([5, 5, 5, 5, 7])
    inverse = losses.rarity(values, power=1, sigma=0)
    assert inverse.tolist() == pytest.approx([0.625] * 4 + [2.5])
    root = losses.rarity(values, power=0.5, sigma=0)
    assert root[4] / root[0] == pytest.approx(2)


def test_smoothing_over_neighbours_evens_out_the_weights():
    values = np.array([30] * 100 + [31] + [60])
    weights = losses.rarity(values, power=1, sigma=2)
    assert weights[100] < 0.1 * weights[101]
    assert weights.mean() == pytest.approx(1)
