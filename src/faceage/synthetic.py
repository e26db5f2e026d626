"""Draws a synthetic face at an age: the built-in sample, for runs before there are photographs.

Everything is polygons, lines and blurs of Pillow on whole pixels, and chance comes from Python's
own generator, so the same seed gives the same bytes on every machine.
"""

import math
import random
from dataclasses import dataclass, field

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from faceage.utkface import Labels

# Drawn at this multiple of the final size and shrunk, which smooths the edges.
OVERSAMPLE = 2

Colour = tuple[int, int, int]
Point = tuple[float, float]

# Ranges of skin tone by race code, from the darkest to the lightest; they overlap.
SKIN: dict[int, tuple[Colour, Colour]] = {
    0: ((214, 160, 128), (250, 218, 196)),
    1: ((84, 54, 40), (162, 112, 84)),
    2: ((204, 154, 112), (244, 208, 172)),
    3: ((138, 92, 62), (206, 154, 116)),
    4: ((128, 86, 60), (234, 186, 150)),
}
DARK_HAIR: list[Colour] = [(24, 20, 20), (40, 28, 22), (58, 38, 26)]
FAIR_HAIR: list[Colour] = [
    (92, 60, 34),
    (130, 92, 54),
    (188, 150, 92),
    (222, 196, 140),
    (140, 60, 28),
]
GREY_HAIR: list[Colour] = [(150, 148, 146), (190, 188, 186), (224, 222, 220)]
IRIS: list[Colour] = [(60, 36, 22), (84, 56, 32), (72, 98, 74), (78, 114, 150)]


@dataclass
class Looks:
    """What the drawing needs to know of one person; `old` and `young` run from 0 to 1.

    Each is drawn around the age with a spread of its own, so that no single one of them gives the
    age away and all of them together nearly do.
    """

    young: float  # 1 at birth, 0 from about 18 years on: proportions of the face
    old: float  # 0 up to about 30, 1 at about 90: sagging, lips, ears
    wrinkles: float  # how deep lines are
    receding: float  # how far the hair line has gone back
    grey: float  # share of grey in the hair
    female: bool
    skin: Colour
    hair: Colour
    iris: Colour
    rng: random.Random = field(repr=False)


def draw_face(labels: Labels, px: int, rng: random.Random) -> Image.Image:
    """Draw one face, cropped as UTKFace's are: RGB, px by px.

    Labels that are missing are drawn by chance.
    """
    looks = _imagine(labels, rng)
    canvas = _Canvas(px * OVERSAMPLE, rng)
    _background(canvas, looks)
    _hair_behind(canvas, looks)
    _head(canvas, looks)
    _lines_of_age(canvas, looks)
    _features(canvas, looks)
    _hair_in_front(canvas, looks)
    return _photograph(canvas.image, px, rng)


def _imagine(labels: Labels, rng: random.Random) -> Looks:
    race = labels.race if labels.race is not None else rng.randrange(len(SKIN))
    female = bool(labels.gender) if labels.gender is not None else rng.random() < 0.5

    def seen(spread: float) -> float:
        """Age as one cue shows it; the spread of a cue grows with age, as in people."""
        return max(0.0, labels.age + rng.gauss(0, spread * (0.25 + min(labels.age, 60) / 60)))

    dark, light = SKIN[race]
    tone = rng.random()
    natural = DARK_HAIR if race in {1, 2, 3} or rng.random() < 0.3 else FAIR_HAIR
    hair = rng.choice(natural)
    grey = _ramp(seen(13), 32, 72)
    if rng.random() < (0.35 if female else 0.12):  # dyed, at any age
        hair, grey = rng.choice(FAIR_HAIR + GREY_HAIR[1:]), 0.1 * grey
    return Looks(
        young=1 - _ramp(seen(2), 0, 20),
        old=_ramp(seen(4), 28, 98),
        wrinkles=_ramp(seen(4), 20, 92),
        receding=_ramp(seen(14), 22, 75) * (0.25 if female else 1.0),
        grey=grey,
        female=female,
        skin=_mix(dark, light, tone),
        hair=_mix(hair, rng.choice(GREY_HAIR), grey),
        iris=rng.choice(IRIS if race == 0 else IRIS[:2]),
        rng=rng,
    )


