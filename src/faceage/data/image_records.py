"""What the content of a file shows, whatever it is called: a picture, or why there is none."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from faceage.core import images, utkface
from faceage.core.reasons import Reason
from faceage.data.duplicates import fingerprint
from faceage.detection.crops import find as find_crops

# Faces cut out of photographs are kept at the size of UTKFace's.
ALIGNED_SIDE = 200


@dataclass(frozen=True)
class Unusable:
    """Why a file gives no picture."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What is to be known of a picture once it has been decoded.

    width, height: of the file's picture; recovered: whether its last bytes are missing; pixels:
    sha256 of the face's RGB values, hexadecimal; fingerprint: the face's, see `duplicates`;
    aligned: the face as an image file where it was to be cut out of the picture, empty where none
    was found; embedding: the face's, see `identities`, where there is a model of such.
    """

    width: int
    height: int
    synthetic: bool
    recovered: bool
    pixels: str
    fingerprint: np.ndarray
    aligned: bytes | memoryview | None
    embedding: np.ndarray | None


def read_record(
    content: bytes, align: str, embed: Callable[[Image.Image], np.ndarray] | None
) -> ImageRecord | Unusable:
    """Decode a file, find its largest face, and with `embed` say whose it is.

    Parameters
    ----------
    align : as `data.align`: never, auto or always
    """
    if not content:
        return Unusable(Reason.EMPTY, "")
    try:
        picture = images.decode(content)
    except images.NotAnImage:
        return Unusable(Reason.NOT_AN_IMAGE, "")
    except images.TooManyPixels as error:
        return Unusable(Reason.TOO_LARGE, str(error))
    except images.Damaged as error:
        return Unusable(Reason.TRUNCATED if error.truncated else Reason.DAMAGED, str(error))
    face, aligned = (picture, None) if align == "never" else _cut_out(picture, align)
    return ImageRecord(
        width=picture.width,
        height=picture.height,
        synthetic=picture.info.get("comment") == utkface.SYNTHETIC_COMMENT,
        recovered=picture.info.get("recovered", False),
        pixels=hashlib.sha256(f"{face.size}".encode() + face.tobytes()).hexdigest(),
        fingerprint=fingerprint(face),
        aligned=aligned,
        embedding=embed(face) if embed else None,
    )


def _cut_out(picture: Image.Image, mode: str) -> tuple[Image.Image, bytes]:
    crops = find_crops(picture, mode, ALIGNED_SIDE)
    if not crops:
        return picture, b""
    face = Image.fromarray(crops[0].pixels)
    return face, images.encode(face)
