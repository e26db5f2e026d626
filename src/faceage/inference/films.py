"""Films: their frames at a steady rate, one after the other, as OpenCV's FFmpeg decodes them."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from faceage.core import images
from faceage.inference.image_files import PhotoFile

SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp"),
    *(".ts", ".mts", ".m2ts", ".ogv", ".mjpeg", ".mjpg"),
)
FPS = 5.0  # frames a second that are looked at
ROUNDING = 1e-3  # seconds by which the times of frames may be off
SHORT = 1.0  # seconds by which the length in a film's header may be off
# Without these FFmpeg tells of every block that it cannot decode, on standard error.
QUIET = {"OPENCV_FFMPEG_LOGLEVEL": "-8", "OPENCV_LOG_LEVEL": "SILENT"}


def is_film(file: PhotoFile) -> bool:
    """Whether the file's name ends like a film's."""
    return file.path.suffix.lower() in SUFFIXES


@dataclass(frozen=True)
class Frame:
    """A frame of a film: path, time in seconds, pixels uint8 (height, width, 3), blue first."""

    path: str
    time: float
    pixels: np.ndarray

    @property
    def about(self) -> dict[str, Any]:
        """What the rows of its faces say of it."""
        return {"path": self.path, "time": self.time}

    def picture(self) -> Image.Image:
        """The frame in red, green and blue."""
        return Image.fromarray(np.ascontiguousarray(self.pixels[:, :, ::-1]))


class Film:
    """A film that has been opened; its frames come once, upright as its header says.

    Attributes
    ----------
    seconds : how long it is, None where its header does not say
    end : seconds of it that have been decoded

    Raises
    ------
    OSError, images.TooManyPixels
        If there is no such film or it cannot be decoded, and if its frames are too large.
    """

    def __init__(self, file: PhotoFile) -> None:
        os.environ.update(QUIET | os.environ)
        # Imported here: it takes a moment to load, and photographs need none of it.
        import cv2  # noqa: PLC0415

        self.name, self.capture = file.name, cv2.VideoCapture(_path(file), cv2.CAP_FFMPEG)
        if not self.capture.isOpened():
            raise OSError("not a film that can be decoded: damaged, or of an unknown codec")
        width, height, count, rate = (
            self.capture.get(key)
            for key in (
                cv2.CAP_PROP_FRAME_WIDTH,
                cv2.CAP_PROP_FRAME_HEIGHT,
                cv2.CAP_PROP_FRAME_COUNT,
                cv2.CAP_PROP_FPS,
            )
        )
        if width * height > images.MAX_PIXELS:
            raise images.TooManyPixels(f"{width:.0f}x{height:.0f} pixels")
        self.step = 1 / rate if rate > 0 else 1 / FPS
        self.seconds = count * self.step if count > 0 else None
        self.end = 0.0
        self._position = cv2.CAP_PROP_POS_MSEC

    def frames(self, fps: float) -> Iterator[Frame]:
        """The first frame, and of every 1/fps seconds after it the first that there is."""
        due, last = 0.0, -self.step
        while self.capture.grab():
            time = self.capture.get(self._position) / 1000
            if time <= last:  # of some containers the last frames have none
                time = last + self.step
            last, self.end = time, time + self.step
            if time < due - ROUNDING:
                continue
            whole, pixels = self.capture.retrieve()
            if whole:
                due = (math.floor((time + ROUNDING) * fps) + 1) / fps
                yield Frame(self.name, round(time, 3), pixels)

    def damage(self) -> str | None:
        """What was the matter with it, after its frames; None if it ended where it should."""
        if self.end == 0:
            return "damaged: none of its frames can be decoded"
        if self.seconds and self.end < self.seconds - SHORT:
            return f"damaged: it ends after {self.end:.1f} of {self.seconds:.1f} seconds"
        return None


def _path(file: PhotoFile) -> str:
    path = str(file.regular().resolve())
    if file.path.stat().st_size == 0:
        raise OSError("the file is empty")
    try:
        path.encode()
    except UnicodeEncodeError:  # OpenCV crashes on it
        raise OSError("its name is not valid UTF-8: rename it") from None
    return path
