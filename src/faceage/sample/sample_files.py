"""The files of the built-in sample: faces as UTKFace names them, copies, and deliberately bad ones.

Ages, genders and races are drawn in UTKFace's proportions, counted in its 23,707 file names
(https://susanqq.github.io/UTKFace/).
"""

import io
import random
from collections.abc import Iterator

from PIL import Image, ImageChops, ImageFilter

from faceage.core.utkface import SYNTHETIC_COMMENT, Labels, file_name
from faceage.sample.synthetic import draw_face

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
# Every so many faces have a near-duplicate.
NEAR_DUPLICATE = 100

README = """\
The faces in this folder are synthetic: drawn by src/sample.py from a seed. They resemble nobody,
and a model that has learned them says nothing about people. Some files are bad on purpose.
"""


def sample_files(faces: int, img_size: int, seed: int, index: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of face number `index` of `faces`, and of a near-duplicate of some."""
    rng = random.Random(f"{seed}:{index}")
    labels = _draw_labels(rng)
    if rng.random() < MISSING_RACE:
        labels = Labels(labels.age, labels.gender, None)
    face = _photograph(labels, img_size, rng)
    yield file_name(labels, _stamp(index)), _jpeg(face, 90)
    if index % NEAR_DUPLICATE == 0:
        side = round(img_size * rng.uniform(0.9, 1))
        smaller = face.resize((side, side), Image.Resampling.BICUBIC)
        yield file_name(labels, _stamp(index + faces)), _jpeg(smaller, 60)


def bad_files(img_size: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of files of every kind that ingest must reject, two or more of each.

    Among them are two pairs of copies that agree about the age: one of each pair is used.
    """
    rng = random.Random(f"{seed}:bad")
    for number in range(2):
        labels = Labels(30 + number, 0, 0)
        whole = _jpeg(_photograph(labels, img_size, rng), 90)
        stamp = [_stamp(number, day=2, hour=hour) for hour in range(9)]
        yield f"family_photo_{number}.jpg", whole
        yield f"img_000{number}.jpg", _jpeg(_photograph(labels, img_size, rng), 90)
        yield (
            file_name(Labels(150 + 849 * number, 0, 0), stamp[0]),
            _jpeg(_photograph(labels, img_size, rng), 90),
        )
        yield file_name(labels, stamp[1]), b""
        yield file_name(labels, stamp[2]), b"<!doctype html><title>404 Not Found</title>"
        yield file_name(labels, stamp[3]), whole[: len(whole) * 2 // 3]
        yield file_name(labels, stamp[4]), _garbled(whole)
        yield (
            file_name(labels, stamp[5]),
            _jpeg(_photograph(labels, img_size, rng).resize((16, 16)), 90),
        )
        yield file_name(labels, stamp[6], ".png"), _huge_png()
        copied = _jpeg(_photograph(labels, img_size, rng), 90)
        yield file_name(labels, stamp[7]), copied
        yield file_name(labels, stamp[8]), copied
        conflicting = _jpeg(_photograph(labels, img_size, rng), 90)
        yield file_name(labels, _stamp(number, day=3)), conflicting
        yield file_name(Labels(labels.age + 20, 0, 0), _stamp(number, day=4)), conflicting
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


def _photograph(labels: Labels, img_size: int, rng: random.Random) -> Image.Image:
    """Draw a face in the uneven light, exposure, sharpness and grain that snapshots have."""
    face = draw_face(labels, img_size, rng)
    darkest = rng.randint(50, 220)
    corners = Image.frombytes("L", (2, 2), bytes(rng.randint(darkest, 255) for _ in range(4)))
    light = corners.resize((img_size, img_size), Image.Resampling.BICUBIC)
    face = ImageChops.multiply(face, Image.merge("RGB", [light] * 3))
    if rng.random() < 0.3:
        face = face.filter(ImageFilter.GaussianBlur(rng.uniform(0.003, 0.008) * img_size))
    black, gain = rng.uniform(-8, 16), rng.uniform(0.9, 1.25)
    tints = [gain * rng.uniform(0.94, 1.06) for _ in range(3)]
    curve = [black + tint * value for tint in tints for value in range(256)]
    face = face.point([min(255, max(0, round(value))) for value in curve])
    grain = Image.frombytes("L", (img_size, img_size), rng.randbytes(img_size * img_size))
    grain = grain.point([value // 20 for value in range(256)])
    return ImageChops.subtract(face, Image.merge("RGB", [grain] * 3), offset=6)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, comment=SYNTHETIC_COMMENT)
    return buffer.getvalue()


def _garbled(jpeg: bytes) -> bytes:
    """A header that promises an image, and a Huffman table by which nothing can be decoded."""
    lengths = jpeg.index(b"\xff\xc4") + 5
    return jpeg[:lengths] + 16 * b"\xff" + jpeg[lengths + 16 :]


def _huge_png() -> bytes:
    """A few kilobytes that claim 900 megapixels: a decompression bomb."""
    buffer = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(buffer, "PNG")
    return buffer.getvalue()
