"""Random changes to a whole batch of images, on the device that holds it."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from faceage.core.settings import Affine, Erase, Flip, Grey, Jitter, Noise, Transform

# Rec. 601 luma, as Pillow's conversion to grey.
LUMA = (0.299, 0.587, 0.114)


def augment(images: Tensor, transforms: Sequence[Transform], generator: Generator) -> Tensor:
    """Apply the transforms one after the other, each to every image with chances of its own.

    All chances come from `generator`, which lives on the CPU: the same seed gives the same
    augmentation on every device.

    Parameters
    ----------
    images : float (n, 3, size, size) in 0..1
    """
    for transform in transforms:
        images = TRANSFORMS[transform.name](images, transform, generator)
    return images


def _flip(images: Tensor, settings: Flip, generator: Generator) -> Tensor:
    chosen = _choose(images, settings.p, generator)
    return torch.where(chosen, images.flip(-1), images)


def _affine(images: Tensor, settings: Affine, generator: Generator) -> Tensor:
    """Rotate, zoom and shift in one resampling; borders are repeated."""
    count = len(images)
    angle = math.radians(settings.rotate) * _spread(count, generator)
    scale = 1 + settings.zoom * _spread(count, generator)
    # Coordinates run from -1 to 1, so a share of the side is twice that.
    shift = 2 * settings.shift * torch.stack([_spread(count, generator) for _ in range(2)], dim=1)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    matrix = torch.stack(
        [
            torch.stack([cos, -sin, shift[:, 0]], dim=1),
            torch.stack([sin, cos, shift[:, 1]], dim=1),
        ],
        dim=1,
    ).to(images.device)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _jitter(images: Tensor, settings: Jitter, generator: Generator) -> Tensor:
    """Change brightness, contrast (about the mean luma) and saturation, in this order."""
    strengths = torch.tensor([[settings.brightness], [settings.contrast], [settings.saturation]])
    factors = 1 + strengths * torch.stack([_spread(len(images), generator) for _ in range(3)])
    brightness, contrast, saturation = factors.to(images.device)[..., None, None, None]
    images = images * brightness
    luma = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    mean = (images * luma).sum(dim=1, keepdim=True).mean(dim=(2, 3), keepdim=True)
    images = torch.lerp(mean, images, contrast)
    grey = (images * luma).sum(dim=1, keepdim=True)
    return torch.lerp(grey, images, saturation).clamp(0, 1)


def _erase(images: Tensor, settings: Erase, generator: Generator) -> Tensor:
    """Paint a rectangle of a fifth to half of each side grey (Zhong et al. 2017)."""
    count, _, height, width = images.shape
    chosen = torch.rand(count, generator=generator) < settings.p
    size = 0.2 + 0.3 * torch.rand(2, count, generator=generator)
    start = torch.rand(2, count, generator=generator) * (1 - size)

    def covered(length: int, axis: int) -> Tensor:
        place = (torch.arange(length) + 0.5) / length
        begin, end = start[axis, :, None], (start + size)[axis, :, None]
        return (place >= begin) & (place < end)

    box = covered(height, 0)[:, :, None] & covered(width, 1)[:, None, :] & chosen[:, None, None]
    return images.masked_fill(box[:, None].to(images.device), 0.5)


def _grey(images: Tensor, settings: Grey, generator: Generator) -> Tensor:
    luma = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    chosen = _choose(images, settings.p, generator)
    return torch.where(chosen, (images * luma).sum(dim=1, keepdim=True), images)


def _noise(images: Tensor, settings: Noise, generator: Generator) -> Tensor:
    sd = settings.sd * torch.rand(len(images), 1, 1, 1, generator=generator)
    noise = sd * torch.randn(images.shape, generator=generator)
    return (images + noise.to(images.device)).clamp(0, 1)


def _choose(images: Tensor, probability: float, generator: Generator) -> Tensor:
    chosen = torch.rand(len(images), generator=generator) < probability
    return chosen.view(-1, 1, 1, 1).to(images.device)


def _spread(count: int, generator: Generator) -> Tensor:
    return 2 * torch.rand(count, generator=generator) - 1


TRANSFORMS: dict[str, Callable[[Tensor, Any, Generator], Tensor]] = {
    "flip": _flip,
    "affine": _affine,
    "jitter": _jitter,
    "erase": _erase,
    "grey": _grey,
    "noise": _noise,
}
