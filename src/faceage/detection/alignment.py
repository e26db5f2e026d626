"""Faces brought into the geometry of UTKFace by a similarity transform of eyes and mouth.

A similarity turns, scales and shifts: with points of the plane as complex numbers it is
z -> a z + b, and two pairs of points determine it. Two eyes alone would do, but children's are
wider apart for the size of their faces, and old people's closer together: brought to one distance,
they would lose what UTKFace's own alignment, by landmarks of the whole face, lets a model see.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

# Centres of the eyes and the lips in UTKFace's crops, as shares of the side: the mean of what our
# detection sees in 594 of them, so that what it is used on comes out like them. (On the mean face,
# by eye, the eyes are at 0.305 and 0.69, 0.29.)
LEFT_EYE, RIGHT_EYE, MOUTH = (0.2895, 0.2929), (0.6868, 0.2916), (0.4871, 0.6994)
# Pixels around a region that its interpolation may reach.
REACH = 3


@dataclass(frozen=True)
class Similarity:
    """From pixels of a crop to pixels of the picture that it is of: z -> a z + b."""

    a: complex
    b: complex

    @classmethod
    def through(cls, crop: Sequence[complex], picture: Sequence[complex]) -> "Similarity":
        """The one that takes points of the crop to points of the picture, by least squares."""
        points, seen = np.array(crop), np.array(picture)
        start, end = points.mean(), seen.mean()
        a = np.vdot(points - start, seen - end) / np.vdot(points - start, points - start)
        return cls(complex(a), complex(end - a * start))

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


def aligned(picture: Image.Image, marks: Sequence[tuple[float, float]], side: int) -> np.ndarray:
    """The face with these centres of left eye, right eye and lips, in pixels, as UTKFace's.

    Returns
    -------
    uint8 (side, side, 3); where the crop leaves the picture its border is repeated.
    """
    wanted = [side * complex(*mark) for mark in (LEFT_EYE, RIGHT_EYE, MOUTH)]
    return warp(picture, Similarity.through(wanted, [complex(*mark) for mark in marks]), side)


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
