"""Corruptions do what they are called; the subset is fixed and has the mix of the whole."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import architecture

from faceage.evaluation import robustness
from faceage.evaluation.corruptions import CORRUPTIONS
from faceage.networks import age_network, targets

NAMES = list(CORRUPTIONS)


def some_images(count=4, img_size=48):
    """Smooth colours: what a photograph is made of, and what noise and blur change."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(count, 3, 6, 6, generator=generator)
    return torch.nn.functional.interpolate(small, (img_size, img_size), mode="bicubic").clamp(0, 1)


def corrupted(name, strength, images=None, seed=0):
    corrupt, strengths = CORRUPTIONS[name]
    images = some_images() if images is None else images
    return corrupt(images, strengths[strength - 1], torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", NAMES)
def test_each_strength_changes_more_than_the_one_before(name):
    images = some_images()
    changes = []
    for strength in (1, 2, 3):
        result = corrupted(name, strength)
        assert result.shape == images.shape
        assert result.dtype == torch.float32
        assert result.min() >= 0
        assert result.max() <= 1
        changes.append((result - images).abs().mean().item())
    assert 0 < changes[0] < changes[1] < changes[2]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_images(name):
    assert torch.equal(corrupted(name, 3), corrupted(name, 3))


def test_dark_is_darker_and_bright_is_brighter():
    images = some_images()
    assert torch.allclose(corrupted("darkening", 3), 0.2 * images)
    assert corrupted("over-exposure", 3).mean() > images.mean()


def test_contrast_loss_leaves_the_mean_and_takes_the_spread():
    result = corrupted("contrast loss", 3, torch.full((1, 3, 8, 8), 0.5))
    assert torch.allclose(result, torch.full((1, 3, 8, 8), 0.5))
    assert corrupted("contrast loss", 3).std() < 0.5 * some_images().std()


def test_noise_has_the_deviation_that_it_says():
    grey = torch.full((4, 3, 64, 64), 0.5)
    assert (corrupted("Gaussian noise", 2, grey) - 0.5).std().item() == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("name", ["blur", "down-scaling"])
def test_fine_detail_goes_and_brightness_stays(name):
    stripes = (torch.arange(48) % 2).float().expand(1, 3, 48, 48)
    result = corrupted(name, 3, stripes)
    assert result.std() < 0.1
    assert result.mean().item() == pytest.approx(0.5, abs=0.02)


def test_occlusion_covers_a_square_of_the_size_it_says():
    result = corrupted("occlusion", 2, torch.zeros(8, 3, 50, 50))
    covered = (result == 0.5).all(dim=1)
    assert (covered.sum(dim=(1, 2)) == 20 * 20).all()
    places = {tuple(image.nonzero()[0].tolist()) for image in covered}
    assert len(places) > 1


def test_rotation_turns_by_the_angle_it_says():
    line = torch.zeros(1, 1, 201, 201)
    line[..., 99:102, :] = 1
    result = corrupted("rotation", 3, line.expand(1, 3, -1, -1))[0, 0]
    rows, columns = torch.nonzero(result > 0.5, as_tuple=True)
    slope = np.polyfit(columns.numpy(), rows.numpy(), 1)[0]
    assert abs(np.degrees(np.arctan(slope))) == pytest.approx(40, abs=2)


def test_greyscale_has_no_colour():
    result = corrupted("greyscale", 3)
    assert torch.allclose(result[:, 0], result[:, 1])
    assert torch.allclose(result[:, 1], result[:, 2])


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = age_network.Model([age_network.build(architecture())]).eval()
    return network, targets.Regression(mean=30.0, sd=15.0, loss="l1", beta=1.0)


def pixels(count):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 40, 40, 3), generator=generator, dtype=torch.uint8)


def test_the_table_has_a_row_a_corruption_and_strength(model):
    age = np.full(130, 30.0)  # more than a batch
    network, target = model
    table = robustness.by_corruption(robustness.predict(network, target, pixels(130), age, seed=0))
    assert list(table.columns) == ["corruption", "strength", "mae", "rise", "n"]
    assert len(table) == 30
    assert (table["n"] == 130).all()
    clean = (table["mae"] - table["rise"]).unique()
    assert clean == pytest.approx(clean[0])
    again = robustness.by_corruption(robustness.predict(network, target, pixels(130), age, seed=0))
    pd.testing.assert_frame_equal(table, again)
    assert robustness.summary(table) == {
        "mean_rise": pytest.approx(table["rise"].mean()),
        "n": 130,
    }


def test_one_face_is_enough(model):
    network, target = model
    corrupted = robustness.predict(network, target, pixels(1), np.array([30.0]), seed=0)
    table = robustness.by_corruption(corrupted)
    assert table["mae"].notna().all()


def some_faces(count):
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "face": [f"{number:064x}" for number in range(count)],
            "age": random.integers(0, 90, count),
            "gender": pd.array(random.integers(0, 2, count), dtype="Int8"),
            "race": pd.array([None] * count, dtype="Int8"),
        }
    )


def test_the_subset_has_the_ages_of_the_whole():
    faces = some_faces(3000)
    rows = robustness.sample(faces, 1000, seed=0)
    assert len(set(rows)) == 1000
    shares = [table["age"].floordiv(10).value_counts(normalize=True) for table in
              (faces, faces.iloc[rows])]  # fmt: skip
    assert (shares[0] - shares[1]).abs().max() < 0.003


def test_the_subset_is_of_faces_and_not_of_places():
    faces = some_faces(300)
    shuffled = faces.sample(frac=1, random_state=1).reset_index(drop=True)
    chosen = [set(table["face"].iloc[robustness.sample(table, 100, seed=3)])
              for table in (faces, shuffled)]  # fmt: skip
    assert chosen[0] == chosen[1]
    assert chosen[0] != set(faces["face"].iloc[robustness.sample(faces, 100, seed=4)])


@pytest.mark.parametrize("count", [1, 7])
def test_a_small_test_part_is_taken_whole(count):
    assert list(robustness.sample(some_faces(count), 1000, seed=0)) == list(range(count))
