"""What happens to photographs, in three strengths: float (n, 3, size, size) in 0..1, in and out.

The kinds follow Hendrycks & Dietterich 2019, Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations, with what face crops meet besides: occlusion, rotation, greyscale.
Sizes are shares of the side, so that one strength means the same at every input size.
"""

import io
import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor
from torch.nn import functional as F

from faceage.networks.filters import gaussian_blur, luma

# Random choices come from a generator on the CPU: the same on every device.
Corruption = Callable[[Tensor, float, Generator], Tensor]


def exposure(images: Tensor, gain: float, _: Generator) -> Tensor:
    """Multiply the light; what gets brighter than white is white."""
    return (images * gain).clamp(0, 1)


def contrast(images: Tensor, kept: float, _: Generator) -> Tensor:
    """Keep this share of the differences from the image's mean luma."""
    return torch.lerp(luma(images).mean(dim=(2, 3), keepdim=True), images, kept)


def noise(images: Tensor, sd: float, generator: Generator) -> Tensor:
    """Add Gaussian noise, independent in every pixel and colour."""
    drawn = torch.randn(images.shape, generator=generator).to(images.device)
    return (images + sd * drawn).clamp(0, 1)


def blur(images: Tensor, sigma: float, _: Generator) -> Tensor:
    """Gaussian blur; sigma is a share of the side."""
    pixels = sigma * images.shape[-1]
    return gaussian_blur(images, torch.full((len(images),), pixels), math.ceil(3 * pixels))


def jpeg(images: Tensor, quality: float, _: Generator) -> Tensor:
    """Write as JPEG of this quality, 1 to 100, and read again."""
    pixels = (images * 255).round().to("cpu", torch.uint8).permute(0, 2, 3, 1)
    read = np.stack([_through_jpeg(image, int(quality)) for image in pixels.numpy()])
    return torch.from_numpy(read).to(images.device).permute(0, 3, 1, 2).float() / 255


def downscale(images: Tensor, factor: float, _: Generator) -> Tensor:
    """Make smaller by the factor, and as large as before."""
    img_size = images.shape[-1]
    small = F.interpolate(
        images, (max(1, round(img_size / factor)),) * 2, mode="bilinear", antialias=True
    )
    return F.interpolate(small, (img_size, img_size), mode="bilinear")


def occlusion(images: Tensor, side: float, generator: Generator) -> Tensor:
    """Cover a square, its side this share of the image's, with grey; elsewhere in every image."""
    count, _, img_size, _ = images.shape
    length = round(side * img_size)
    corner = torch.randint(0, img_size - length + 1, (2, count, 1), generator=generator)
    place = torch.arange(img_size)
    down, across = (place >= corner) & (place < corner + length)
    covered = down[:, :, None] & across[:, None, :]
    return images.masked_fill(covered[:, None].to(images.device), 0.5)


def rotation(images: Tensor, degrees: float, generator: Generator) -> Tensor:
    """Turn about the centre, each image to the left or to the right; borders are repeated."""
    sign = 2 * torch.randint(0, 2, (len(images),), generator=generator) - 1
    angle = math.radians(degrees) * sign
    cos, sin, none = torch.cos(angle), torch.sin(angle), torch.zeros(len(images))
    matrix = torch.stack([cos, -sin, none, sin, cos, none], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrix.to(images.device), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def greyscale(images: Tensor, share: float, _: Generator) -> Tensor:
    """Take away this share of the colour."""
    return torch.lerp(images, luma(images).expand_as(images), share)


# Weak, middle, strong.
CORRUPTIONS: dict[str, tuple[Corruption, tuple[float, float, float]]] = {
    "darkening": (exposure, (0.6, 0.4, 0.2)),
    "over-exposure": (exposure, (1.5, 2.0, 3.0)),
    "contrast loss": (contrast, (0.6, 0.4, 0.2)),
    "Gaussian noise": (noise, (0.05, 0.1, 0.2)),
    "blur": (blur, (0.01, 0.02, 0.04)),
    "JPEG compression": (jpeg, (25, 15, 7)),
    "down-scaling": (downscale, (2, 4, 6)),
    "occlusion": (occlusion, (0.25, 0.4, 0.55)),
    "rotation": (rotation, (10, 20, 40)),
    "greyscale": (greyscale, (1 / 3, 2 / 3, 1)),
}


def _through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))
