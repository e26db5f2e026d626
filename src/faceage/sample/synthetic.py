"""Draws a synthetic face at an age: the built-in sample, for runs before there are photographs.

The looks come from the labels by chance, each cue of age on its own; what is drawn how is in
`faceage.sample.canvas`.
"""

import random
from dataclasses import dataclass

from PIL import Image, ImageChops

from faceage.core.utkface import Labels
from faceage.sample.canvas import (
    Canvas,
    Colour,
    Patch,
    Point,
    between,
    byte,
    mirrored,
    mix,
    normal,
    on,
    oval,
    smooth,
)

# Drawn at this multiple of the final size and shrunk, which smooths the edges.
OVERSAMPLE = 2
# Where UTKFace's crops have the eyes: right and left of the middle, and down, in sides.
EYE_X, EYE_Y = 0.193, 0.29

# By race code; the ranges overlap. Skin: darkest and lightest tone.
SKIN = (
    ((212, 158, 128), (250, 220, 200)),
    ((86, 56, 42), (164, 114, 86)),
    ((206, 158, 118), (244, 212, 178)),
    ((136, 92, 64), (208, 158, 120)),
    ((126, 86, 60), (236, 190, 156)),
)
FULL = (0.1, 0.8, 0.3, 0.35, 0.45)  # lips and nose, 0 to 1
CURLY = (0.15, 0.7, 0.05, 0.2, 0.35)  # chance of curls
FAIR = (0.7, 0.02, 0.02, 0.02, 0.2)  # chance of hair and eyes that are not dark

DARK_HAIR = [(26, 21, 20), (42, 30, 24), (62, 41, 28)]
FAIR_HAIR = [(98, 66, 40), (136, 98, 60), (192, 156, 98), (224, 200, 148), (150, 72, 38)]
GREY_HAIR = [(158, 156, 154), (192, 190, 188), (222, 220, 218)]
DARK_IRIS = [(58, 36, 24), (84, 56, 34)]
FAIR_IRIS = [(78, 106, 80), (84, 122, 160), (110, 120, 124)]
HANGING = {"long", "wavy", "bob"}


@dataclass(frozen=True)
class Looks:
    """One person as drawn; the cues of age run from 0 to 1.

    Each cue is drawn around the age with a spread of its own, so that no single one gives the age
    away and all of them together nearly do.
    """

    young: float  # 1 at birth, 0 from about 20 years on: proportions of the face
    fresh: float  # 1 until about 12, 0 from about 48: wide eyes, full lips, smooth cheeks
    old: float  # 0 up to about 30, 1 at about 95: sagging, long ears and nose
    wrinkles: float  # how many lines, and how deep
    receding: float  # how far the hair line has gone back
    grey: float  # share of grey in the hair
    female: bool
    width: float  # half of the head's
    full: float  # lips and nose
    skin: Colour
    hair: Colour
    iris: Colour
    style: str  # of the hair

    def shaded(self, share: float) -> Colour:
        """Skin with this share of shadow."""
        return mix(self.skin, (44, 16, 12), 0.6 * share)


def draw_face(labels: Labels, img_size: int, rng: random.Random) -> Image.Image:
    """Draw one face, cropped as UTKFace's are: RGB, img_size by img_size.

    Labels that are missing are drawn by chance.
    """
    looks = _imagine(labels, rng)
    canvas = Canvas(img_size * OVERSAMPLE, rng)
    _background(canvas, looks, rng)
    _head(canvas, looks, rng)
    _light_and_shade(canvas, looks, rng)
    _creases(canvas, looks, rng)
    _nose(canvas, looks, rng)
    if not looks.female and looks.young < 0.1:
        _beard(canvas, looks, rng)
    _mouth(canvas, looks, rng)
    _eyes(canvas, looks, rng)
    if looks.style != "bald":
        _hair(canvas, looks, rng)
    if rng.random() < 0.1 + 0.2 * looks.old:
        _glasses(canvas, rng)
    return canvas.image.resize((img_size, img_size), Image.Resampling.BOX)


