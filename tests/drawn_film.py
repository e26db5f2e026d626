"""Films of drawn people, who stay as old as they are while everything else moves."""

import math
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageEnhance

from faceage.core.utkface import Labels
from faceage.sample.synthetic import draw_face

SIZE = (640, 480)
FACE = 200  # pixels
GREY = (120, 130, 140)
# Of one person: the head sways and nods by so many pixels and tilts by so many degrees, the light
# flickers by so much of itself, and the camera adds noise of so many grey values.
SWAY, NOD, TILT, FLICKER, NOISE = 12, 6, 4, 0.08, 5
CODECS = {".avi": "MJPG", ".webm": "VP80", ".mpeg": "mpg2"}  # the others: MPEG-4

Place = tuple[float, float]


def scene(faces: Iterable[tuple[Image.Image, Place]]) -> Image.Image:
    """Faces in front of a wall, each with the place of its upper left corner."""
    picture = Image.new("RGB", SIZE, GREY)
    for face, (x, y) in faces:
        picture.paste(face, (round(x), round(y)))
    return picture


def one_person(age: int, seconds: float, fps: float, seed: int = 0) -> Iterator[Image.Image]:
    """One person before a camera: small movements, light that flickers, noise."""
    face = draw_face(Labels(age, 0, 1), FACE, random.Random(seed))
    numbers = np.random.default_rng(seed)
    left, top = (SIZE[0] - FACE) / 2, (SIZE[1] - FACE) / 2
    for number in range(round(seconds * fps)):
        time = number / fps
        tilt = TILT * math.sin(2 * math.pi * 0.3 * time)
        turned = face.rotate(tilt, Image.Resampling.BICUBIC, fillcolor=GREY)
        x = left + SWAY * math.sin(2 * math.pi * 0.4 * time)
        y = top + NOD * math.sin(2 * math.pi * 0.7 * time)
        lit = ImageEnhance.Brightness(scene([(turned, (x, y))])).enhance(
            1 + FLICKER * numbers.normal()
        )
        noisy = np.asarray(lit) + numbers.normal(0, NOISE, (SIZE[1], SIZE[0], 3))
        yield Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def write(path: Path, frames: Iterable[Image.Image], fps: float) -> Path:
    """Write a film; its name's ending says in which container and codec."""
    codec = cv2.VideoWriter.fourcc(*CODECS.get(path.suffix, "mp4v"))
    film: cv2.VideoWriter | None = None
    for frame in frames:
        film = film or cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, fps, frame.size)
        film.write(np.asarray(frame)[:, :, ::-1])
    assert film and film.isOpened()
    film.release()
    return path
