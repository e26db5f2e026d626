"""Random changes to a whole batch of images, on the device that holds it."""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from faceage.params import Augment

# Rec. 601 luma, as Pillow's conversion to grey.
LUMA = (0.299, 0.587, 0.114)


def augment(images: Tensor, settings: Augment, generator: Generator) -> Tensor:
    """Mirror, move, recolour and blank parts of images: float (n, 3, px, px) in 0..1.

    All chances come from `generator`, which lives on the CPU: the same seed gives the same
    augmentation on every device.
    """
    images = _move(images, settings, generator)
    if settings.jitter:
        images = _jitter(images, settings.jitter, generator)
    if settings.erase:
        images = _erase(images, settings.erase, generator)
    return images


def _move(images: Tensor, settings: Augment, generator: Generator) -> Tensor:
    """Mirror, rotate, zoom and shift in one resampling; borders are repeated."""
    count = len(images)
    angle = math.radians(settings.rotate) * _spread(count, generator)
    scale = 1 + settings.zoom * _spread(count, generator)
    mirror = torch.where(torch.rand(count, generator=generator) < settings.flip, -1.0, 1.0)
    # Coordinates run from -1 to 1, so a share of the side is twice that.
    shift = 2 * settings.shift * torch.stack([_spread(count, generator) for _ in range(2)], dim=1)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    matrix = torch.stack(
        [
            torch.stack([mirror * cos, -mirror * sin, shift[:, 0]], dim=1),
            torch.stack([sin, cos, shift[:, 1]], dim=1),
        ],
        dim=1,
    ).to(images.device)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _jitter(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Change brightness, contrast (about the mean luma) and saturation, in this order."""
    factors = 1 + strength * torch.stack([_spread(len(images), generator) for _ in range(3)])
    brightness, contrast, saturation = factors.to(images.device)[..., None, None, None]
    images = images * brightness
    luma = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    mean = (images * luma).sum(dim=1, keepdim=True).mean(dim=(2, 3), keepdim=True)
    images = torch.lerp(mean, images, contrast)
    grey = (images * luma).sum(dim=1, keepdim=True)
    return torch.lerp(grey, images, saturation).clamp(0, 1)


def _erase(images: Tensor, probability: float, generator: Generator) -> Tensor:
    """Paint a rectangle of a fifth to half of each side grey (Zhong et al. 2017)."""
    count, _, height, width = images.shape
    chosen = torch.rand(count, generator=generator) < probability
    size = 0.2 + 0.3 * torch.rand(2, count, generator=generator)
    start = torch.rand(2, count, generator=generator) * (1 - size)

    def covered(length: int, axis: int) -> Tensor:
        place = (torch.arange(length) + 0.5) / length
        begin, end = start[axis, :, None], (start + size)[axis, :, None]
        return (place >= begin) & (place < end)

    box = covered(height, 0)[:, :, None] & covered(width, 1)[:, None, :] & chosen[:, None, None]
    return images.masked_fill(box[:, None].to(images.device), 0.5)


def _spread(count: int, generator: Generator) -> Tensor:
    return 2 * torch.rand(count, generator=generator) - 1
