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
from faceage.core.script import UserError
from faceage.core.settings import Probability, Section
from faceage.networks.filters import gaussian_blur, luma
from faceage.training.whole_batch import Part, whole


class Chances:
    """Random numbers for the images of a batch: drawn for all, given for the part of a process.

    They come from a generator that lives on the CPU. So the same seed gives the same augmentation
    on every device, and to an image in whichever process it is.
    """

    def __init__(self, generator: Generator, part: Part) -> None:
        self.generator, self.part = generator, part

    def share(self, *shape: int) -> Tensor:
        """Numbers in 0..1 for each image: (*shape, n)."""
        drawn = torch.rand((*shape, self.part.count), generator=self.generator)
        return drawn[..., self.part.rows]

    def either_way(self) -> Tensor:
        """A number in -1..1 for each image (n,)."""
        return 2 * self.share() - 1

    def whole_number(self, low: int, high: int) -> Tensor:
        """A number from `low` to `high` for each image (n,)."""
        drawn = torch.randint(low, high + 1, (self.part.count,), generator=self.generator)
        return drawn[self.part.rows]

    def normal_of_chosen(self, probability: float, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """Numbers of the images that chance picks (k,), and normal values for each (k, *shape)."""
        chosen = torch.rand(self.part.count, generator=self.generator) < probability
        numbers = chosen.nonzero()[:, 0]
        normal = torch.randn((len(numbers), *shape), generator=self.generator)
        rows = self.part.rows
        own = (numbers >= rows.start) & (numbers < rows.stop)
        return numbers[own] - rows.start, normal[own]


class Transform(Section):
    """A random change: float (n, 3, size, size) in 0..1 to the same.

    It may write into what it is given: on a CPU new memory costs more than most changes do.
    """

    @abstractmethod
    def __call__(self, images: Tensor, chances: Chances) -> Tensor:
        """Change every image with chances of its own."""


class Flip(Transform):
    """Mirror left and right with probability p."""

    p: Probability = Field(description="probability for each image")

    def __call__(self, images: Tensor, chances: Chances) -> Tensor:
        rows = _rows(images, self.p, chances)
        return images.index_copy_(0, rows, images[rows].flip(-1))


class Affine(Transform):
    """Rotate up to so many degrees, zoom and shift up to such a share of the side; with probability
    fill one grey lies beyond the image, else its border.
    """

    rotate: float = Field(ge=0, le=180, description="up to this many degrees either way")
    zoom: float = Field(ge=0, lt=1, description="scale by up to this share either way")
    shift: float = Field(ge=0, lt=1, description="move by up to this share of the side")
    fill: Probability = Field(description="probability of one grey instead of a repeated border")

    def __call__(self, images: Tensor, chances: Chances) -> Tensor:
        """All in one resampling; beyond the image comes its border or one grey."""
        angle = math.radians(self.rotate) * chances.either_way()
        scale = 1 + self.zoom * chances.either_way()
        # Coordinates run from -1 to 1, so a share of the side is twice that.
        shift = 2 * self.shift * torch.stack([chances.either_way() for _ in range(2)], dim=1)
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
        rows = _rows(images, self.fill, chances)
        grey = _each(chances.share()[rows.cpu()], images)
        beyond = grid[rows].abs().amax(dim=-1)[:, None] > 1
        return moved.index_copy_(0, rows, torch.where(beyond, grey, moved[rows]))


class Jitter(Transform):
    """Change brightness, contrast and saturation, in this order, by up to a share either way."""

    brightness: float = Field(ge=0, lt=1, description="factor on the pixels")
    contrast: float = Field(ge=0, lt=1, description="factor about the mean luma")
    saturation: float = Field(ge=0, lt=1, description="factor about the pixel's luma")

    def __call__(self, images: Tensor, chances: Chances) -> Tensor:
        strengths = torch.tensor([[self.brightness], [self.contrast], [self.saturation]])
        factors = 1 + strengths * torch.stack([chances.either_way() for _ in range(3)])
        brightness, contrast, saturation = factors.to(images.device)[..., None, None, None]
        images.mul_(brightness)
        mean = luma(images).mean(dim=(2, 3), keepdim=True)
        torch.lerp(mean, images, contrast, out=images)
        return torch.lerp(luma(images), images, saturation, out=images).clamp_(0, 1)


class Erase(Transform):
    """Paint a rectangle of a fifth to half of each side grey with probability p."""

    p: Probability = Field(description="probability for each image")

    def __call__(self, images: Tensor, chances: Chances) -> Tensor:
        """Random erasing (Zhong et al. 2017)."""
        height, width = images.shape[-2:]
        rows = _rows(images, self.p, chances)
        size = 0.2 + 0.3 * chances.share(2)
        start = chances.share(2) * (1 - size)

        def covered(length: int, axis: int) -> Tensor:
            place = (torch.arange(length) + 0.5) / length
            begin, end = start[axis, :, None], (start + size)[axis, :, None]
            return (place >= begin) & (place < end)

        box = (covered(height, 0)[:, :, None] & covered(width, 1)[:, None, :])[:, None]
        erased = images[rows].masked_fill_(box[rows.cpu()].to(images.device), 0.5)
        return images.index_copy_(0, rows, erased)


class Exposure(Transform):
    """Multiply the light by up to so many stops (doublings) either way with probability p."""

    p: Probability = Field(description="probability for each image")
    stops: float = Field(gt=0, le=4, description="up to this many doublings either way")

    def __call__(self, images: Tensor, chances: Chances) -> Tensor:
        """What gets brighter than white is white."""
        gain = 2 ** (self.stops * chances.either_way())
        rows = _rows(images, self.p, chances)
        exposed = (images[rows] * _each(gain[rows.cpu()], images)).clamp_(0, 1)
        return images.index_copy_(0, rows, exposed)


class Gamma(Transform):
    """Raise the pixels to a power of up to gamma, or 1 / gamma, with probability p."""

    p: Probability = Field(description="probability for each image")
    gamma: float = Field(ge=1, le=5, description="largest power, and its inverse the smallest")

    def __call__(self, images: Tensor, chances: Chances) -> Tensor:
        """Lifts or deepens the shadows."""
        power = self.gamma ** chances.either_way()
        rows = _rows(images, self.p, chances)
        return images.index_copy_(0, rows, images[rows] ** _each(power[rows.cpu()], images))


class Grayscale(Transform):
    """Take the colour away with probability p."""

    p: Probability = Field(description="probability for each image")

    def __call__(self, images: Tensor, chances: Chances) -> Tensor:
        rows = _rows(images, self.p, chances)
        return images.index_copy_(0, rows, luma(images[rows]).expand(-1, 3, -1, -1))


class GaussianBlur(Transform):
    """Blur by a sigma of up to such a share of the side with probability p."""

    p: Probability = Field(description="probability for each image")
    sigma: float = Field(gt=0, le=0.1, description="largest sigma, as a share of the side")

    def __call__(self, images: Tensor, chances: Chances) -> Tensor:
        """Each image by a sigma of its own."""
        largest = self.sigma * images.shape[-1]
        sigma = (largest * chances.share()).clamp_min(1e-3)
        rows = _rows(images, self.p, chances)
        if not len(rows):
            return images
        reach = min(math.ceil(3 * largest), images.shape[-1] - 1)
        return images.index_copy_(0, rows, gaussian_blur(images[rows], sigma[rows.cpu()], reach))


class Downscale(Transform):
    """Make smaller by up to such a factor, and as large as before, with probability p."""

    p: Probability = Field(description="probability for each image")
    factor: float = Field(gt=1, le=16, description="largest factor by which a side shrinks")

    def __call__(self, images: Tensor, chances: Chances) -> Tensor:
        side = images.shape[-1]
        factor = 1 + (self.factor - 1) * chances.share()
        rows = _rows(images, self.p, chances)
        for row in rows.tolist():
            size = (max(1, round(side / float(factor[row]))),) * 2
            small = F.interpolate(images[row, None], size, mode="bilinear", antialias=True)
            images[row] = F.interpolate(small, (side, side), mode="bilinear")[0]
        return images


class GaussianNoise(Transform):
    """Add Gaussian noise of a standard deviation of up to sd, of pixels in 0..1, by p."""

    p: Probability = Field(description="probability for each image")
    sd: float = Field(gt=0, le=1, description="largest standard deviation, of pixels in 0..1")

    def __call__(self, images: Tensor, chances: Chances) -> Tensor:
        """Independent in every pixel and colour."""
        sd = self.sd * chances.share()
        rows, noise = chances.normal_of_chosen(self.p, images.shape[1:])
        noise = _each(sd[rows], images) * noise.to(images.device)
        return images.index_add_(0, rows.to(images.device), noise).clamp_(0, 1)


class Jpeg(Transform):
    """Compress as JPEG of a quality down to so low a one with probability p."""

    p: Probability = Field(description="probability for each image")
    quality: int = Field(ge=1, le=100, description="lowest quality; the highest is 100")

    def __call__(self, images: Tensor, chances: Chances) -> Tensor:
        """Written and read again on the CPU."""
        quality = chances.whole_number(self.quality, 100)
        rows = _rows(images, self.p, chances)
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


def augment(
    images: Tensor,
    transforms: Sequence[Transform],
    generator: Generator,
    part: Part | None = None,
) -> Tensor:
    """Apply the transforms one after the other, in place where they can: float (n, 3, size, size).

    Parameters
    ----------
    part : where the images are not all of a batch, which of it
    """
    chances = Chances(generator, part or whole(len(images)))
    for transform in transforms:
        images = transform(images, chances)
    return images


def _rows(images: Tensor, probability: float, chances: Chances) -> Tensor:
    """Numbers of the images that chance picks."""
    return (chances.share() < probability).nonzero()[:, 0].to(images.device)


def _each(values: Tensor, images: Tensor) -> Tensor:
    """One value for each image, where the images are."""
    return values.view(-1, 1, 1, 1).to(images.device)