def _imagine(labels: Labels, rng: random.Random) -> Looks:
    race = labels.race if labels.race is not None else rng.randrange(len(SKIN))
    female = bool(labels.gender) if labels.gender is not None else rng.random() < 0.5
    looks_like = labels.age + normal(rng) * (0.4 + 0.04 * labels.age)

    def seen(spread: float) -> float:
        """Age as one cue shows it; the spread of a cue grows with age, as in people."""
        return looks_like + normal(rng) * spread * (0.2 + min(labels.age, 60) / 60)

    young, receding = 1 - _ramp(seen(1.5), 0, 20), _ramp(seen(14), 26, 80)
    fair = rng.random() < FAIR[race]
    hair, grey = rng.choice(FAIR_HAIR if fair else DARK_HAIR), _ramp(seen(14), 34, 76)
    if labels.age > 9 and rng.random() < (0.45 if female else 0.25):  # dyed or bleached
        hair, grey = rng.choice(FAIR_HAIR + GREY_HAIR), 0.1 * grey
    return Looks(
        young=young,
        fresh=1 - _ramp(seen(4), 12, 48),
        old=_ramp(seen(4), 30, 95),
        wrinkles=_ramp(seen(3.5), 20, 90),
        receding=receding * (0.2 if female else 1),
        grey=grey,
        female=female,
        width=0.4 + 0.01 * young - 0.01 * female + rng.uniform(-0.025, 0.025),
        full=FULL[race] + rng.uniform(-0.3, 0.3),
        skin=mix(*SKIN[race], rng.random()),
        hair=mix(hair, rng.choice(GREY_HAIR), grey),
        iris=rng.choice(FAIR_IRIS if fair else DARK_IRIS),
        style=_hair_style(rng, female, young, receding, CURLY[race]),
    )


def _hair_style(
    rng: random.Random, female: bool, young: float, receding: float, curly: float
) -> str:
    if young > 0.9 and rng.random() < 0.7:
        return "fuzz"
    if not female and receding > 0.5 and rng.random() < 0.6:
        return "sides"
    if rng.random() < curly:
        return "curly"
    if female:
        return rng.choice(["long", "long", "wavy", "bob", "fringe", "short"])
    bold = ["bald"] if young < 0.1 else []
    return rng.choice(["short", "short", "short", "fringe", "cropped", "cropped", *bold])


def _background(canvas: Canvas, looks: Looks, rng: random.Random) -> None:
    """A room out of focus, hair that hangs behind, neck and clothes."""
    base, cells = _any_colour(rng), rng.randint(2, 5)
    room = [mix(base, _any_colour(rng), rng.uniform(0, 0.8)) for _ in range(cells * cells)]
    tiny = Image.frombytes("RGB", (cells, cells), bytes(value for cell in room for value in cell))
    canvas.image.paste(tiny.resize(canvas.image.size, Image.Resampling.BICUBIC))
    if looks.style in HANGING:
        back = looks.width + 0.02
        hanging = [(-back, 0.2), (back, 0.2), (back, 1.2), (-back, 1.2)]
        canvas.shape(hanging, mix(looks.hair, (0, 0, 0), 0.35))
    neck = 0.24 - 0.06 * looks.young - 0.03 * looks.female
    throat = [(-neck, 0.7), (neck, 0.7), (neck, 1.2), (-neck, 1.2)]
    canvas.shape(throat, looks.shaded(0.45))
    open_to = rng.uniform(0.98, 1.15)
    collar = [(0.0, open_to), (neck + 0.02, 0.94), (0.55, 1.0), (0.8, 1.3)]
    canvas.shape(mirrored(collar), _any_colour(rng))


def _head(canvas: Canvas, looks: Looks, rng: random.Random) -> None:
    ear = 0.07 + 0.03 * looks.old
    for side in (-1, 1):
        canvas.shape(oval(side * looks.width, 0.4, 0.05, ear), looks.shaded(0.15))
        canvas.shape(oval(side * (looks.width + 0.012), 0.4, 0.022, 0.6 * ear), looks.shaded(0.4))
    canvas.shape(_contour(looks, rng.uniform(-0.05, 0.06)), looks.skin)


