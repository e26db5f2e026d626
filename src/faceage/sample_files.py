"""The files of the built-in sample: faces as UTKFace names them, copies, and deliberately bad ones.

Ages, genders and races are drawn in UTKFace's proportions, counted in its 23,707 file names
(https://susanqq.github.io/UTKFace/).
"""

import io
import random
from collections.abc import Iterator

from PIL import Image

from faceage.synthetic import draw_face
from faceage.utkface import SYNTHETIC_COMMENT, Labels, file_name

# Faces by age: decades, the first one in two for its many infants.
AGES = {
    (1, 3): 1894,
    (4, 9): 1167,
    (10, 19): 1531,
    (20, 29): 7344,
    (30, 39): 4537,
    (40, 49): 2245,
    (50, 59): 2299,
    (60, 69): 1318,
    (70, 79): 699,
    (80, 89): 504,
    (90, 99): 137,
    (100, 116): 32,
}
GENDERS = (12390, 11317)
RACES = (10078, 4525, 3434, 3975, 1692)
MISSING_RACE = 0.005
NEAR_DUPLICATES = 0.01

README = """\
The faces in this folder are synthetic: drawn by src/sample.py from a seed. They resemble nobody,
and a model that has learned them says nothing about people. Some files are bad on purpose.
"""


def sample_files(faces: int, px: int, seed: int, index: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of face number `index` of `faces`, and of a near-duplicate of some."""
    rng = random.Random(f"{seed}:{index}")
    labels = _draw_labels(rng)
    if rng.random() < MISSING_RACE:
        labels = Labels(labels.age, labels.gender, None)
    face = draw_face(labels, px, rng)
    yield file_name(labels, _stamp(index)), _jpeg(face, 90)
    if rng.random() < NEAR_DUPLICATES:
        smaller = face.resize((px * 9 // 10, px * 9 // 10), Image.Resampling.BICUBIC)
        yield file_name(labels, _stamp(index + faces)), _jpeg(smaller, 60)


def bad_files(px: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of files of every kind that ingest must reject, two or three of each."""
    rng = random.Random(f"{seed}:bad")
    for number in range(2):
        labels = Labels(30 + number, 0, 0)
        whole = _jpeg(draw_face(labels, px, rng), 90)
        stamp = [_stamp(number, day=2, hour=hour) for hour in range(9)]
        yield f"family_photo_{number}.jpg", whole
        yield (
            file_name(Labels(150 + 849 * number, 0, 0), stamp[0]),
            _jpeg(draw_face(labels, px, rng), 90),
        )
        yield file_name(labels, stamp[1]), b""
        yield file_name(labels, stamp[2]), b"<!doctype html><title>404 Not Found</title>"
        yield file_name(labels, stamp[3]), whole[: len(whole) * 2 // 3]
        yield file_name(labels, stamp[4], ".png"), _damaged_png(rng)
        yield file_name(labels, stamp[5]), _jpeg(draw_face(labels, px, rng).resize((16, 16)), 90)
        yield file_name(labels, stamp[6], ".png"), _huge_png()
        copied = _jpeg(draw_face(labels, px, rng), 90)
        yield file_name(labels, stamp[7]), copied
        yield file_name(labels, stamp[8]), copied
        doubtful = _jpeg(draw_face(labels, px, rng), 90)
        yield file_name(labels, _stamp(number, day=3)), doubtful
        yield file_name(Labels(labels.age + 20, 0, 0), _stamp(number, day=4)), doubtful
    yield "README.txt", README.encode()


def _draw_labels(rng: random.Random) -> Labels:
    (youngest, oldest), *_ = rng.choices(list(AGES), weights=list(AGES.values()))
    (gender,) = rng.choices(range(len(GENDERS)), weights=GENDERS)
    (race,) = rng.choices(range(len(RACES)), weights=RACES)
    return Labels(rng.randint(youngest, oldest), gender, race)


def _stamp(number: int, day: int = 1, hour: int = 0) -> str:
    """A date and time as UTKFace has them, another one for each number."""
    seconds = hour * 3600 + number
    clock = f"{seconds // 3600 % 24:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"
    return f"202601{day + seconds // 86400:02d}{clock}000"


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, comment=SYNTHETIC_COMMENT)
    return buffer.getvalue()


def _damaged_png(rng: random.Random) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(buffer, "PNG")
    return buffer.getvalue()[:60] + rng.randbytes(200)


def _huge_png() -> bytes:
    """A few kilobytes that claim 900 megapixels: a decompression bomb."""
    buffer = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(buffer, "PNG")
    return buffer.getvalue()
