"""Aligned faces of a picture: as a model wants them, whether the picture is one already or not."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from faceage.core import images
from faceage.detection.alignment import LEFT_EYE, RIGHT_EYE, aligned
from faceage.detection.detector import Face, find_faces

MODES = ("auto", "always", "never")
# A picture is taken as an aligned face if its sides differ by no more, and its eyes are no further
# than this from where UTKFace has them, in shares of the side: the spread within UTKFace is 0.02.
SQUARE, NEAR = 1.1, 0.08
# The longer side, in pixels, of a picture that is rather a crop than a photograph.
SMALL = 256


@dataclass(frozen=True)
class Crop:
    """An aligned face: box (x, y, w, h) in pixels of its picture, pixels uint8 (side, side, 3)."""

    box: tuple[int, int, int, int]
    pixels: np.ndarray


def find(picture: Image.Image, mode: str, side: int) -> list[Crop]:
    """Aligned faces of an RGB picture, the largest first.

    Parameters
    ----------
    mode : never, the picture is an aligned face, and its central square is taken as it is; always,
        faces are detected and aligned; auto, always, but for pictures that are aligned faces: a
        square with one face whose eyes are where UTKFace has them, or a small square in which no
        face is found
    side : of the crops, in pixels
    """
    if mode == "never":
        return [_whole(picture, side)]
    faces = find_faces(picture)
    if mode == "auto" and _is_aligned(picture, faces):
        return [_whole(picture, side)]
    return [
        Crop(_rounded(face), aligned(picture, (face.left_eye, face.right_eye, face.mouth), side))
        for face in faces
    ]


def _whole(picture: Image.Image, side: int) -> Crop:
    return Crop((0, 0, picture.width, picture.height), images.square(picture, side))


def _is_aligned(picture: Image.Image, faces: list[Face]) -> bool:
    if max(picture.size) > SQUARE * min(picture.size):
        return False
    if not faces:
        return max(picture.size) <= SMALL
    face, *others = faces
    side = np.array(picture.size)
    eyes = np.array([face.left_eye, face.right_eye]) / side
    distances = np.linalg.norm(eyes - (LEFT_EYE, RIGHT_EYE), axis=1)
    return not others and bool(distances.max() <= NEAR)


def _rounded(face: Face) -> tuple[int, int, int, int]:
    x, y, w, h = (round(value) for value in face.box)
    return x, y, w, h