def _contour(looks: Looks, heavy: float) -> list[Point]:
    """Outline of the head: round in children, angular in men, sagging at the jaw with age."""
    w, chin, man = looks.width, 0.985 - 0.06 * looks.young, (not looks.female) * (1 - looks.young)
    jaw = (0.735 + 0.04 * looks.young + 0.09 * looks.old + 0.06 * man + heavy) * w
    cheek = (0.93 + 0.02 * looks.old + heavy / 2) * w
    top = [(0.0, -0.08), (0.6 * w, -0.04), (0.92 * w, 0.1), (w, 0.3), (0.99 * w, 0.46)]
    below = [(cheek, 0.63), (jaw, chin - 0.175), ((0.4 + 0.04 * man + heavy / 2) * w, chin - 0.04)]
    return smooth(mirrored([*top, *below, (0.0, chin)]))


def _light_and_shade(canvas: Canvas, looks: Looks, rng: random.Random) -> None:
    w, young, old = looks.width, looks.young, looks.old
    face = canvas.mask([(_contour(looks, 0.0), 1.0)], 0.005)
    away = rng.choice([-1, 1])
    hollow = rng.uniform(0.0, 0.3) * (1 - young) + 0.2 * old
    dark = [
        (oval(away * w, 0.5, 0.13, 0.6), rng.uniform(0.3, 0.85)),
        (oval(-away * w, 0.5, 0.06, 0.6), 0.25),
        (oval(0, 1.0 - 0.06 * young, 0.32, 0.06), 0.4),
        (oval(0.035 * away, 0.42 - 0.03 * young, 0.03, 0.1), 0.25 * (1 - young)),
        (oval(0, 0.79 - 0.04 * young, 0.09, 0.016), 0.3),
    ]
    bright = [
        (oval(-away * 0.08, 0.14, 0.18, 0.09), rng.uniform(0.1, 0.5)),
        (oval(-0.008 * away, 0.44 - 0.03 * young, 0.018, 0.1), 0.35),
    ]
    warm, rosy = [], rng.uniform(0.05, 0.35)
    for side in (-1, 1):
        dark.append((oval(side * EYE_X, EYE_Y - 0.01, 0.1, 0.055), rng.uniform(0.1, 0.4)))
        dark.append((oval(side * 0.27, 0.64, 0.06, 0.1), hollow))
        bright.append((oval(side * 0.23, 0.46, 0.07, 0.05), rng.uniform(0.1, 0.4)))
        warm.append((oval(side * 0.24, 0.56, 0.1, 0.08), rosy + 0.15 * young))
    for patches, blur, colour in (
        (warm, 0.05, mix(looks.skin, (220, 84, 76), 0.55)),
        (dark, 0.045, looks.shaded(1.0)),
        (bright, 0.035, mix(looks.skin, (255, 248, 236), 0.55)),
    ):
        canvas.glow(ImageChops.multiply(canvas.mask(patches, blur), face), colour)
    for _ in range(round(14 * max(0.0, old - 0.3) + 2 * old * rng.random())):
        x, y, size = rng.uniform(-0.33, 0.33), rng.uniform(0.05, 0.85), rng.uniform(0.006, 0.016)
        canvas.shape(oval(x, y, size, 0.8 * size), looks.shaded(rng.uniform(0.2, 0.45)))


def _creases(canvas: Canvas, looks: Looks, rng: random.Random) -> None:
    """Lines on the forehead, at the eyes, from nose to mouth, at the jaw, above the lips."""
    depth = looks.wrinkles
    lines: list[Patch] = []

    def crease(points: list[Point], strength: float) -> None:
        if strength > 0.05:
            lines.append((points, strength * rng.uniform(0.75, 1.25)))

    def some(most: float) -> range:
        return range(round(most * depth + rng.uniform(-0.4, 0.6)))

    for n in some(5):
        y, reach, bend = 0.165 - 0.03 * n, rng.uniform(0.1, 0.22), rng.uniform(-0.008, 0.012)
        x = rng.uniform(-0.04, 0.04)
        crease([(x - reach, y + bend), (x, y - bend), (x + reach, y + bend)], 0.15 + 0.7 * depth)
    for side in (-1, 1):
        fold = [(0.085, 0.535), (0.145, 0.62), (0.165 + 0.02 * depth, 0.66 + 0.07 * depth)]
        crease(on(side, fold), 0.06 + 0.9 * depth)
        for n in some(4):
            spoke = [(0.285, 0.29 + 0.012 * n), (0.3 + 0.06 * depth, 0.262 + 0.026 * n)]
            crease(on(side, spoke), 0.15 + 0.7 * depth)
        for n in some(2.5):
            bag = [(0.12, 0.335), (0.19, 0.36 + 0.02 * n + 0.01 * depth), (0.265, 0.335)]
            crease(on(side, bag), 0.1 + 0.7 * depth)
        jowl = [(0.15, 0.77), (0.175, 0.81), (0.175, 0.85)]
        crease(on(side, jowl), looks.old - 0.2)
        frown = side * rng.uniform(0.012, 0.025)
        crease([(frown, 0.185), (0.8 * frown, 0.235)], depth - 0.25)
    for n in some(5):
        x = 0.03 * (n - 2) + rng.uniform(-0.01, 0.01)
        crease([(x, 0.645), (1.1 * x, 0.68)], 0.7 * depth - 0.25)
    canvas.etch(lines, 0.011, looks.shaded(1.0))


