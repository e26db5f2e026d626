"""Random changes to a whole batch of images, on the device that holds it.

A new one is a class here: its fields, which params.yaml spells out, and what it does. It is known
there by its name in lower case.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field, ValidationError
from torch import Generator, Tensor
from torch.nn import functional as F

from faceage.core.faults import in_words, require_known
from faceage.core.images import LUMA
from faceage.core.script import UserError
from faceage.core.settings import Probability, Section


class Transform(Section):
    """A random change: float (n, 3, size, size) in 0..1 to the same.

    All chances come from `generator`, which lives on the CPU: the same seed gives the same
    augmentation on every device.
    """

    @abstractmethod
    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Change every image with chances of its own."""


class Flip(Transform):
    """Mirror left and right with probability p."""

    p: Probability = Field(description="probability for each image")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        return torch.where(_choose(images, self.p, generator), images.flip(-1), images)


class Affine(Transform):
    """Rotate up to so many degrees, zoom and shift up to such a share of the side."""

    rotate: float = Field(ge=0, le=180, description="up to this many degrees either way")
    zoom: float = Field(ge=0, lt=1, description="scale by up to this share either way")
    shift: float = Field(ge=0, lt=1, description="move by up to this share of the side")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """All in one resampling; borders are repeated."""
        count = len(images)
        angle = math.radians(self.rotate) * _spread(count, generator)
        scale = 1 + self.zoom * _spread(count, generator)
        # Coordinates run from -1 to 1, so a share of the side is twice that.
        shift = 2 * self.shift * torch.stack([_spread(count, generator) for _ in range(2)], dim=1)
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


class Jitter(Transform):
    """Change brightness, contrast and saturation, in this order, by up to a share either way."""

    brightness: float = Field(ge=0, lt=1, description="factor on the pixels")
    contrast: float = Field(ge=0, lt=1, description="factor about the mean luma")
    saturation: float = Field(ge=0, lt=1, description="factor about the pixel's luma")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        strengths = torch.tensor([[self.brightness], [self.contrast], [self.saturation]])
        factors = 1 + strengths * torch.stack([_spread(len(images), generator) for _ in range(3)])
        brightness, contrast, saturation = factors.to(images.device)[..., None, None, None]
        images = images * brightness
        images = torch.lerp(_luma(images).mean(dim=(2, 3), keepdim=True), images, contrast)
        return torch.lerp(_luma(images), images, saturation).clamp(0, 1)


class Erase(Transform):
    """Paint a rectangle of a fifth to half of each side grey with probability p."""

    p: Probability = Field(description="probability for each image")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Random erasing (Zhong et al. 2017)."""
        count, _, height, width = images.shape
        chosen = torch.rand(count, generator=generator) < self.p
        size = 0.2 + 0.3 * torch.rand(2, count, generator=generator)
        start = torch.rand(2, count, generator=generator) * (1 - size)

        def covered(length: int, axis: int) -> Tensor:
            place = (torch.arange(length) + 0.5) / length
            begin, end = start[axis, :, None], (start + size)[axis, :, None]
            return (place >= begin) & (place < end)

        box = covered(height, 0)[:, :, None] & covered(width, 1)[:, None, :] & chosen[:, None, None]
        return images.masked_fill(box[:, None].to(images.device), 0.5)


class Grey(Transform):
    """Take the colour away with probability p."""

    p: Probability = Field(description="probability for each image")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        return torch.where(_choose(images, self.p, generator), _luma(images), images)


class Noise(Transform):
    """Add Gaussian noise of a standard deviation of up to sd, of pixels in 0..1."""

    sd: float = Field(gt=0, le=1, description="largest standard deviation, of pixels in 0..1")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        sd = self.sd * torch.rand(len(images), 1, 1, 1, generator=generator)
        noise = sd * torch.randn(images.shape, generator=generator)
        return (images + noise.to(images.device)).clamp(0, 1)


TRANSFORMS = {kind.__name__.lower(): kind for kind in Transform.__subclasses__()}


def make_transforms(entries: Sequence[dict[str, Any]]) -> list[Transform]:
    """The transforms of `train.augment`, each a name and the fields of its class.

    Raises
    ------
    UserError
        If there is no such transform, or its fields are not what its class says.
    """
    transforms = []
    for number, entry in enumerate(entries):
        key = f"train.augment.{number}"
        require_known(f"{key}.name", entry.get("name"), TRANSFORMS)
        kind = TRANSFORMS[entry["name"]]
        fields = {name: value for name, value in entry.items() if name != "name"}
        try:
            transforms.append(kind.model_validate(fields))
        except ValidationError as error:
            raise UserError(f"params.yaml: {'; '.join(in_words(error, kind, key))}") from None
    return transforms


def augment(images: Tensor, transforms: Sequence[Transform], generator: Generator) -> Tensor:
    """Apply the transforms one after the other: float (n, 3, size, size) in 0..1."""
    for transform in transforms:
        images = transform(images, generator)
    return images


def _choose(images: Tensor, probability: float, generator: Generator) -> Tensor:
    chosen = torch.rand(len(images), generator=generator) < probability
    return chosen.view(-1, 1, 1, 1).to(images.device)


def _spread(count: int, generator: Generator) -> Tensor:
    return 2 * torch.rand(count, generator=generator) - 1


def _luma(images: Tensor) -> Tensor:
    weights = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)
