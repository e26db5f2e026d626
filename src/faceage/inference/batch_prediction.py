"""Pictures in, a row for each face out, in constant memory.

Each core has a worker that reads, decodes, crops and predicts chunks of them on its own: no core
waits for another, as they do when all of them share the work on one batch.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from faceage.core import images
from faceage.core.reasons import Reason
from faceage.detection.crops import Crop
from faceage.inference.predictions import Predictor

COLUMNS = ("path", "face", "x", "y", "w", "h", "age", "low", "high", "age_group", "error")
CHUNK = 32  # files in a worker's hands at once: feature maps of more leave its core's cache

Row = dict[str, Any]
FindCrops = Callable[[Image.Image], list[Crop]]


class Source(Protocol):
    """An image file, or a frame of a film."""

    @property
    def about(self) -> Row:
        """What rows say of it: its path, and more where there is more."""

    def picture(self) -> Image.Image:
        """Its pixels; raises OSError or images.Refused where there are none to be had."""


def rows(
    sources: Iterable[Source], find: FindCrops, predictor: Predictor, chunk_size: int = CHUNK
) -> Iterator[Row]:
    """Predict every face of every picture: mappings of `COLUMNS`, in the order of the pictures.

    face: number in its picture, from 1; x, y, w, h: its box in pixels; age, low, high: years.
    A picture without a face or that cannot be read has one row with `error`, all else is None.

    Parameters
    ----------
    find : crops of a picture, each predictor.side pixels wide and high
    chunk_size : pictures in a worker's hands at once
    """
    remaining = iter(sources)
    # A cluster has a process for each core, and tells it so.
    workers = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        ahead: deque[Future[list[Row]]] = deque()
        while chunk := list(islice(remaining, chunk_size)):
            ahead.append(pool.submit(_chunk, chunk, find, predictor))
            if len(ahead) > workers:
                yield from ahead.popleft().result()
        for future in ahead:
            yield from future.result()


def _chunk(sources: list[Source], find: FindCrops, predictor: Predictor) -> list[Row]:
    """Rows of a few pictures."""
    found: list[Row] = []
    pixels: list[np.ndarray] = []
    for source in sources:
        try:
            cut = find(source.picture())
        except (*images.Refused, OSError) as error:
            found.append(_row(source, error=images.in_words(error)))
            continue
        if not cut:
            found.append(_row(source, error=Reason.NO_FACE.value))
        for face, crop in enumerate(cut, start=1):
            found.append(_row(source, face=face, **dict(zip("xywh", crop.box, strict=True))))
            pixels.append(crop.pixels)
    if pixels:
        predicted = predictor.predict(np.stack(pixels))
        for number, row in enumerate(row for row in found if row["face"]):
            for key in ("age", "low", "high"):
                row[key] = _years(getattr(predicted, key)[number])
            row["age_group"] = predicted.age_group[number]
    return found


def _row(source: Source, **known: Any) -> Row:
    return dict.fromkeys(COLUMNS) | source.about | known


def _years(value: float) -> float | None:
    """Rounded to what can be told at all; None where the model has none."""
    return None if math.isnan(value) else round(float(value), 2)
