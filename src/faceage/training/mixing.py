"""MixUp and CutMix for every target: two images become one, and so do their losses.

The loss of a mixed image is the mean of the losses against both labels, in the proportion of the
images. For cross entropy that is the loss against the mixed label; for the others it is what mixing
labels stands for, without asking what the mean of two rankings is.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor


def mix(
    images: Tensor, mixup: float, cutmix: float, generator: Generator
) -> tuple[Tensor, Tensor, float]:
    """Mix every image with another one of the batch, in one proportion for all.

    Parameters
    ----------
    images : float (n, 3, size, size)
    mixup, cutmix : alpha of the Beta distribution that the proportion comes from (Zhang et al.
        2018, Yun et al. 2019); 0 turns one off; with both on, one of them by turns of a coin

    Returns
    -------
    images, number of each image's partner (n,), and the share of its own label in 0..1.
    """
    partner = torch.randperm(len(images), generator=generator)
    seed = int(torch.randint(2**31, (1,), generator=generator))
    chance = np.random.default_rng(seed)
    if mixup and cutmix:
        mixup, cutmix = (mixup, 0.0) if chance.random() < 0.5 else (0.0, cutmix)
    alpha = mixup or cutmix
    share = float(chance.beta(alpha, alpha))
    if mixup:
        return torch.lerp(images[partner], images, share), partner, share
    return _paste(images, partner, share, chance)


def mixed_loss(
    losses: Callable[[Tensor], Tensor], encoded: Tensor, partner: Tensor, share: float
) -> Tensor:
    """Loss of each mixed image (n,); `losses` takes encoded labels."""
    return share * losses(encoded) + (1 - share) * losses(encoded[partner.to(encoded.device)])


def _paste(
    images: Tensor, partner: Tensor, share: float, chance: np.random.Generator
) -> tuple[Tensor, Tensor, float]:
    height, width = images.shape[-2:]
    side = math.sqrt(1 - share)
    rows, columns = round(side * height), round(side * width)
    top = int(chance.integers(height - rows + 1))
    left = int(chance.integers(width - columns + 1))
    box = (slice(None), slice(None), slice(top, top + rows), slice(left, left + columns))
    mixed = images.clone()
    mixed[box] = images[partner][box]
    return mixed, partner, 1 - rows * columns / (height * width)
