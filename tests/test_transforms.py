"""Augmentation and mixing: what each does, and that it stays within its bounds."""

import pytest
import torch

from faceage.training import mixing
from faceage.training.transforms import TRANSFORMS, augment, make_transforms

EVERY = (
    {"name": "flip", "p": 1},
    {"name": "affine", "rotate": 10, "zoom": 0.2, "shift": 0.1},
    {"name": "jitter", "brightness": 0.9, "contrast": 0.9, "saturation": 0.9},
    {"name": "erase", "p": 1},
    {"name": "grey", "p": 1},
    {"name": "noise", "sd": 0.3},
)


def random_images(count=4):
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def augmented(*transforms):
    generator = torch.Generator().manual_seed(0)
    return augment(random_images(), make_transforms(transforms), generator)


def test_every_transform_is_among_those_tried_here():
    assert [transform["name"] for transform in EVERY] == list(TRANSFORMS)


def test_no_transform_changes_nothing():
    assert torch.equal(augmented(), random_images())


@pytest.mark.parametrize(
    "transform",
    [
        {"name": "flip", "p": 0},
        {"name": "affine", "rotate": 0, "zoom": 0, "shift": 0},
        {"name": "jitter", "brightness": 0, "contrast": 0, "saturation": 0},
        {"name": "erase", "p": 0},
        {"name": "grey", "p": 0},
    ],
    ids=lambda transform: transform["name"],
)
def test_a_transform_of_strength_zero_changes_nothing(transform):
    assert torch.allclose(augmented(transform), random_images(), atol=1e-5)


@pytest.mark.parametrize("transform", EVERY, ids=lambda transform: transform["name"])
def test_every_transform_changes_images_and_stays_in_range(transform):
    images = augmented(transform)
    assert not torch.allclose(images, random_images(), atol=1e-2)
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.equal(images, augmented(transform)), "the same seed, the same images"


def test_flip_mirrors_left_and_right():
    assert torch.equal(augmented({"name": "flip", "p": 1}), random_images().flip(-1))


def test_grey_has_no_colour():
    images = augmented({"name": "grey", "p": 1})
    assert torch.allclose(images[:, 0], images[:, 2])


def test_transforms_apply_in_their_order():
    first = augmented({"name": "grey", "p": 1}, {"name": "noise", "sd": 0.3})
    assert not torch.allclose(first[:, 0], first[:, 2])


def test_mixup_is_a_weighted_mean():
    images = random_images()
    mixed, partner, share = mixing.mix(images, 0.4, 0, torch.Generator().manual_seed(0))
    assert 0 <= share <= 1
    assert torch.allclose(mixed, share * images + (1 - share) * images[partner], atol=1e-6)


def test_cutmix_shares_out_the_area():
    images = random_images()
    for seed in range(20):
        mixed, partner, share = mixing.mix(images, 0, 1.0, torch.Generator().manual_seed(seed))
        own = (mixed == images).all(dim=1).float().mean(dim=(1, 2))
        others = partner != torch.arange(len(images))
        assert torch.allclose(own[others], torch.tensor(share), atol=1e-6)


def test_a_mixed_loss_is_that_of_both_labels():
    labels, partner = torch.tensor([[0.0], [1.0]]), torch.tensor([1, 0])
    loss = mixing.mixed_loss(lambda encoded: (encoded[:, 0] - 3) ** 2, labels, partner, 0.25)
    assert loss.tolist() == [0.25 * 9 + 0.75 * 4, 0.25 * 4 + 0.75 * 9]
