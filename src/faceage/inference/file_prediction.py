"""Photographs and films in, rows out, in the order of the files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from faceage.detection import crops
from faceage.inference import batch_prediction, film_prediction, films
from faceage.inference.batch_prediction import Row
from faceage.inference.image_files import PhotoFile
from faceage.inference.predictions import Predictor
from faceage.inference.torch_predictor import TorchPredictor


@dataclass(frozen=True)
class How:
    """How files are looked at: as `predict.py` is asked to.

    detect: one of crops.MODES; fps: frames a second that are looked at in films.
    """

    detect: str
    fps: float


def rows(files: Iterable[PhotoFile], predictor: Predictor, how: How) -> Iterator[Row]:
    """Rows of photographs and films: as of `batch_prediction` and `film_prediction`."""
    find = partial(crops.find, side=predictor.side)
    for film, group in groupby(files, key=films.is_film):
        if film:
            # A face that fills a frame now and then is followed like any other.
            mode = "always" if how.detect == "auto" else how.detect
            for file in group:
                yield from film_prediction.rows(file, partial(find, mode=mode), predictor, how.fps)
        else:
            yield from batch_prediction.rows(group, partial(find, mode=how.detect), predictor)


def load(runtime: str, folder: Path) -> Predictor:
    """The model of a folder, or the export of it."""
    if runtime == "torch":
        return TorchPredictor(folder)
    from faceage.inference.onnx_predictor import OnnxPredictor  # noqa: PLC0415 (its library is wanted here alone)

    return OnnxPredictor(folder) if folder.suffix == ".onnx" else OnnxPredictor(folder=folder)
