"""Image files in, a row for each face out, in constant memory.

While the model looks at one chunk of files, the next ones are read, decoded and cropped in threads.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image

from faceage import images
from faceage.crops import Crop
from faceage.estimates import Estimator
from faceage.photo_files import PhotoFile

COLUMNS = ("path", "face", "x", "y", "w", "h", "age", "low", "high", "group", "error")
# Files handed to the model at once, and chunks of them prepared ahead.
CHUNK = 64
AHEAD = 2

Row = dict[str, Any]
FindCrops = Callable[[Image.Image], list[Crop]]


@dataclass(frozen=True)
class _Opened:
    """A file as far as the threads bring it: its faces, or what is the matter with it."""

    name: str
    crops: list[Crop] = field(default_factory=list)
    error: str = ""


def rows(files: Iterable[PhotoFile], find: FindCrops, estimator: Estimator) -> Iterator[Row]:
    """Estimate every face of every file: mappings of `COLUMNS`, in the order of the files.

    face: number in its picture, from 1; x, y, w, h: its box in pixels; age, low, high: years.
    A file without a face that can be estimated has one row with `error`, all else is None.

    Parameters
    ----------
    find : crops of a picture, each estimator.side pixels wide and high
    """
    remaining = iter(files)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        ahead: deque[list[Future[_Opened]]] = deque()
        while chunk := list(islice(remaining, CHUNK)):
            ahead.append([threads.submit(_open, file, find) for file in chunk])
            if len(ahead) > AHEAD:
                yield from _estimated(ahead.popleft(), estimator)
        for futures in ahead:
            yield from _estimated(futures, estimator)


def _open(file: PhotoFile, find: FindCrops) -> _Opened:
    try:
        crops = find(images.decode(file.read()))
    except (*images.Refused, OSError) as error:
        return _Opened(file.name, error=images.in_words(error))
    return _Opened(file.name, crops, error="" if crops else "no face found")


def _estimated(futures: list[Future[_Opened]], estimator: Estimator) -> Iterator[Row]:
    files = [future.result() for future in futures]
    crops = [crop.pixels for file in files for crop in file.crops]
    found = estimator.estimate(np.stack(crops)) if crops else None
    number = 0
    for file in files:
        if file.error:
            yield dict.fromkeys(COLUMNS) | {"path": file.name, "error": file.error}
        for face, crop in enumerate(file.crops, start=1):
            assert found
            x, y, w, h = crop.box
            yield {
                **{"path": file.name, "face": face, "x": x, "y": y, "w": w, "h": h},
                **{key: _years(getattr(found, key)[number]) for key in ("age", "low", "high")},
                **{"group": found.group[number], "error": None},
            }
            number += 1


def _years(value: float) -> float | None:
    """Rounded to what can be told at all; None where the model has none."""
    return None if math.isnan(value) else round(float(value), 2)
