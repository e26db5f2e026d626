"""Augmentation and mixing: what each does, and that it stays within its bounds."""

import pytest
import torch
from torchvision.transforms.v2.functional import gaussian_blur

from faceage.training import mixing
from faceage.training.transforms import TRANSFORMS, augment, make_transforms

EVERY = (
    {"name": "flip", "p": 1},
    {"name": "affine", "rotate": 10, "zoom": 0.2, "shift": 0.1, "fill": 0.5},
    {"name": "jitter", "brightness": 0.9, "contrast": 0.9, "saturation": 0.9},
    {"name": "erase", "p": 1},
    {"name": "exposure", "p": 1, "stops": 2},
    {"name": "gamma", "p": 1, "gamma": 3},
    {"name": "grayscale", "p": 1},
    {"name": "gaussian_blur", "p": 1, "sigma": 0.05},
    {"name": "downscale", "p": 1, "factor": 4},
    {"name": "gaussian_noise", "p": 1, "sd": 0.3},
    {"name": "jpeg", "p": 1, "quality": 10},
)


def random_images(count=4):
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def augmented(*transforms, images=None):
    generator = torch.Generator().manual_seed(0)
    images = random_images() if images is None else images
    own = images.clone(memory_format=torch.contiguous_format)  # it may be written into
    return augment(own, make_transforms(transforms), generator)


def test_every_transform_is_among_those_tried_here():
    assert [transform["name"] for transform in EVERY] == list(TRANSFORMS)


def test_no_transform_changes_nothing():
    assert torch.equal(augmented(), random_images())


@pytest.mark.parametrize(
    "transform",
    [
        {"name": "flip", "p": 0},
        {"name": "affine", "rotate": 0, "zoom": 0, "shift": 0, "fill": 0},
        {"name": "affine", "rotate": 0, "zoom": 0, "shift": 0, "fill": 1},
        {"name": "jitter", "brightness": 0, "contrast": 0, "saturation": 0},
        {"name": "erase", "p": 0},
        {"name": "exposure", "p": 0, "stops": 1},
        {"name": "gamma", "p": 0, "gamma": 2},
        {"name": "gamma", "p": 1, "gamma": 1},
        {"name": "grayscale", "p": 0},
        {"name": "gaussian_blur", "p": 0, "sigma": 0.1},
        {"name": "gaussian_blur", "p": 1, "sigma": 1e-4},
        {"name": "downscale", "p": 0, "factor": 4},
        {"name": "gaussian_noise", "p": 0, "sd": 0.1},
        {"name": "jpeg", "p": 0, "quality": 10},
    ],
    ids=str,
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


def test_grayscale_has_no_colour():
    images = augmented({"name": "grayscale", "p": 1})
    assert torch.allclose(images[:, 0], images[:, 2])


def test_transforms_apply_in_their_order():
    noise = {"name": "gaussian_noise", "p": 1, "sd": 0.3}
    first = augmented({"name": "grayscale", "p": 1}, noise)
    assert not torch.allclose(first[:, 0], first[:, 2])


def test_only_the_chosen_images_change():
    for transform in EVERY:
        if "p" in transform and transform["name"] != "flip":
            images = augmented(transform | {"p": 0.5}, images=(many := random_images(40)))
            same = (images - many).abs().amax(dim=(1, 2, 3)) == 0
            assert 8 <= same.sum() <= 32, transform["name"]


def test_beyond_the_image_comes_its_border_or_one_grey():
    white = torch.full((50, 3, 32, 32), 1.5)
    move = {"name": "affine", "rotate": 0, "zoom": 0, "shift": 0.5}
    assert torch.allclose(augmented(move | {"fill": 0}, images=white), white)
    filled = augmented(move | {"fill": 1}, images=white)
    greys = [image[image < 1.4].unique() for image in filled]
    assert all(len(grey) == 1 for grey in greys)
    assert len(torch.cat(greys).unique()) == 50


def test_a_blur_is_that_of_torchvision():
    images = random_images(1)
    blurred = augmented({"name": "gaussian_blur", "p": 1, "sigma": 0.05}, images=images)
    generator = torch.Generator().manual_seed(0)
    sigma = 0.05 * 32 * float(torch.rand(1, generator=generator))
    assert torch.allclose(blurred, gaussian_blur(images, [11, 11], [sigma, sigma]), atol=1e-5)


def test_exposure_multiplies_by_powers_of_two():
    dim = torch.full((500, 3, 2, 2), 0.1)
    gains = augmented({"name": "exposure", "p": 1, "stops": 2}, images=dim)[:, 0, 0, 0] / 0.1
    assert 0.25 <= gains.min() < 0.26
    assert 3.9 < gains.max() <= 4
    assert gains.median() == pytest.approx(1, abs=0.15)


def test_downscaling_takes_the_finest_detail_away():
    board = ((torch.arange(32)[:, None] + torch.arange(32)) % 2).float().expand(20, 3, 32, 32)
    small = augmented({"name": "downscale", "p": 1, "factor": 8}, images=board)
    deviation = small.std(dim=(1, 2, 3))
    assert (deviation < 0.5).all()
    assert deviation.median() < 0.1


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
