"""A canvas in units of a face, and the curves and colours that are drawn on it.

Only Pillow's polygons, lines, blurs and resizes on whole pixels, Python's own random bits and
arithmetic that IEEE 754 defines to the last bit: the same seed gives the same bytes on every CPU.
"""

import math
import random

from PIL import Image, ImageDraw, ImageFilter

# Blurred patches need no more than one pixel in so many.
COARSE = 4

Colour = tuple[int, int, int]
# Across from the middle of the face, down from the top, in sides of the picture.
Point = tuple[float, float]
# A shape or a line with its strength from 0 to 1.
Patch = tuple[list[Point], float]

# Points of a circle, rounded because the last bit of a cosine differs between C libraries.
TURNS = [math.tau * n / 24 for n in range(24)]
CIRCLE = [(round(math.cos(turn), 9), round(math.sin(turn), 9)) for turn in TURNS]
# Catmull-Rom weights of four neighbouring points, at quarters of the way between the inner two.
PIECES = [
    (0.0, 1.0, 0.0, 0.0),
    (-0.0703125, 0.8671875, 0.2265625, -0.0234375),
    (-0.0625, 0.5625, 0.5625, -0.0625),
    (-0.0234375, 0.2265625, 0.8671875, -0.0703125),
]


class Canvas:
    """Draws in units of the face, turned, scaled and moved a little as heads are."""

    def __init__(self, side: int, rng: random.Random) -> None:
        self.side = side
        slope, scale = 0.07 * normal(rng), side * (1 + 0.06 * normal(rng))
        self.cos = scale / math.sqrt(1 + slope * slope)
        self.sin = slope * self.cos
        self.across, self.down = (side * (0.5 + 0.03 * normal(rng)) for _ in range(2))
        self.turn = 0.028 * normal(rng)
        self.image = Image.new("RGB", (side, side))
        self.pen = ImageDraw.Draw(self.image)

    def place(self, points: list[Point], cell: int = 1) -> list[tuple[int, int]]:
        """Whole pixels of points; what lies in the middle moves most when a head is turned."""
        placed = []
        for x, y in points:
            u, v = x + self.turn * max(0.0, 1 - 5 * x * x), y - 0.5
            across = self.cos * u - self.sin * v + self.across
            down = self.sin * u + self.cos * v + self.down
            placed.append((round(across / cell), round(down / cell)))
        return placed

    def shape(self, points: list[Point], colour: Colour) -> None:
        """Fill an outline."""
        self.pen.polygon(self.place(points), fill=colour)

    def line(self, points: list[Point], width: float, colour: Colour) -> None:
        """Draw a line of so many sides in width."""
        self.pen.line(self.place(points), colour, max(1, round(width * self.side)), joint="curve")

    def mask(self, patches: list[Patch], blur: float) -> Image.Image:
        """Coarse, blurred mask of shapes."""
        mask = Image.new("L", (self.side // COARSE, self.side // COARSE))
        pen = ImageDraw.Draw(mask)
        for points, strength in patches:
            pen.polygon(self.place(points, COARSE), fill=byte(255 * strength))
        return mask.filter(ImageFilter.GaussianBlur(blur * mask.width))

    def glow(self, mask: Image.Image, colour: Colour) -> None:
        """Lay a colour over the picture, half-transparent as a coarse mask says."""
        self.image.paste(colour, (0, 0), mask.resize(self.image.size, Image.Resampling.BILINEAR))

    def etch(self, lines: list[Patch], width: float, colour: Colour) -> None:
        """Draw soft lines."""
        mask = Image.new("L", self.image.size)
        pen = ImageDraw.Draw(mask)
        for points, strength in lines:
            pixels = max(1, round(width * (0.6 + 0.6 * strength) * self.side))
            pen.line(self.place(smooth(points, False)), byte(255 * strength), pixels, "curve")
        self.image.paste(colour, (0, 0), mask.filter(ImageFilter.BoxBlur(self.side / 256)))


def oval(x: float, y: float, across: float, down: float) -> list[Point]:
    """Outline about a centre, from its half axes."""
    return [(x + across * cos, y + down * sin) for cos, sin in CIRCLE]


def smooth(points: list[Point], closed: bool = True) -> list[Point]:
    """Catmull-Rom curve through the points, four pieces between two of them."""
    ends = [points[-1], *points, *points[:2]] if closed else [points[0], *points, points[-1]]
    curve = [
        (a * p[0] + b * q[0] + c * r[0] + d * s[0], a * p[1] + b * q[1] + c * r[1] + d * s[1])
        for p, q, r, s in zip(ends, ends[1:], ends[2:], ends[3:], strict=False)
        for a, b, c, d in PIECES
    ]
    return curve if closed else [*curve, points[-1]]


def on(side: int, points: list[Point]) -> list[Point]:
    """Points given for the right side (1), moved to the left one (-1) or kept."""
    return [(side * x, y) for x, y in points]


def mirrored(half: list[Point]) -> list[Point]:
    """Close an outline given for one side by its mirror image."""
    return [*half, *((-x, y) for x, y in reversed(half) if x)]


def between(start: Point, end: Point, share: float) -> Point:
    """Point at this share of the way."""
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Colour at this share of the way from the first to the second, at most at one of them."""
    share = min(1.0, max(0.0, share))
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def normal(rng: random.Random) -> float:
    """About standard normal, within 4.25, from a sum: logarithms differ between C libraries."""
    return (sum(rng.random() for _ in range(6)) - 3) * math.sqrt(2)


def byte(value: float) -> int:
    """Round to what fits a channel, 0 to 255."""
    return min(255, max(0, round(value)))
