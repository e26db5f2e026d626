"""Bytes to pixels: what is accepted as an image, and decoding of what has been accepted."""

import contextlib
import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

with contextlib.suppress(ImportError):  # photographs of telephones, where the library is there
    import pillow_heif

    pillow_heif.register_heif_opener()

# Pillow's warnings about broken metadata do not say of which file.
warnings.filterwarnings("ignore", module=r"PIL\.")

# Of what Pillow opens; the rest is no photograph, and some of it starts other programs.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "HEIF", "AVIF", "JPEG2000", "PPM")

# 50 megapixels decode to 150 MB; a face crop has a thousandth of that, a decompression bomb more.
MAX_PIXELS = 50_000_000

# What grey values may reach: floats 1; 8, 12 and 16 bits.
WHITES = (255, 2**12 - 1, 2**16 - 1)

END_OF_JPEG = b"\xff\xd9"
MADE_UP = (bytes(64), b"\xaa" * 64)
BLOCK = 16  # pixels: side of a JPEG's blocks

# Of 16 bits of colour Pillow keeps the high byte; told that they come the other way, the low one.
HIGH_BYTE, LOW_BYTE = "RGB;16B", "RGB;16L"

# Weights of red, green and blue in the luma of Rec. 601, as in Pillow's conversion to grey.
LUMA = (0.299, 0.587, 0.114)


class NotAnImage(Exception):
    """The bytes are in no image format that Pillow knows."""


class TooManyPixels(Exception):
    """The header announces more pixels than are accepted; nothing was decoded."""


class Damaged(Exception):
    """The header is an image's, the rest cannot be decoded; `truncated` where bytes are missing."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.truncated = "truncated" in message


Refused = (NotAnImage, TooManyPixels, Damaged)


def in_words(error: Exception) -> str:
    """What is the matter with a file that was refused or could not be read, on one line."""
    if isinstance(error, NotAnImage):
        return "not an image"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    kind = "too large" if isinstance(error, TooManyPixels) else "damaged"
    return f"{kind}: {' '.join(str(error).split())}"


def decode(
    content: bytes, max_pixels: int = MAX_PIXELS, at_least: int | None = None
) -> Image.Image:
    """Decode an image file completely to RGB, upright as its EXIF data say.

    What is transparent becomes white; of an animation the first picture is taken. More than 8 bits
    a channel, and floats, become 8 bits as `_eight_bits` says. Of a JPEG whose last bytes are
    missing the rest is taken, if that is nearly all, with `recovered` in its info.

    Parameters
    ----------
    at_least : pixels of a side that are enough: a JPEG with twice, four or eight times as many is
        decoded at a half, a quarter or an eighth of its size, which is sooner done

    Raises
    ------
    NotAnImage, TooManyPixels, Damaged
        For bytes that are no image, an image that is too large, and one that does not decode.
    """
    try:
        return _decode(content, max_pixels, at_least)
    except Damaged as error:
        recovered = _recovered(content, max_pixels) if error.truncated else None
        if recovered is None:
            raise
        return recovered


def is_image(path: Path) -> bool:
    """Whether the file at `path` begins like an image."""
    try:
        with Image.open(path, formats=_formats()):
            return True
    except Exception:  # of as many kinds as in `_decode`
        return False


def _decode(content: bytes, max_pixels: int, at_least: int | None = None) -> Image.Image:
    try:
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            if image.width * image.height > max_pixels:
                raise TooManyPixels(f"{image.width}x{image.height} pixels")
            if at_least:
                image.draft(None, (at_least, at_least))
            comment = image.info.get("comment")
            rgb = _upright(_dark_colours(image, content) or _rgb(image))
            rgb.info = {"comment": comment} if comment else {}
            return rgb
    except TooManyPixels:
        raise
    except UnidentifiedImageError:
        raise NotAnImage("no image format") from None
    except Image.DecompressionBombError:
        raise TooManyPixels(f"more than {max_pixels // 10**6} megapixels") from None
    except Exception as error:
        # On broken files Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error
        # and more, undocumented; all of them mean the same here.
        raise Damaged(str(error) or type(error).__name__) from None


def _recovered(content: bytes, max_pixels: int) -> Image.Image | None:
    """A JPEG that lacks its last bytes, if they are of the last row of blocks at most; else None.

    It is decoded twice, with different bytes in place of the missing ones: from the first row in
    which the pictures differ, the picture is made up.
    """
    scan = content.rfind(b"\xff\xda")
    if not content.startswith(b"\xff\xd8") or scan < 0 or len(content) < scan + 6:
        return None
    accuracy = scan + 4 + 2 * content[scan + 4] + 3  # where the scan's header says what bits it has
    if len(content) <= accuracy or content[accuracy] & 15:
        return None  # a progressive JPEG without its finer scans
    content = content.rstrip(b"\xff")  # half of the mark that ends a JPEG
    try:
        one, other = (_decode(content + b + END_OF_JPEG, max_pixels) for b in MADE_UP)
        picture = _decode(content + END_OF_JPEG, max_pixels)
    except Refused:
        return None
    rows = np.flatnonzero((np.asarray(one) != np.asarray(other)).any(axis=(1, 2)))
    if len(rows) and rows[0] < picture.height - BLOCK:
        return None
    picture.info["recovered"] = True
    return picture


def _formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):  # a conversion would cut off at 255
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque.convert("RGB")
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def _dark_colours(image: ImageFile.ImageFile, content: bytes) -> Image.Image | None:
    """A colour picture of 12 bits in a PNG of 16; None for any other."""
    if image.format != "PNG" or [tile.args for tile in image.tile] != [HIGH_BYTE]:
        return None
    high = np.asarray(image).astype(np.uint16)
    if high.max(initial=0) > WHITES[1] >> 8:
        return None
    with Image.open(io.BytesIO(content), formats=["PNG"]) as again:
        again.tile = [again.tile[0]._replace(args=LOW_BYTE)]
        return Image.fromarray(_eight_bits(high << 8 | np.asarray(again)))


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Grey values as 8 bits: uint8.

    White is 1 for floats, else the highest value of 8, 12 or 16 bits, the first of them that no
    value exceeds: files do not say. What is below 0, or no number, is black.
    """
    whites = (1, *WHITES) if values.dtype.kind == "f" else WHITES
    values = np.nan_to_num(values.astype(np.float64), posinf=0.0).clip(0)
    largest = values.max(initial=0)
    white = next((white for white in whites if largest <= white), largest)
    return np.rint(values * (255 / white)).astype(np.uint8)


def _upright(image: Image.Image) -> Image.Image:
    try:
        ImageOps.exif_transpose(image, in_place=True)  # else it is copied, turned or not
        return image
    except Exception:
        # Broken EXIF data raise as many kinds of errors as broken images; the picture is whole.
        return image


def square(image: Image.Image, side: int) -> np.ndarray:
    """Pixels of the central square, resized to `side` where needed: uint8 (side, side, 3)."""
    if image.size != (side, side):
        edge = min(image.size)
        left, top = (image.width - edge) // 2, (image.height - edge) // 2
        box = (left, top, left + edge, top + edge)
        image = image.resize((side, side), Image.Resampling.BICUBIC, box=box)
    return np.asarray(image)


def encode(image: Image.Image) -> bytes:
    """A JPEG file of an image, without visible loss."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
