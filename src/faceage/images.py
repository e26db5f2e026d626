"""Bytes to pixels: what is accepted as an image, and decoding of what has been accepted."""

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

# 50 megapixels decode to 150 MB; a face crop has a thousandth of that, a decompression bomb more.
MAX_PIXELS = 50_000_000


class NotAnImage(Exception):
    """The bytes are in no image format that Pillow knows."""


class TooManyPixels(Exception):
    """The header announces more pixels than `MAX_PIXELS`; nothing was decoded."""


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


def decode(content: bytes) -> Image.Image:
    """Decode an image file completely to RGB.

    Raises
    ------
    NotAnImage, TooManyPixels, Damaged
        For bytes that are no image, an image that is too large, and one that does not decode.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise TooManyPixels(f"{image.width}x{image.height} pixels")
            comment = image.info.get("comment")
            rgb = image.convert("RGB")
            rgb.info = {"comment": comment} if comment else {}
            return rgb
    except TooManyPixels:
        raise
    except UnidentifiedImageError:
        raise NotAnImage("no image format") from None
    except Image.DecompressionBombError as error:
        raise TooManyPixels(str(error)) from None
    except Exception as error:
        # On broken files Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error
        # and more, undocumented; all of them mean the same here.
        raise Damaged(str(error) or type(error).__name__) from None


def square(image: Image.Image, side: int) -> np.ndarray:
    """Pixels of the central square, resized to `side` where needed: uint8 (side, side, 3)."""
    if image.size != (side, side):
        edge = min(image.size)
        left, top = (image.width - edge) // 2, (image.height - edge) // 2
        box = (left, top, left + edge, top + edge)
        image = image.resize((side, side), Image.Resampling.BICUBIC, box=box)
    return np.asarray(image)
