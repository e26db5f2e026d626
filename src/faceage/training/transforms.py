"""Random changes to a whole batch of images, on the device that holds it.

A new one is a class here: its fields, which params.yaml spells out, and what it does. It is known
there by its name in snake case.
"""

import io
import math
import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
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
    """Rotate up to so many degrees, zoom and shift up to such a share of the side; with probability
    fill one grey lies beyond the image, else its border.
    """

    rotate: float = Field(ge=0, le=180, description="up to this many degrees either way")
    zoom: float = Field(ge=0, lt=1, description="scale by up to this share either way")
    shift: float = Field(ge=0, lt=1, description="move by up to this share of the side")
    fill: Probability = Field(description="probability of one grey instead of a repeated border")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """All in one resampling; beyond the image comes its border or one grey."""
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
        moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        if not self.fill:
            return moved
        filled = _choose(images, self.fill, generator)
        grey = _each(torch.rand(count, generator=generator), images)
        beyond = grid.abs().amax(dim=-1)[:, None] > 1
        return torch.where(filled & beyond, grey, moved)


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


class Exposure(Transform):
    """Multiply the light by up to so many stops (doublings) either way with probability p."""

    p: Probability = Field(description="probability for each image")
    stops: float = Field(gt=0, le=4, description="up to this many doublings either way")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """What gets brighter than white is white."""
        gain = 2 ** (self.stops * _spread(len(images), generator))
        exposed = (images * _each(gain, images)).clamp(0, 1)
        return torch.where(_choose(images, self.p, generator), exposed, images)


class Gamma(Transform):
    """Raise the pixels to a power of up to gamma, or 1 / gamma, with probability p."""

    p: Probability = Field(description="probability for each image")
    gamma: float = Field(ge=1, le=5, description="largest power, and its inverse the smallest")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Lifts or deepens the shadows."""
        power = self.gamma ** _spread(len(images), generator)
        rows = _rows(images, self.p, generator)
        return images.index_copy(0, rows, images[rows] ** _each(power[rows.cpu()], images))


class Grayscale(Transform):
    """Take the colour away with probability p."""

    p: Probability = Field(description="probability for each image")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        return torch.where(_choose(images, self.p, generator), _luma(images), images)


class GaussianBlur(Transform):
    """Blur by a sigma of up to such a share of the side with probability p."""

    p: Probability = Field(description="probability for each image")
    sigma: float = Field(gt=0, le=0.1, description="largest sigma, as a share of the side")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Each image by a sigma of its own, along the rows and along the columns."""
        largest = self.sigma * images.shape[-1]
        sigma = (largest * torch.rand(len(images), generator=generator)).clamp_min(1e-3)
        rows = _rows(images, self.p, generator)
        if not len(rows):
            return images
        # Three sigma to either side hold all of the kernel that counts.
        reach = min(math.ceil(3 * largest), images.shape[-1] - 1)
        kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma[rows.cpu(), None]) ** 2)
        kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
        kernel = kernel[:, None, None].to(images.device)
        channels = F.pad(images[rows].flatten(0, 1)[None], [reach] * 4, mode="reflect")
        blurred = F.conv2d(channels, kernel, groups=len(kernel))
        blurred = F.conv2d(blurred, kernel.mT, groups=len(kernel))
        return images.index_copy(0, rows, blurred[0].unflatten(0, (-1, 3)))


class Downscale(Transform):
    """Make smaller by up to such a factor, and as large as before, with probability p."""

    p: Probability = Field(description="probability for each image")
    factor: float = Field(gt=1, le=16, description="largest factor by which a side shrinks")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        side = images.shape[-1]
        factor = 1 + (self.factor - 1) * torch.rand(len(images), generator=generator)
        rows = _rows(images, self.p, generator)
        images = images.clone()
        for row in rows.tolist():
            size = (max(1, round(side / float(factor[row]))),) * 2
            small = F.interpolate(images[row, None], size, mode="bilinear", antialias=True)
            images[row] = F.interpolate(small, (side, side), mode="bilinear")[0]
        return images


class GaussianNoise(Transform):
    """Add Gaussian noise of a standard deviation of up to sd, of pixels in 0..1, by p."""

    p: Probability = Field(description="probability for each image")
    sd: float = Field(gt=0, le=1, description="largest standard deviation, of pixels in 0..1")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Independent in every pixel and colour."""
        sd = self.sd * torch.rand(len(images), generator=generator)
        rows = _rows(images, self.p, generator)
        noise = torch.randn((len(rows), *images.shape[1:]), generator=generator).to(images.device)
        return images.index_add(0, rows, _each(sd[rows.cpu()], images) * noise).clamp(0, 1)


class Jpeg(Transform):
    """Compress as JPEG of a quality down to so low a one with probability p."""

    p: Probability = Field(description="probability for each image")
    quality: int = Field(ge=1, le=100, description="lowest quality; the highest is 100")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Written and read again on the CPU."""
        quality = torch.randint(self.quality, 101, (len(images),), generator=generator)
        rows = _rows(images, self.p, generator)
        images = images.clone()
        for row in rows.tolist():
            pixels = (images[row] * 255).round().to("cpu", torch.uint8).permute(1, 2, 0)
            file = io.BytesIO()
            Image.fromarray(pixels.numpy()).save(file, "JPEG", quality=int(quality[row]))
            read = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)
            images[row] = read.to(images.device) / 255
        return images


def _name(kind: type[Transform]) -> str:
    """GaussianBlur as gaussian_blur."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


TRANSFORMS = {_name(kind): kind for kind in Transform.__subclasses__()}


def make_transforms(
    entries: Sequence[dict[str, Any]], at: str = "train.augment"
) -> list[Transform]:
    """The transforms of `train.augment` or of a phase, each a name and the fields of its class.

    Parameters
    ----------
    at : the dotted key that they stand under, for messages

    Raises
    ------
    UserError
        If there is no such transform, or its fields are not what its class says.
    """
    transforms = []
    for number, entry in enumerate(entries):
        key = f"{at}.{number}"
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


def _rows(images: Tensor, probability: float, generator: Generator) -> Tensor:
    """Numbers of the images that chance picks."""
    chosen = torch.rand(len(images), generator=generator) < probability
    return chosen.nonzero()[:, 0].to(images.device)


def _choose(images: Tensor, probability: float, generator: Generator) -> Tensor:
    """Whether chance picks each image, in a form that broadcasts with them."""
    return _each(torch.rand(len(images), generator=generator) < probability, images)


def _each(values: Tensor, images: Tensor) -> Tensor:
    """One value for each image, where the images are."""
    return values.view(-1, 1, 1, 1).to(images.device)


def _spread(count: int, generator: Generator) -> Tensor:
    return 2 * torch.rand(count, generator=generator) - 1


def _luma(images: Tensor) -> Tensor:
    weights = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)
