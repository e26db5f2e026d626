"""Faces brought into the geometry of UTKFace by the similarity transform that its eyes define.

A similarity turns, scales and shifts: with points of the plane as complex numbers it is
z -> a z + b, and two pairs of points determine it.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

# Eye centres in UTKFace's crops, as shares of the side: the mean of what our detection sees in 148
# of them, so that what it is used on comes out like them. (On the mean face, by eye, they are
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
    # Where a pixel of the crop covers several of the picture, the picture is shrunk first.
    scale = max(1.0, abs(view.a))
    reach = REACH * scale
    wanted = np.array([corners.min(axis=0) - reach, corners.max(axis=0) + reach])
    start = wanted[0].clip(0, np.array(picture.size) - 1)
    there = np.array([start, wanted[1].clip(start + 1, picture.size)])
    size = np.maximum(1, np.round((there[1] - there[0]) / scale)).astype(int)
    region = picture.resize(tuple(size), Image.Resampling.BICUBIC, _box(there), reducing_gap=3)

    # Pixels of the region a pixel of the picture, and how many of them the picture is short of.
    fine = size / (there[1] - there[0])
    short = np.ceil(np.array([there[0] - wanted[0], wanted[1] - there[1]]) * fine)
    before, after = short.clip(0).astype(int)
    border = (before[1], after[1]), (before[0], after[0]), (0, 0)
    padded = Image.fromarray(np.pad(np.asarray(region), border, "edge"))
    (ax, ay), b = fine * view.a.real, (np.array([view.b.real, view.b.imag]) - there[0]) * fine
    turn_x, turn_y = fine * view.a.imag
    coefficients = (ax, -turn_x, b[0] + before[0], turn_y, ay, b[1] + before[1])
    crop = padded.transform(
        (side, side), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
    )
    return np.asarray(crop)


def _box(corners: np.ndarray) -> tuple[float, float, float, float]:
    (left, top), (right, bottom) = corners.tolist()
    return left, top, right, bottom