class _Canvas:
    """Draws in units of the face (0 to 1), turned, scaled and moved a little as heads are."""

    def __init__(self, side: int, rng: random.Random) -> None:
        self.side = side
        angle, scale = math.radians(rng.gauss(0, 4)), rng.gauss(1, 0.05)
        self.cos, self.sin = scale * math.cos(angle), scale * math.sin(angle)
        self.shift = rng.gauss(0.5, 0.025), rng.gauss(0.5, 0.025)
        self.image = Image.new("RGB", (side, side))
        self.pen = ImageDraw.Draw(self.image)

    def place(self, points: list[Point]) -> list[tuple[int, int]]:
        placed = []
        for x, y in points:
            u, v = x - 0.5, y - 0.5
            across = self.cos * u - self.sin * v + self.shift[0]
            down = self.sin * u + self.cos * v + self.shift[1]
            placed.append((round(across * self.side), round(down * self.side)))
        return placed

    def shape(self, points: list[Point], colour: Colour) -> None:
        self.pen.polygon(self.place(points), fill=colour)

    def line(self, points: list[Point], width: float, colour: Colour) -> None:
        pixels = max(1, round(width * self.side))
        self.pen.line(self.place(points), fill=colour, width=pixels, joint="curve")

    def soften(self, cells: int) -> None:
        """Throw what has been drawn so far out of focus: as on a screen of so many cells."""
        coarse = self.image.resize((cells, cells), Image.Resampling.BOX)
        self.image = coarse.resize(self.image.size, Image.Resampling.BICUBIC)
        self.pen = ImageDraw.Draw(self.image)

    def glow(self, points: list[Point], colour: Colour, strength: float, radius: float) -> None:
        """Lay a blurred, half-transparent patch over the picture."""
        cell = 4  # a blurred mask needs no more than a quarter of the pixels
        mask = Image.new("L", (self.side // cell, self.side // cell))
        outline = [(x // cell, y // cell) for x, y in self.place(points)]
        ImageDraw.Draw(mask).polygon(outline, fill=round(255 * min(1.0, strength)))
        mask = mask.filter(ImageFilter.GaussianBlur(radius * mask.width))
        if box := mask.getbbox():
            left, top, right, bottom = (cell * edge for edge in box)
            mask = mask.crop(box).resize((right - left, bottom - top))
            self.image.paste(colour, (left, top, right, bottom), mask)


def _background(canvas: _Canvas, looks: Looks) -> None:
    rng = looks.rng
    colours = [_any_colour(rng), _any_colour(rng)]
    gradient = Image.linear_gradient("L").rotate(rng.choice([0, 90, 180, 270]))
    mask = gradient.resize((canvas.side, canvas.side))
    canvas.image.paste(colours[0], (0, 0, canvas.side, canvas.side))
    canvas.image.paste(colours[1], (0, 0), mask)
    for _ in range(rng.randrange(7)):
        x, y, size = rng.random(), rng.random(), rng.uniform(0.05, 0.3)
        colour = _any_colour(rng)
        canvas.shape(_oval(x, y, size, size * rng.uniform(0.3, 1.5)), colour)
    canvas.soften(rng.randrange(10, 40))
    clothes = _any_colour(rng)
    canvas.shape(_oval(0.5, 1.16, 0.62, 0.26), clothes)
    neck = 0.2 - 0.05 * looks.young + (0 if looks.female else 0.03)
    shade = _mix(looks.skin, (40, 20, 16), 0.3)
    canvas.shape(
        [(0.5 - neck, 0.8), (0.5 + neck, 0.8), (0.5 + neck, 1.1), (0.5 - neck, 1.1)], shade
    )


def _half_width(looks: Looks) -> float:
    return 0.4 + 0.035 * looks.young - (0.015 if looks.female else 0)


def _hair_behind(canvas: _Canvas, looks: Looks) -> None:
    rng = looks.rng
    if looks.young > 0.93:
        return
    width, length = _half_width(looks) + rng.uniform(0.02, 0.07), rng.uniform(0.2, 0.4)
    canvas.shape(_oval(0.5, 0.3, width, 0.34 + rng.uniform(0, 0.06)), looks.hair)
    if looks.female and rng.random() < 0.8 - 0.4 * looks.old:
        bottom = 0.7 + length
        outline = [
            (0.5 - width, 0.3),
            (0.5 + width, 0.3),
            (0.52 + width, bottom),
            (0.48 - width, bottom),
        ]
        canvas.shape(outline, looks.hair)


def _head(canvas: _Canvas, looks: Looks) -> None:
    rng, width = looks.rng, _half_width(looks)
    ear = 0.075 + 0.035 * looks.old
    for side in (-1, 1):
        canvas.shape(
            _oval(0.5 + side * width, 0.42, 0.05, ear), _mix(looks.skin, (150, 60, 50), 0.15)
        )
    # The jaw: round in children, angular in men, sagging at the sides with age.
    jaw = 0.9 - 0.12 * looks.young
    chin = 0.985 - 0.07 * looks.young + 0.01 * looks.old
    square = 0.62 + 0.2 * looks.young + 0.16 * looks.old + (0 if looks.female else 0.1)
    right = [
        (0.5, 0.02),
        (0.5 + 0.7 * width, 0.06),
        (0.5 + width, 0.25),
        (0.5 + width, 0.45),
        (0.5 + 0.94 * width, 0.64),
        (0.5 + square * width, jaw - 0.02),
        (0.5 + 0.3 * width, chin),
    ]
    left = [(1 - x, y) for x, y in reversed(right[1:])]
    canvas.shape(_smooth([*right, *left]), looks.skin)
    light = rng.choice([-1, 1])
    warm = _mix(looks.skin, (222, 88, 80), 0.5)
    for side in (-1, 1):
        canvas.glow(_oval(0.5 + side * 0.22, 0.6, 0.1, 0.08), warm, 0.25 + 0.35 * looks.young, 0.04)
    dark, bright = _mix(looks.skin, (30, 14, 10), 0.5), _mix(looks.skin, (255, 250, 240), 0.5)
    canvas.glow(_oval(0.5 + light * width, 0.55, 0.14, 0.45), dark, rng.uniform(0.2, 0.8), 0.07)
    canvas.glow(_oval(0.5 - light * 0.14, 0.2, 0.18, 0.12), bright, rng.uniform(0.1, 0.6), 0.06)
    canvas.glow(_oval(0.5, 0.985, 0.3, 0.06), dark, 0.5, 0.03)


def _lines_of_age(canvas: _Canvas, looks: Looks) -> None:
    rng, depth = looks.rng, looks.wrinkles
    dark = _mix(looks.skin, (52, 22, 16), 0.6)

    def crease(points: list[Point], strength: float, width: float = 0.007) -> None:
        if strength > 0.08:
            canvas.line(
                _smooth(points, closed=False), width, _mix(looks.skin, dark, min(1, strength))
            )

    for n in range(round(5 * depth + rng.uniform(-0.4, 0.6))):
        y, reach = 0.215 - 0.034 * n, rng.uniform(0.13, 0.22)
        bend = rng.uniform(-0.012, 0.018)
        crease([(0.5 - reach, y + bend), (0.5, y - bend), (0.5 + reach, y + bend)], 0.15 + depth)
    for side in (-1, 1):
        start = 0.5 + side * 0.1
        fold = [
            (start, 0.55),
            (0.5 + side * 0.17, 0.64),
            (0.5 + side * (0.185 + 0.02 * depth), 0.76),
        ]
        crease(fold, 0.15 + 1.1 * depth, 0.006 + 0.007 * depth)
        for n in range(round(4 * depth + rng.uniform(-0.4, 0.6))):
            y = 0.275 + 0.022 * n
            crease(
                [(0.5 + side * 0.29, 0.3 + 0.008 * n), (0.5 + side * 0.36, y - 0.01 + 0.02 * n)],
                0.1 + depth,
            )
        bag = [
            (0.5 + side * 0.12, 0.345),
            (0.5 + side * 0.19, 0.375 + 0.01 * depth),
            (0.5 + side * 0.27, 0.345),
        ]
        crease(bag, 1.1 * depth, 0.006 + 0.008 * depth)
        jowl = [(0.5 + side * 0.2, 0.8), (0.5 + side * 0.23, 0.87), (0.5 + side * 0.2, 0.92)]
        crease(jowl, 1.2 * looks.old - 0.25, 0.008)
    for n in range(round(3 * max(0.0, depth - 0.4) * 2)):
        x = 0.44 + 0.04 * n
        crease([(x, 0.66), (x + 0.005, 0.695)], depth, 0.005)
    spot = _mix(looks.skin, (92, 52, 32), 0.4)
    for _ in range(round(12 * max(0.0, looks.old - 0.35) + rng.uniform(0, 2) * looks.old)):
        x, y, size = rng.uniform(0.18, 0.82), rng.uniform(0.08, 0.85), rng.uniform(0.006, 0.018)
        canvas.shape(_oval(x, y, size, size * 0.8), spot)


def _features(canvas: _Canvas, looks: Looks) -> None:
    rng, young, old = looks.rng, looks.young, looks.old
    dark = _mix(looks.skin, (46, 20, 14), 0.65)
    size = (0.062 + 0.026 * young - 0.008 * old) * rng.uniform(0.93, 1.07)
    opening = (0.5 + 0.22 * young - 0.14 * old) * rng.uniform(0.85, 1.15)
    brow = _mix(_mix(looks.hair, (50, 34, 26), 0.5), (205, 200, 196), 0.7 * looks.grey)
    brow = _mix(brow, looks.skin, 0.6 * young)
    thick = (0.014 if looks.female else 0.022) * (1 - 0.5 * young) * rng.uniform(0.8, 1.2)
    gaze = rng.uniform(-0.012, 0.012)
    for side in (-1, 1):
        x, y = 0.5 + side * 0.193, 0.29
        canvas.glow(_oval(x, y, size * 1.35, size), dark, 0.35 + 0.2 * old, 0.02)
        canvas.shape(_oval(x, y, size, size * opening), (238, 234, 230))
        canvas.shape(_oval(x + gaze, y, size * 0.48, size * min(0.48, opening)), looks.iris)
        canvas.shape(_oval(x + gaze, y, size * 0.22, size * 0.22), (12, 10, 10))
        canvas.shape(_oval(x + gaze + 0.012, y - 0.012, 0.008, 0.008), (250, 250, 250))
        lid = [
            (x - size, y + 0.004),
            (x - size * 0.4, y - size * opening),
            (x + size * 0.4, y - size * opening),
            (x + size, y + 0.004 + 0.012 * old),
        ]
        canvas.line(_smooth(lid, closed=False), 0.013 if looks.female else 0.009, dark)
        height = 0.195 + 0.02 * young + 0.012 * old
        arch = [
            (x - side * size, height + 0.02),
            (x, height),
            (x + side * size * 1.25, height + 0.02 + 0.012 * old),
        ]
        canvas.line(_smooth(arch, closed=False), thick, brow)
    length = 0.54 - 0.06 * young + 0.03 * old
    wide = (0.062 - 0.012 * young + 0.018 * old) * rng.uniform(0.85, 1.2)
    bridge = rng.choice([-1, 1])
    canvas.line(
        [(0.5 + bridge * 0.028, 0.34), (0.5 + bridge * 0.04, length - 0.05)],
        0.008,
        _mix(looks.skin, dark, 0.4),
    )
    nose = [
        (0.5 - wide, length - 0.02),
        (0.5 - wide * 0.5, length + 0.012),
        (0.5, length),
        (0.5 + wide * 0.5, length + 0.012),
        (0.5 + wide, length - 0.02),
    ]
    canvas.line(_smooth(nose, closed=False), 0.012, _mix(looks.skin, dark, 0.75))
    _mouth(canvas, looks, 0.72 - 0.045 * young)
    if not looks.female and young < 0.12 and rng.random() < 0.4:
        beard = _mix(looks.skin, looks.hair, 0.5)
        canvas.glow(_oval(0.5, 0.88, 0.24, 0.1), beard, rng.uniform(0.4, 1.2), 0.02)
        canvas.glow(_oval(0.5, 0.645, 0.13, 0.022), beard, rng.uniform(0.3, 1.0), 0.015)
        _mouth(canvas, looks, 0.72)
    if rng.random() < 0.08 + 0.25 * old:
        frame = rng.choice([(20, 20, 22), (90, 60, 30), (120, 120, 126)])
        for side in (-1, 1):
            x = 0.5 + side * 0.193
            canvas.line([*_oval(x, 0.3, 0.13, 0.1), _oval(x, 0.3, 0.13, 0.1)[0]], 0.012, frame)
        canvas.line([(0.44, 0.29), (0.56, 0.29)], 0.012, frame)


def _mouth(canvas: _Canvas, looks: Looks, y: float) -> None:
    rng = random.Random(round(1e6 * (looks.young + looks.old)) + sum(looks.skin))
    smile, half = (
        rng.uniform(-0.012, 0.035),
        0.125 - 0.03 * looks.young + rng.uniform(-0.012, 0.012),
    )
    full = (0.03 - 0.015 * looks.old) * (1.2 if looks.female else 0.9)
    red = _mix(
        looks.skin,
        (178, 40, 60) if looks.female else (150, 60, 58),
        0.3 + rng.uniform(0, 0.3) * looks.female,
    )
    lips = [
        (0.5 - half, y - smile),
        (0.5 - 0.04, y - full),
        (0.5, y - full * 0.8),
        (0.5 + 0.04, y - full),
        (0.5 + half, y - smile),
        (0.5 + 0.06, y + full * 1.2),
        (0.5 - 0.06, y + full * 1.2),
    ]
    canvas.shape(_smooth(lips), red)
    between = [(0.5 - half, y - smile), (0.5, y + smile * 0.4), (0.5 + half, y - smile)]
    if rng.random() < 0.35:
        teeth = [
            *between,
            (0.5 + half * 0.7, y + full * 0.4),
            (0.5, y + full * 0.9),
            (0.5 - half * 0.7, y + full * 0.4),
        ]
        canvas.shape(_smooth(teeth), (236, 230, 220))
    else:
        canvas.line(_smooth(between, closed=False), 0.009, _mix(red, (40, 10, 12), 0.6))


def _hair_in_front(canvas: _Canvas, looks: Looks) -> None:
    rng, width = looks.rng, _half_width(looks)
    baby = looks.young > 0.9
    if not looks.female and looks.receding > 0.8 and rng.random() < 0.7:
        return  # bald
    line = 0.115 - 0.1 * looks.receding - (0.05 if baby else 0) + rng.uniform(-0.02, 0.03)
    fringe = rng.random() < (0.35 if looks.female or looks.young > 0.3 else 0.12) and not baby
    depth = line + (rng.uniform(0.04, 0.09) if fringe else 0)
    temple = 0.2 - 0.14 * looks.receding - (0.1 if baby else 0)
    part = rng.uniform(0.3, 0.7)
    outline = [
        (0.5 - width - 0.03, temple + 0.1),
        (0.5 - width * 0.8, temple),
        (part, depth),
        (0.5 + width * 0.8, temple),
        (0.5 + width + 0.03, temple + 0.1),
        (0.5 + width + 0.02, -0.05),
        (0.5, -0.15),
        (0.5 - width - 0.02, -0.05),
    ]
    thin = _mix(looks.hair, looks.skin, 0.6 if baby else 0.35 * looks.receding)
    canvas.shape(_smooth(outline), thin)
    strand = _mix(thin, (255, 255, 255) if rng.random() < 0.5 else (0, 0, 0), 0.18)
    for _ in range(14):
        x = rng.uniform(0.5 - width, 0.5 + width)
        canvas.line(
            [(part + 0.4 * (x - part), -0.05), (x, temple * rng.uniform(0.3, 0.9))], 0.005, strand
        )


def _photograph(image: Image.Image, px: int, rng: random.Random) -> Image.Image:
    """Light from a side, exposure, sharpness and grain, as snapshots have them."""
    small = image.resize((px, px), Image.Resampling.BOX)
    gradient = Image.linear_gradient("L").resize((2 * px, 2 * px)).rotate(rng.uniform(0, 360))
    gradient = gradient.crop((px // 2, px // 2, px // 2 + px, px // 2 + px))
    depth = rng.uniform(0.0, 0.75)
    shade = gradient.point([round(255 - depth * (255 - value)) for value in range(256)])
    small = ImageChops.multiply(small, Image.merge("RGB", [shade] * 3))
    if rng.random() < 0.3:
        small = small.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.1)))
    low, gain = rng.uniform(-18, 30), rng.uniform(0.72, 1.2)
    tint = [rng.uniform(0.9, 1.1) for _ in range(3)]
    table = [min(255, max(0, round(low + gain * t * value))) for t in tint for value in range(256)]
    small = small.point(table)
    grain = Image.frombytes("L", (px, px), rng.randbytes(px * px))
    grain = grain.point([value // 16 for value in range(256)])
    return ImageChops.subtract(small, Image.merge("RGB", [grain] * 3), offset=8)


def _oval(x: float, y: float, across: float, down: float) -> list[Point]:
    turns = [math.tau * n / 32 for n in range(32)]
    return [(x + across * math.cos(turn), y + down * math.sin(turn)) for turn in turns]


def _smooth(points: list[Point], closed: bool = True) -> list[Point]:
    """Catmull-Rom curve through the points, five pieces between two of them."""
    count = len(points)

    def at(n: int) -> Point:
        return points[n % count if closed else min(max(n, 0), count - 1)]

    curve: list[Point] = []
    for n in range(count if closed else count - 1):
        around = [at(n + k) for k in (-1, 0, 1, 2)]
        for t in (0, 0.2, 0.4, 0.6, 0.8):
            x, y = (_catmull_rom([point[axis] for point in around], t) for axis in (0, 1))
            curve.append((x, y))
    return curve if closed else [*curve, points[-1]]


def _catmull_rom(p: list[float], t: float) -> float:
    return 0.5 * (
        2 * p[1]
        + (p[2] - p[0]) * t
        + (2 * p[0] - 5 * p[1] + 4 * p[2] - p[3]) * t**2
        + (3 * p[1] - p[0] - 3 * p[2] + p[3]) * t**3
    )


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    share = min(1.0, max(0.0, share))
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _any_colour(rng: random.Random) -> Colour:
    return rng.randrange(20, 236), rng.randrange(20, 236), rng.randrange(20, 236)


def _ramp(value: float, start: float, end: float) -> float:
    return min(1.0, max(0.0, (value - start) / (end - start)))
