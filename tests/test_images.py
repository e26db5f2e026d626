"""Image files of every kind become upright RGB; hostile ones are refused, in little memory."""

import io
import random
import resource
import struct
import zlib

import numpy as np
import pytest
from conftest import photo
from PIL import Image

from faceage.core import images

COLOURS = np.zeros((40, 60, 3), dtype=np.uint8)
COLOURS[:, :30] = (200, 40, 40)  # red on the left, blue on the right
COLOURS[:, 30:] = (30, 60, 190)
FUZZED = 300


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def close(pixels: np.ndarray, expected: np.ndarray) -> bool:
    return bool(abs(pixels.astype(int) - expected).mean() < 6)


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM"]
)
def test_every_format(kind):
    decoded = images.decode(saved(Image.fromarray(COLOURS), kind))
    assert decoded.mode == "RGB"
    assert close(np.asarray(decoded), COLOURS)


def test_a_jpeg_of_which_less_is_enough_is_decoded_at_a_part_of_its_size():
    large = Image.fromarray(COLOURS).resize((240, 160))
    for at_least, size in ((40, (60, 40)), (41, (120, 80)), (81, (240, 160)), (300, (240, 160))):
        decoded = images.decode(saved(large, "JPEG"), at_least=at_least)
        assert decoded.size == size
        assert close(np.asarray(decoded), np.asarray(large.resize(size)))
    assert images.decode(saved(large, "PNG"), at_least=40).size == large.size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(orientation):
    """Each is stored so that its orientation brings it back to red left, blue right."""
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    image = Image.fromarray(COLOURS)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(image.transpose(stored) if stored is not None else image, "JPEG", exif=exif)
    assert close(np.asarray(images.decode(content)), COLOURS)


def test_broken_exif_data_are_left_alone():
    content = saved(Image.fromarray(COLOURS), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert close(np.asarray(images.decode(content)), COLOURS)


def test_transparency_becomes_white():
    clear = Image.fromarray(COLOURS).convert("RGBA")
    clear.putalpha(0)
    assert (np.asarray(images.decode(saved(clear, "PNG"))) == 255).all()
    grey = Image.new("LA", (50, 50), (0, 128))
    assert abs(np.asarray(images.decode(saved(grey, "PNG"))).astype(int) - 127).max() <= 1
    palette = Image.new("P", (50, 50), 0)
    palette.putpalette([10, 20, 30])
    assert (np.asarray(images.decode(saved(palette, "PNG", transparency=0))) == 255).all()
    assert np.asarray(images.decode(saved(palette, "PNG")))[0, 0].tolist() == [10, 20, 30]


def test_grey_cmyk_one_bit_and_16_bit():
    ramp = np.linspace(0, 255, 60).astype(np.uint8)[None].repeat(40, axis=0)
    expected = ramp[..., None].repeat(3, axis=2)
    assert close(np.asarray(images.decode(saved(Image.fromarray(ramp), "PNG"))), expected)
    deep = Image.fromarray(ramp.astype(np.uint16) * 257)
    for kind in ("PNG", "TIFF"):
        assert close(np.asarray(images.decode(saved(deep, kind))), expected)
    cmyk = Image.fromarray(COLOURS).convert("CMYK")
    assert close(np.asarray(images.decode(saved(cmyk, "JPEG", quality=95))), COLOURS)
    bits = Image.new("1", (50, 50), 1)
    assert (np.asarray(images.decode(saved(bits, "PNG"))) == 255).all()


RAMP = np.linspace(0, 255, 60).astype(np.uint8)[None].repeat(40, axis=0)


@pytest.mark.parametrize(
    "values",
    [
        RAMP / np.float32(255),  # floats from 0 to 1
        RAMP.astype(np.float32),
        RAMP.astype(np.int32),
        RAMP.astype(np.int32) * 257,
        RAMP.astype(np.uint16) * 16,  # 12 bits
        RAMP.astype(np.uint16) * 257,
    ],
)
def test_grey_values_of_many_kinds_look_the_same(values):
    decoded = np.asarray(images.decode(saved(Image.fromarray(values), "TIFF")))
    assert abs(decoded.astype(int) - RAMP[..., None]).max() <= 1


def test_values_that_are_no_colours():
    values = RAMP / np.float32(255)
    values[0, 0], values[0, 1], values[0, 2] = np.nan, -5, np.inf
    decoded = np.asarray(images.decode(saved(Image.fromarray(values), "TIFF")))
    assert decoded[0, :3].tolist() == [[0, 0, 0]] * 3
    assert abs(decoded[1].astype(int) - RAMP[1, :, None]).max() <= 1


def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


@pytest.mark.parametrize("bits", [12, 16])
def test_colours_of_12_and_16_bits_in_a_png(bits):
    """Pillow writes no such file."""
    height, width, _ = COLOURS.shape
    deep = (COLOURS.astype(np.uint16) * (16 if bits == 12 else 257)).astype(">u2")
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in deep))
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed)
    decoded = images.decode(content + chunk(b"IEND", b""))
    assert abs(np.asarray(decoded).astype(int) - COLOURS).max() <= 1


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_that_lacks_its_end_is_recovered(options, missing):
    whole = saved(Image.open(io.BytesIO(photo(1, (200, 200)))), "JPEG", quality=90, **options)
    recovered = images.decode(whole[:-missing])
    assert recovered.info["recovered"]
    assert "recovered" not in images.decode(whole).info
    assert (np.asarray(recovered) == np.asarray(images.decode(whole))).all()


