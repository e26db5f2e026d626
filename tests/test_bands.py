"""Bands of ages as labels: each target's loss by hand, and that exact faces beside them stay."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from test_targets import DEFAULTS, EVERY, GROUPINGS, fitted, labels

from faceage.core.settings import TargetSettings
from faceage.networks import targets
from faceage.networks.ordinal import Corn
from faceage.networks.target import distance_to
from faceage.networks.target import labels as labels_of


def band(low: float, high: float):
    return labels(torch.tensor([low]), high=torch.tensor([high]))


def asked_for(name, **changes) -> TargetSettings:
    return TargetSettings(**DEFAULTS | {"name": name} | changes)


def loss(target, logits, low, high) -> float:
    (found,) = target.losses(torch.tensor([logits]), target.encode(band(low, high)))
    return float(found)


def test_labels_of_a_table_have_bands():
    table = pd.DataFrame(
        {"age": [30, 6], "age_low": [30, 3], "age_high": [30, 9], "age_class": [None, None]}
    ).assign(gender=pd.NA, race=pd.NA)
    found = labels_of(table, [])
    assert found.bands.tolist() == [[30, 30], [3, 9]]
    assert found.age.tolist() == [30, 6]
    assert found.range == (3, 30)


def test_the_distance_to_a_band_is_none_inside():
    bands = torch.tensor([[3.0, 9.0]]).expand(5, 2)
    ages = torch.tensor([1.0, 3.0, 5.5, 9.0, 13.0])
    assert distance_to(bands, ages).tolist() == [-2, 0, 0, 0, 4]


@pytest.mark.parametrize(("age", "expected"), [(15.0, 0.5), (20.0, 0), (24.5, 0), (32.0, 0.3)])
def test_regression_asks_for_the_band(age, expected):
    target = targets.Regression(mean=30.0, sd=10.0, loss="l1", beta=1.0)
    assert loss(target, [(age - 30) / 10], 20, 29) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["dldl", "sord", "mean_variance"])
def test_distributions_are_asked_for_the_probability_in_the_band(name):
    target = fitted(name, torch.tensor([10.0, 11.0]), sigma=1.0)  # over the years 7 to 14
    logits = [0.0, 1, 0, 2, 0, 0, 0, 0]
    p = np.exp(logits) / np.exp(logits).sum()
    assert loss(target, logits, 8, 10) == pytest.approx(-math.log(p[1:4].sum()), abs=1e-6)
    # What lies beyond the years that the target has is at their end.
    assert loss(target, logits, 13, 20) == pytest.approx(-math.log(p[6:].sum()), abs=1e-6)
    assert loss(target, logits, 20, 29) == pytest.approx(-math.log(p[7]), abs=1e-6)


def test_classes_are_asked_for_the_probability_of_those_that_the_band_touches():
    target = fitted("classification", label_smoothing=0.2)
    logits = [0.0, 1.0, 2.0, 0.0]
    p = np.exp(logits) / np.exp(logits).sum()
    assert loss(target, logits, 10, 19) == pytest.approx(-math.log(p[0] + p[1]), abs=1e-6)
    # A band within one group, 18 to 40, has one class; its face counts like one of a known age.
    assert loss(target, logits, 20, 29) == loss(target, logits, 30, 30)


def test_coral_asks_only_what_the_band_answers():
    target = fitted("coral", torch.tensor([10.0, 14.0]))
    logits = [1.5, 0.5, -0.5, -1.0]  # older than 10, 11, 12, 13
    yes, no, no_again = (math.log(1 + math.exp(-x)) for x in (1.5, 0.5, 1.0))
    assert loss(target, logits, 11, 12) == pytest.approx(yes + no + no_again, abs=1e-6)


def test_corn_asks_for_the_probability_of_the_band():
    target = fitted("corn", torch.tensor([10.0, 14.0]))
    assert isinstance(target, Corn)
    logits = [1.5, 0.5, -0.5, -1.0]
    older = np.cumprod(1 / (1 + np.exp(-np.array(logits))))  # than 10, 11, 12, 13
    # Two questions are answered for a face of 11 or 12: the library's mean is over questions.
    expected = -math.log(older[0] - older[2]) / 2
    assert loss(target, logits, 11, 12) == pytest.approx(expected, abs=1e-6)
    assert loss(target, logits, 13, 14) == pytest.approx(-math.log(older[2]) / 4, abs=1e-6)
    # The loss of an exact age is the same for a band of that one year.
    one = torch.tensor([1])
    alone = float(target._of_bands(torch.tensor([logits]), one, one)) / 2
    assert loss(target, logits, 11, 11) == pytest.approx(alone, abs=1e-6)


def test_corn_means_over_exact_ages_and_bands_together():
    target = fitted("corn", torch.tensor([10.0, 14.0]))
    torch.manual_seed(0)
    logits = torch.randn(3, target.outputs)
    both = labels(torch.tensor([12.0, 10.0, 11.0]), high=torch.tensor([12.0, 10.0, 13.0]))
    exact = target.losses(logits[:2], target.encode(both[:2]))[0]
    alone = target.losses(logits[2:], target.encode(both[2:]))[0]
    expected = (exact * (3 + 1) + alone * 2) / (3 + 1 + 2)
    assert target.losses(logits, target.encode(both)).tolist() == pytest.approx(
        [float(expected)] * 3
    )


@pytest.mark.parametrize("name", [name for name in EVERY if name != "corn"])
def test_an_exact_face_has_the_loss_and_gradient_that_it_has_alone(name):
    target = fitted(name, gender=0.0)
    torch.manual_seed(0)
    logits = torch.randn(4, target.outputs)
    low, high = torch.tensor([5.0, 20, 40, 3]), torch.tensor([5.0, 29, 40, 9])
    both = labels(low, high=high)

    def found(rows):
        leaf = logits[rows].requires_grad_()
        losses = target.losses(leaf, target.encode(both[rows]))
        (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        return losses.detach(), gradient

    losses, gradient = found(torch.arange(4))
    assert torch.isfinite(losses).all()
    assert torch.isfinite(gradient).all()
    exact = torch.tensor([0, 2])
    alone, its_gradient = found(exact)
    assert torch.equal(losses[exact], alone)
    assert torch.equal(gradient[exact], its_gradient)


@pytest.mark.parametrize("name", EVERY)
def test_gradient_descent_ends_in_the_band(name):
    torch.manual_seed(0)
    low, high = torch.tensor([0.0, 3, 20, 50, 70]), torch.tensor([2.0, 9, 29, 59, 100])
    bands = labels(low, high=high)
    target = targets.fit(bands, asked_for(name), GROUPINGS)
    logits = torch.randn(5, target.outputs, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(300):
        each = target.losses(logits, target.encode(bands))
        optimizer.zero_grad()
        each.mean().backward()
        optimizer.step()
    if name == "classification":
        assert logits.argmax(dim=1).tolist() == [0, 0, 1, 2, 3]
    else:
        assert distance_to(bands.bands, target.age(logits.detach())).abs().max() < 1


def test_additional_heads_learn_beside_a_band():
    target = targets.fit(band(3, 9), asked_for("dldl", gender=0.5), GROUPINGS)
    main = torch.zeros(1, target.outputs)
    expected = math.log((9 + 6 - (3 - 6) + 1) / 7) + 0.5 * math.log(2)
    assert float(target.losses(main, target.encode(band(3, 9)))) == pytest.approx(expected)
