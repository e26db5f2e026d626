"""Photographs and films in, ages out.

    python src/predict.py PATH...          files, folders, globs, or - for a list on standard input
    python src/predict.py --csv photographs/ > ages.csv
    python src/predict.py --csv film.mp4   films are predicted where they are named
    python src/predict.py --ray --parquet ages.parquet photographs/   by all workers of a cluster

Columns: path, face (its number in the picture), x, y, w, h (its box in pixels), age, low, high
(years, the ends of the prediction interval), age_group, error. With films also time (in seconds),
track (a face that is followed through the film), smoothed_age and spread (years, mean and standard
deviation of its ages until then). A file that cannot be read has a line on standard error and an
`error`, and the rest goes on. Exit code: 0, or 1 if any file failed.
"""

import argparse
from pathlib import Path

from faceage.core.command_line import MODEL_HELP
from faceage.detection import crops
from faceage.inference import films


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description="Predict ages of faces in photographs and films.")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file, folder, glob or -")
    parser.add_argument(
        "--detect",
        choices=crops.MODES,
        default="auto",
        help="find faces in photographs (always), take files as aligned faces (never), or see which"
        " they are (auto, the default)",
    )
    parser.add_argument(
        "--fps",
        type=float,
        default=films.FPS,
        metavar="N",
        help=f"frames a second that are looked at in films ({films.FPS:g} by default)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print comma-separated values")
    form.add_argument("--json", action="store_true", help="print a JSON object a line")
    form.add_argument("--parquet", type=Path, metavar="FILE", help="write a Parquet file")
    parser.add_argument("--runtime", choices=("torch", "onnx"), default="torch")
    parser.add_argument(
        "--model",
        type=Path,
        help=f"{MODEL_HELP}; with --runtime onnx also an .onnx file, which needs no folder",
    )
    parser.add_argument(
        "--ray",
        action="store_true",
        help="predict on the Ray cluster that RAY_ADDRESS names, or on one of this machine; what is"
        " done is kept beside the Parquet file, and a run that was ended goes on",
    )
    asked = parser.parse_args()
    if asked.ray and not asked.parquet:
        parser.error("--ray is for many files: say with --parquet where their ages go")
    return asked


if __name__ == "__main__":
    arguments()  # --help and mistakes are answered before the imports below, which take seconds

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from faceage.core import cluster
from faceage.core.progress import bar
from faceage.core.script import UserError, run
from faceage.inference import (
    batch_prediction,
    blocks,
    file_prediction,
    film_prediction,
    image_files,
    row_writers,
)
from faceage.inference.batch_prediction import Row
from faceage.inference.image_files import PhotoFile
from faceage.networks import default_model, saved_model


def main() -> None:
    """Find the files, predict their faces, write a row for each."""
    asked = arguments()
    files = list(image_files.find(asked.paths))
    if not files:
        raise UserError(
            f"there is no image file in {', '.join(asked.paths)};"
            " films are predicted where they are named"
        )
    if not 0 < asked.fps < math.inf:
        raise UserError(f"--fps is {asked.fps:g}, and has to be a number above 0")
    found, failed = rows(files, asked), 0
    with writer(asked, any(map(films.is_film, files))) as out:
        for row in found:
            out.write(row)
            if row["error"]:
                failed += 1
                print(f"{row['path']}: {row['error']}", file=sys.stderr)
    if failed:
        sys.exit(1)


def rows(files: list[PhotoFile], asked: argparse.Namespace) -> Iterator[Row]:
    """Rows of all files, on this machine or on a cluster; the model is loaded at once."""
    model = asked.model or default_folder(asked.runtime)
    predictor = file_prediction.load(asked.runtime, model)
    how = file_prediction.How(asked.detect, asked.fps)
    if not asked.ray:
        return file_prediction.rows(bar(files, "predict", "file"), predictor, how)
    cluster.name_one()
    parts = asked.parquet.with_name(f"{asked.parquet.name}.parts")
    return blocks.rows(files, asked.runtime, model, how, parts)


def default_folder(runtime: str) -> Path:
    """Of the model that nobody named; for ONNX the one that src/export.py exports unasked."""
    return saved_model.FOLDER if runtime == "onnx" else default_model.folder()


@contextmanager
def writer(asked: argparse.Namespace, with_films: bool) -> Iterator[row_writers.RowWriter]:
    """Where the rows go."""
    columns = film_prediction.COLUMNS if with_films else batch_prediction.COLUMNS
    if asked.parquet:
        with row_writers.parquet(asked.parquet, columns) as rows:
            yield rows
    elif asked.csv:
        yield row_writers.Csv(columns)
    elif asked.json:
        yield row_writers.JsonLines()
    else:
        yield row_writers.Table(with_films)


if __name__ == "__main__":
    run(main)