def test_a_jpeg_that_lacks_a_few_bytes_keeps_what_is_whole():
    whole = saved(Image.open(io.BytesIO(photo(1, (200, 200)))), "JPEG", quality=90)
    recovered = images.decode(whole[:-12])
    assert recovered.info["recovered"]
    assert (np.asarray(recovered)[:176] == np.asarray(images.decode(whole))[:176]).all()


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_jpeg_that_lacks_rows_or_scans_is_refused(options, share):
    whole = saved(Image.open(io.BytesIO(photo(1, (200, 200)))), "JPEG", quality=90, **options)
    with pytest.raises(images.Damaged) as caught:
        images.decode(whole[: int(len(whole) * share)])
    assert caught.value.truncated


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header announces so many pixels."""

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed)


@pytest.mark.parametrize(
    ("content", "refused", "words"),
    [
        (b"", images.NotAnImage, "not an image"),
        (b"<html><body>404</body></html>", images.NotAnImage, "not an image"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', images.NotAnImage, "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", images.NotAnImage, "not an image"),
        (bomb(50_000, 50_000), images.TooManyPixels, "too large: more than 50 megapixels"),
        (bomb(30_000, 2_000), images.TooManyPixels, "too large: 30000x2000 pixels"),
        (bomb(300, 400), images.Damaged, "damaged: "),
        (photo(1, (200, 200))[:1500], images.Damaged, "damaged: "),
    ],
)
def test_hostile_files_are_refused(content, refused, words):
    with pytest.raises(refused) as caught:
        images.decode(content)
    assert images.in_words(caught.value).startswith(words)
    assert "\n" not in images.in_words(caught.value)


def test_mutated_images_are_decoded_or_refused_and_nothing_else():
    rng = random.Random(0)
    kinds = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
    whole = [saved(Image.fromarray(COLOURS), kind) for kind in kinds]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = {"decoded": 0, "refused": 0}
    for _ in range(FUZZED):
        content = bytearray(rng.choice(whole))
        for _ in range(rng.randint(1, 8)):
            at = rng.randrange(len(content))
            match rng.randrange(4):
                case 0:
                    content[at] = rng.randrange(256)
                case 1:
                    content[at : at + 4] = rng.randbytes(4)
                case 2:
                    del content[at : at + rng.randint(1, 40)]
                case _:
                    content[at:at] = rng.randbytes(rng.randint(1, 40))
            content = content or bytearray(b"\0")
        try:
            image = images.decode(bytes(content))
        except images.Refused:
            outcomes["refused"] += 1
        else:
            outcomes["decoded"] += 1
            assert image.mode == "RGB"
            assert image.width * image.height <= images.MAX_PIXELS
    assert min(outcomes.values()) > 0.1 * FUZZED, outcomes
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 4 * images.MAX_PIXELS * 3 / 2**20, f"{grown:.0f} MiB"