def _eyes(canvas: Canvas, looks: Looks, rng: random.Random) -> None:
    size = (0.066 + 0.022 * looks.young - 0.005 * looks.old) * rng.uniform(0.92, 1.08)
    opening = 0.4 + 0.12 * looks.fresh + 0.12 * looks.young - 0.07 * looks.old
    height = size * opening * rng.uniform(0.85, 1.15)
    gaze, tilt = rng.uniform(-0.012, 0.012), rng.uniform(-0.012, 0.004) + 0.014 * looks.old
    raised = rng.uniform(-0.014, 0.01) - 0.01 * looks.young + 0.012 * looks.old
    thick = (0.011 if looks.female else 0.017) * (1 - 0.5 * looks.young) * rng.uniform(0.8, 1.25)
    inner, outer = 0.203 + raised + rng.uniform(-0.01, 0.01), 0.222 + raised
    over = [(0.1, inner), (0.2, 0.189 + raised), (0.295, outer)]
    brow = [*over, (0.2, 0.189 + raised + thick), (0.1, inner + 1.3 * thick)]
    fur = mix(mix(looks.hair, (48, 34, 28), 0.55), (206, 202, 198), 0.6 * looks.grey)
    opened = [n / 6 for n in range(-6, 7)]
    for side in (-1, 1):

        def lid(rise: float, side: int = side) -> list[Point]:
            return [
                (side * (EYE_X + size * t), EYE_Y + tilt * t - rise * (1 - t * t)) for t in opened
            ]

        def disc(radius: float, colour: Colour, side: int = side) -> None:
            """Draw what the lids leave open of a disc."""
            seen = []
            for x, y in oval(side * EYE_X + gaze, EYE_Y - 0.08 * height, radius, radius):
                t = (side * x - EYE_X) / size
                gap, middle = height * max(0.0, 1 - t * t), EYE_Y + tilt * t
                seen.append((x, min(max(y, middle - gap), middle + 0.7 * gap)))
            canvas.shape(seen, colour)

        upper, lower = lid(height), lid(-0.7 * height)
        canvas.shape([*upper, *reversed(lower)], (240, 236, 232))
        disc(0.032, mix(looks.iris, (10, 8, 8), 0.4))
        disc(0.026, looks.iris)
        disc(0.014, (12, 10, 10))
        canvas.shape(oval(side * EYE_X + gaze + 0.01, EYE_Y - 0.012, 0.006, 0.006), (252,) * 3)
        canvas.line(lower, 0.005, looks.shaded(0.6))
        canvas.line(upper, 0.013 if looks.female else 0.009, mix(looks.skin, (28, 14, 12), 0.85))
        canvas.line(lid(height + 0.022 - 0.008 * looks.old), 0.005, looks.shaded(0.6))
        canvas.shape(smooth(on(side, brow)), mix(fur, looks.skin, 0.15 + 0.5 * looks.young))


