"""The same person seen twice, against spreads computed by hand; small changes are what they say."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import architecture

from faceage.evaluation import repeatability
from faceage.evaluation.bootstrap import Resamples
from faceage.evaluation.repeatability import CHANGES, UNCHANGED, Changed
from faceage.networks import age_network, targets


def faces(bursts, near=None, age=20.0):
    near = list(range(len(bursts))) if near is None else near
    return pd.DataFrame({"age": age, "near_cluster": near, "burst_cluster": bursts})


def resamples(table):
    return Resamples(table["burst_cluster"], 500, seed=0)


def test_the_spread_within_bursts_is_the_pooled_standard_deviation():
    table = faces(list("aabbbc"))
    predicted = np.array([20.0, 24, 30, 31, 35, 70])
    people = repeatability.people_seen_twice(table, predicted, None)
    assert len(people) == 2
    squares = 2 * 4 + (4 + 1 + 9)
    found = repeatability.summary(people, resamples(table))
    assert found["burst"]["n"] == 2
    assert found["burst"]["sd"] == pytest.approx(np.sqrt(squares / 3))
    assert found["burst"]["sd_low"] <= found["burst"]["sd"] <= found["burst"]["sd_high"]
    assert found["small_changes"] == {"n": 0, "sd": None, "sd_low": None, "sd_high": None}


def test_near_duplicates_are_one_photograph():
    table = faces(list("aabb"), near=[0, 0, 1, 2])
    people = repeatability.people_seen_twice(table, np.array([20.0, 60, 30, 30]), None)
    assert people.index.tolist() == [2]


def test_who_falls_on_both_sides_of_the_threshold_is_counted():
    table = faces(list("aabbccd"), age=np.array([17.0, 17, 16, 16, 60, 60, 17]))
    predicted = np.array([17.0, 18, 10, 17.9, 17, 40, 70])
    people = repeatability.people_seen_twice(table, predicted, None)
    rates = repeatability.both_sides(people, [18], resamples(table))
    rates = rates.set_index(["threshold", "ages"])[["n", "rate"]]
    assert rates.loc[(18, "all")].tolist() == [3, pytest.approx(2 / 3)]
    assert rates.loc[(18, "near")].tolist() == [2, 0.5]
    assert rates.loc[(25, "all")].tolist() == [3, pytest.approx(1 / 3)]
    assert rates.loc[(25, "near"), "n"] == 0


def test_small_changes_are_of_the_faces_that_were_changed():
    table = faces(list("abc"), age=np.array([20.0, 18, 40]))
    changed = Changed(
        np.array([1, 2]),
        {UNCHANGED: np.array([17.0, 40]), "10% darker": np.array([19.0, 40])},
    )
    people = repeatability.people_seen_twice(table, np.array([20.0, 17, 40]), changed)
    assert people.index.tolist() == [1, 2]
    assert repeatability.summary(people, resamples(table))["small_changes"]["sd"] == pytest.approx(
        1
    )
    rates = repeatability.both_sides(people, [18], resamples(table))
    rates = rates.set_index(["threshold", "ages"])["rate"]
    assert rates[18, "all"] == 0.5
    assert rates[18, "near"] == 1
    (row,) = repeatability.by_change(changed).to_dict("records")
    assert (row["change"], row["n"]) == ("10% darker", 2)
    assert row["mean_difference"] == row["mean_absolute_difference"] == 1


def test_a_constant_estimate_is_perfectly_repeatable():
    table = faces(list("aabb"))
    people = repeatability.people_seen_twice(table, np.full(4, 20.0), None)
    assert repeatability.summary(people, resamples(table))["burst"]["sd"] == 0
    assert repeatability.both_sides(people, [18], resamples(table))["rate"].eq(0).all()


def test_nobody_seen_twice_gives_no_row():
    table = faces(list("abc"))
    people = repeatability.people_seen_twice(table, np.array([1.0, 2, 3]), None)
    assert repeatability.both_sides(people, [18], resamples(table)).empty
    assert repeatability.by_change(None).empty


def pattern(img_size=40):
    """A white square of a quarter of the side, left of the middle and above it."""
    image = torch.zeros(1, 3, img_size, img_size)
    image[..., img_size // 4 : img_size // 2, img_size // 4 : img_size // 2] = 1
    return image


def centre(image):
    """Where the light is, right and down, in shares of the side."""
    light = image[0, 0]
    grid = (torch.arange(light.shape[0]) + 0.5) / light.shape[0]
    return [float((light.sum(dim=axis) * grid).sum() / light.sum()) for axis in (0, 1)]


def test_crops_show_what_they_say():
    assert torch.allclose(CHANGES[UNCHANGED](pattern()), pattern())
    tighter, looser = (
        float(CHANGES[f"crop 5% {how}"](pattern()).sum() / pattern().sum())
        for how in ("tighter", "looser")
    )
    assert tighter == pytest.approx(1 / 0.95**2, rel=0.02)
    assert looser == pytest.approx(1 / 1.05**2, rel=0.02)
    across, down = centre(pattern())
    assert centre(CHANGES["crop 5% to the right"](pattern())) == pytest.approx(
        [across - 0.05, down], abs=0.002
    )
    assert centre(CHANGES["crop 5% lower"](pattern())) == pytest.approx(
        [across, down - 0.05], abs=0.002
    )


def test_light_and_mirror():
    grey = torch.full((1, 3, 8, 8), 0.5)
    assert torch.allclose(CHANGES["10% darker"](grey), torch.tensor(0.45))
    assert torch.allclose(CHANGES["10% brighter"](grey), torch.tensor(0.55))
    assert CHANGES["10% brighter"](torch.ones(1, 3, 8, 8)).max() == 1
    assert torch.equal(CHANGES["mirror image"](CHANGES["mirror image"](pattern())), pattern())


def test_each_face_is_predicted_from_each_change():
    torch.manual_seed(0)
    network = age_network.Model([age_network.build(architecture())]).eval()
    target = targets.Regression(mean=30.0, sd=15.0, loss="l1", beta=1.0)
    pixels = torch.randint(0, 256, (90, 40, 40, 3), dtype=torch.uint8)
    rows = np.arange(0, 90, 2)
    changed = repeatability.predict(network, target, pixels, rows)
    assert list(changed.predicted) == list(CHANGES)
    assert all(len(ages) == len(rows) for ages in changed.predicted.values())
    again = repeatability.predict(network, target, pixels[rows], np.arange(len(rows)))
    for name, ages in changed.predicted.items():
        assert ages == pytest.approx(again.predicted[name])
    assert (repeatability.by_change(changed)["mean_absolute_difference"] > 0).all()
