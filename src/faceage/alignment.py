"""Faces brought into the geometry of UTKFace by the similarity transform that its eyes define.

A similarity turns, scales and shifts: with points of the plane as complex numbers it is
z -> a z + b, and two pairs of points determine it.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

# Eye centres in UTKFace's crops, as shares of the side: the mean of what faceage.detection sees in
# 148 of them, so that what it is used on comes out like them. (On the mean face, by eye, they are
# at 0.305 and 0.69, 0.29.)
LEFT_EYE, RIGHT_EYE = (0.2875, 0.2975), (0.6875, 0.2975)
# Pixels around a region that its interpolation may reach.
REACH = 3


@dataclass(frozen=True)
class Similarity:
    """From pixels of a crop to pixels of the picture that it is of: z -> a z + b."""

    a: complex
    b: complex

    @classmethod
    def through(
        cls, crop: tuple[complex, complex], picture: tuple[complex, complex]
    ) -> "Similarity":
        """The one that takes two points of the crop to two points of the picture."""
        a = (picture[1] - picture[0]) / (crop[1] - crop[0])
        return cls(a, picture[0] - a * crop[0])

    @classmethod
    def around(
        cls, middle: tuple[float, float], angle: float, scale: float, side: int
    ) -> "Similarity":
        """The one of a square crop around a point, turned by radians, scale picture pixels each."""
        a = scale * complex(math.cos(angle), math.sin(angle))
        return cls(a, complex(*middle) - a * complex(side, side) / 2)

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Points of the crop in the picture: float (n, 2) to (n, 2)."""
        moved = self.a * (points[:, 0] + 1j * points[:, 1]) + self.b
        return np.stack([moved.real, moved.imag], axis=1)


def aligned(
    picture: Image.Image, left_eye: tuple[float, float], right_eye: tuple[float, float], side: int
) -> np.ndarray:
    """The face with these eye centres, in pixels, as UTKFace would have it.

    Returns
    -------
    uint8 (side, side, 3); where the crop leaves the picture its border is repeated.
    """
    eyes = side * complex(*LEFT_EYE), side * complex(*RIGHT_EYE)
    return warp(picture, Similarity.through(eyes, (complex(*left_eye), complex(*right_eye))), side)


def warp(picture: Image.Image, view: Similarity, side: int) -> np.ndarray:
    """Pixels of a square crop, without aliasing, borders repeated: uint8 (side, side, 3)."""
    corners = view.to_picture(np.array([(0, 0), (side, 0), (0, side), (side, side)], dtype=float))
    # What the crop shows of the picture, shrunk first where a pixel of the crop covers several.
    scale = max(1.0, abs(view.a))
    reach = REACH * scale
    left, top = (_inside(corners[:, k].min() - reach, picture.size[k] - 1) for k in (0, 1))
    right, bottom = (_inside(corners[:, k].max() + reach, picture.size[k] - 1) + 1 for k in (0, 1))
    size = max(1, round((right - left) / scale)), max(1, round((bottom - top) / scale))
    region = picture.resize(
        size, Image.Resampling.BICUBIC, box=(left, top, right, bottom), reducing_gap=3
    )
    pixels = torch.from_numpy(np.array(region)).permute(2, 0, 1)[None].float()

    places = np.arange(side) + 0.5
    across, down = np.meshgrid(places, places)
    seen = view.to_picture(np.stack([across.ravel(), down.ravel()], axis=1))
    extent = np.array([right - left, bottom - top])
    grid = (2 * (seen - (left, top)) / extent - 1).reshape(1, side, side, 2)
    crop = F.grid_sample(
        pixels,
        torch.from_numpy(grid).float(),
        mode="bicubic",
        padding_mode="border",
        align_corners=False,
    )
    return crop[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()


def _inside(value: float, last: int) -> int:
    return int(min(max(value, 0), last))