def _nose(canvas: Canvas, looks: Looks, rng: random.Random) -> None:
    tip = 0.535 - 0.05 * looks.young + 0.025 * looks.old
    wide = 0.06 - 0.012 * looks.young + 0.01 * looks.old + 0.02 * looks.full
    wide *= rng.uniform(0.86, 1.14)
    lines = [([(-0.4 * wide, tip + 0.008), (0, tip + 0.016), (0.4 * wide, tip + 0.008)], 0.7)]
    for side in (-1, 1):
        wing = [(0.85 * wide, tip - 0.045), (1.1 * wide, tip - 0.012), (0.75 * wide, tip + 0.008)]
        lines += [(on(side, wing), 0.65), ([(side * 0.03, 0.3), (side * 0.035, 0.38)], 0.2)]
        hole = oval(side * 0.55 * wide, tip + 0.004, 0.28 * wide, 0.008)
        canvas.shape(hole, mix(looks.shaded(1.0), (20, 8, 8), 0.3))
    canvas.etch(lines, 0.009, looks.shaded(1.0))


def _mouth(canvas: Canvas, looks: Looks, rng: random.Random) -> None:
    y, half = 0.72 - 0.04 * looks.young, 0.125 - 0.03 * looks.young + rng.uniform(-0.012, 0.015)
    full = 0.018 + 0.007 * looks.fresh + 0.012 * looks.full - 0.007 * looks.old
    smile = rng.uniform(-0.006, 0.035)
    lipstick = rng.uniform(0, 0.45) if looks.female and looks.young < 0.4 else 0.0
    lip = mix(mix(looks.skin, (168, 64, 66), 0.42), (176, 24, 52), lipstick)
    between = mirrored([(0.0, y + 0.2 * smile), (0.5 * half, y - 0.1 * smile), (half, y - smile)])
    between = [*between[-2:], *between[:3]]  # from corner to corner
    peak = [(0.0, y - 0.75 * full), (0.03, y - full), (0.5 * half, y - 0.75 * full - 0.4 * smile)]
    bow = [*reversed(peak), *on(-1, peak[1:])]
    gap = rng.uniform(0.4, 1.1) * full if rng.random() < 0.4 else 0.0
    below = [(x * half, y + down * full + gap) for x, down in ((0.55, 1.1), (0, 1.5), (-0.55, 1.1))]
    canvas.shape(smooth([*between, *below]), lip)
    canvas.shape(smooth([*between, *bow]), mix(lip, looks.shaded(1.0), 0.25))
    if gap:
        teeth = [*between, *((0.85 * x, down - full) for x, down in below)]
        canvas.shape(smooth(teeth), (238, 232, 224))
    canvas.line(smooth(between, False), 0.008, mix(lip, (40, 10, 12), 0.6))


def _beard(canvas: Canvas, looks: Looks, rng: random.Random) -> None:
    kind = rng.choice(["none", "none", "none", "stubble", "moustache", "goatee", "full"])
    if kind == "none":
        return
    w, strength = looks.width, 0.3 if kind == "stubble" else rng.uniform(0.7, 0.95)
    over = [(0.0, 0.635), (0.11, 0.66), (0.16, 0.72), (0.1, 0.69), (0.0, 0.675)]
    patches = [(smooth(mirrored(over)), strength)]
    if kind == "goatee":
        patches.append((oval(0, 0.88, 0.14, 0.09), strength))
    if kind in {"stubble", "full"}:
        top = [(0.0, 0.8), (0.16, 0.77), (0.2, 0.68), (0.75 * w, 0.62), (0.93 * w, 0.45)]
        jaw = [(w, 0.45), (0.95 * w, 0.64), (0.8 * w, 0.82), (0.45 * w, 0.96), (0.0, 1.01)]
        patches.append((smooth(mirrored([*top, *jaw])), strength))
    canvas.glow(canvas.mask(patches, 0.012), mix(looks.hair, looks.skin, 0.12))


