"""Films in, a row for each face of each frame out, in constant memory.

Faces are followed from frame to frame, and the age of each is smoothed over the time.
"""

import math
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from faceage.core import images
from faceage.core.progress import bar
from faceage.core.reasons import Reason
from faceage.inference import batch_prediction
from faceage.inference.batch_prediction import FindCrops, Row
from faceage.inference.face_tracks import Tracker
from faceage.inference.films import Film
from faceage.inference.image_files import PhotoFile
from faceage.inference.predictions import Predictor

PATH, *OF_A_FACE, ERROR = batch_prediction.COLUMNS
COLUMNS = (PATH, "time", "track", *OF_A_FACE, "smoothed_age", "spread", ERROR)
CHUNK = 4  # frames in a worker's hands at once: of 4K each has 25 MB


def rows(file: PhotoFile, find: FindCrops, predictor: Predictor, fps: float) -> Iterator[Row]:
    """Predict every face of a film, so many frames a second: mappings of `COLUMNS`, by time.

    time: seconds from the film's start; track: number of a face, from 1, that is followed through
    the film; smoothed_age, spread: years, mean and standard deviation of its ages until then; the
    rest is as of photographs. What is wrong with the film stands in a last row.
    """
    try:
        film = Film(file)
    except (*images.Refused, OSError) as error:
        yield _row(file.about, error=images.in_words(error))
        return
    total = None if film.seconds is None else math.ceil(film.seconds * min(fps, 1 / film.step))
    frames = bar(film.frames(fps), file.name, "frame", total)
    tracker = Tracker()
    found = batch_prediction.rows(frames, find, predictor, CHUNK)
    for time, of_frame in groupby(found, key=itemgetter("time")):
        yield from _followed([row for row in of_frame if not row["error"]], time, tracker)
    if problem := film.damage() or (None if tracker.count else Reason.NO_FACE.value):
        yield _row(file.about, error=problem)


def _followed(faces: list[Row], time: float, tracker: Tracker) -> Iterator[Row]:
    """Faces of a frame with their tracks and what was smoothed."""
    boxes = [(face["x"], face["y"], face["w"], face["h"]) for face in faces]
    for face, track in zip(faces, tracker.update(boxes, time), strict=True):
        smoothed: Row = {}
        if face["age"] is not None:
            track.age.add(face["age"], time)
            smoothed = {"smoothed_age": track.age.mean, "spread": track.age.std}
        rounded = {key: None if v is None else round(v, 2) for key, v in smoothed.items()}
        yield _row(face, track=track.number, **rounded)


def _row(known: Row, **more: Any) -> Row:
    return dict.fromkeys(COLUMNS) | known | more
