"""Bytes to pixels: what is accepted as an image, and decoding of what has been accepted."""

import contextlib
import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

with contextlib.suppress(ImportError):  # photographs of telephones, where the library is there
    import pillow_heif

    pillow_heif.register_heif_opener()

# Pillow's warnings about broken metadata do not say of which file.
warnings.filterwarnings("ignore", module=r"PIL\.")

# Of what Pillow opens; the rest is no photograph, and some of it starts other programs.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "HEIF", "AVIF")

# 50 megapixels decode to 150 MB; a face crop has a thousandth of that, a decompression bomb more.
MAX_PIXELS = 50_000_000


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


def decode(content: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an image file completely to RGB, upright as its EXIF data say.

    What is transparent becomes white; of more than 8 bits a channel the highest 8 are kept; of an
    animation the first picture is taken.

    Raises
    ------
    NotAnImage, TooManyPixels, Damaged
        For bytes that are no image, an image that is too large, and one that does not decode.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            if image.width * image.height > max_pixels:
                raise TooManyPixels(f"{image.width}x{image.height} pixels")
            comment = image.info.get("comment")
            rgb = _upright(_rgb(image))
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


def _formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which a conversion would cut off at 255
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert(
            "RGB"
        )
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque.convert("RGB")
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


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