def _hair(canvas: Canvas, looks: Looks, rng: random.Random) -> None:
    """A ribbon between the hair line and the outline of the hair, with strands or curls in it."""
    inner, outer = _hair_lines(looks, rng)
    thin = {"fuzz": 0.6, "cropped": 0.3}.get(looks.style, 0.3 * looks.receding)
    colour = mix(looks.hair, looks.skin, thin)
    tones = [mix(colour, (255, 240, 220), 0.15), mix(colour, (0, 0, 0), 0.2)]
    ends = [slice(0, 10), slice(-10, None)]
    for part in ends if looks.style == "sides" else [slice(None)]:
        ribbon = list(zip(inner[part], outer[part], strict=True))
        canvas.shape([*inner[part], *reversed(outer[part])], colour)
        if looks.style == "curly":
            for _ in range(60):
                (x, y), size = between(*rng.choice(ribbon), rng.random()), rng.uniform(0.02, 0.04)
                canvas.shape(oval(x, y, size, size), mix(colour, rng.choice(tones), rng.random()))
        elif looks.style in HANGING:
            for _ in range(10):
                share, width = rng.uniform(0.05, 0.95), rng.uniform(0.004, 0.01)
                strand = [between(*pair, share) for pair in ribbon]
                canvas.line(strand, width, rng.choice(tones))
        elif looks.style not in {"cropped", "fuzz"}:
            for _ in range(24):
                n, lean = rng.randrange(3, len(ribbon) - 3), rng.randint(-3, 3)
                start, end = between(*ribbon[n], 0.05), between(*ribbon[n + lean], 0.9)
                canvas.line([start, end], 0.006, rng.choice(tones))


def _hair_lines(looks: Looks, rng: random.Random) -> tuple[list[Point], list[Point]]:
    """Hair line and outline from one side over the top to the other, point for point."""
    w, style = looks.width, looks.style
    line = 0.075 - 0.1 * looks.receding + rng.uniform(-0.03, 0.035)
    corner, volume = 0.17 - 0.13 * looks.receding, rng.uniform(0.0, 0.06)
    if style in HANGING:
        end, far = rng.uniform(0.7, 0.85) if style == "bob" else 1.2, w + 0.07 + volume
        inside = [(0.98 * w, end), (0.97 * w, 0.6), (0.96 * w, 0.4), (0.86 * w, 0.2)]
        outside = [(far, end), (far + 0.03, 0.6), (far + 0.01, 0.35), (far - volume, 0.1)]
    else:
        far = w + 0.02 + (0 if style in {"sides", "cropped", "fuzz"} else volume)
        inside = [(0.99 * w, rng.uniform(0.36, 0.46)), (0.95 * w, 0.3), (0.92 * w, 0.22)]
        inside.append((0.8 * w, corner))
        outside = [(w + 0.01, 0.42), (far + 0.01, 0.3), (far, 0.19), (0.93 * far, -0.02)]
    if style == "fuzz":
        line, corner = line - 0.07, 0.1
    front = [line + rng.uniform(-0.02, 0.02), line, line + rng.uniform(-0.02, 0.02)]
    if style == "fringe":
        front = [rng.uniform(0.1, 0.17) for _ in range(3)]
    if style == "wavy":
        outside = [(x + (0.03 if n % 2 else -0.01), y) for n, (x, y) in enumerate(outside)]
    places = (-0.45 * w, rng.uniform(-0.3, 0.3) * w, 0.45 * w)
    inner = [*on(-1, inside), *zip(places, front, strict=True), *reversed(inside)]
    crown = [(-0.5 * w, -0.15), (0.0, -0.2), (0.5 * w, -0.15)]
    outer = [*on(-1, outside), *crown, *reversed(outside)]
    return smooth(inner, False), smooth(outer, False)


def _glasses(canvas: Canvas, rng: random.Random) -> None:
    frame = rng.choice([(24, 24, 28), (92, 62, 36), (128, 128, 134), (120, 30, 36)])
    wide, high, width = rng.uniform(0.11, 0.135), rng.uniform(0.075, 0.1), rng.uniform(0.007, 0.014)
    for side in (-1, 1):
        rim = oval(side * EYE_X, EYE_Y + 0.012, wide, high)
        canvas.line([*rim, rim[0]], width, frame)
        canvas.line([(side * (EYE_X + wide), EYE_Y), (side * 0.4, EYE_Y + 0.02)], width, frame)
    canvas.line([(wide - EYE_X, EYE_Y), (EYE_X - wide, EYE_Y)], width, frame)


def _any_colour(rng: random.Random) -> Colour:
    """Seldom a loud one: grey of any lightness with some hue."""
    grey = rng.randint(40, 210)
    red, green, blue = (byte(grey + rng.randint(-45, 45)) for _ in range(3))
    return red, green, blue


def _ramp(value: float, start: float, end: float) -> float:
    return min(1.0, max(0.0, (value - start) / (end - start)))
