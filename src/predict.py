"""Photographs in, ages out.

    python src/predict.py PATH...          files, folders, globs, or - for a list on standard input
    python src/predict.py --csv photographs/ > ages.csv

Columns: path, face (its number in the picture), x, y, w, h (its box in pixels), age, low, high
(years, the ends of the prediction interval), group, error. A file that cannot be estimated has a
line on standard error and an `error`, and the rest goes on. Exit code: 0, or 1 if any file failed.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from faceage.learning import saved_model
from faceage.photographs import crops
from faceage.progress import bar
from faceage.stage import run
from faceage.use import estimating, photo_files, row_writers
from faceage.use.estimates import Estimator
from faceage.use.predictor import Predictor


def main() -> None:
    """Find the files, estimate them, write a row for each face."""
    asked = arguments()
    estimator = load(asked.runtime, asked.model)
    find = partial(crops.find, mode=asked.detect, side=estimator.side)
    files = list(photo_files.find(asked.paths))
    failed = 0
    with writer(asked) as out:
        for row in estimating.rows(bar(files, "predict", "file"), find, estimator):
            out.write(row)
            if row["error"]:
                failed += 1
                print(f"{row['path']}: {row['error']}", file=sys.stderr)
    if failed:
        sys.exit(1)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description="Estimate the ages of faces in image files.")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file, folder, glob or -")
    parser.add_argument(
        "--detect",
        choices=crops.MODES,
        default="auto",
        help="find faces in photographs (always), take files as aligned faces (never), or see which"
        " they are (auto, the default)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print comma-separated values")
    form.add_argument("--json", action="store_true", help="print a JSON object a line")
    form.add_argument("--parquet", type=Path, metavar="FILE", help="write a Parquet file")
    parser.add_argument("--runtime", choices=("torch", "onnx"), default="torch")
    parser.add_argument(
        "--model",
        type=Path,
        default=saved_model.FOLDER,
        help="folder of a model, or with --runtime onnx an .onnx file, which needs no folder",
    )
    return parser.parse_args()


def load(runtime: str, folder: Path) -> Estimator:
    """The model of a folder, made ready for use, or the export of it."""
    if runtime == "torch":
        return Predictor(folder)
    from faceage.use.onnx_model import OnnxModel  # noqa: PLC0415 (its library is wanted here alone)

    return OnnxModel(folder) if folder.suffix == ".onnx" else OnnxModel(folder=folder)


@contextmanager
def writer(asked: argparse.Namespace) -> Iterator[row_writers.RowWriter]:
    """Where the rows go."""
    if asked.parquet:
        with row_writers.parquet(asked.parquet, estimating.COLUMNS) as rows:
            yield rows
    elif asked.csv:
        yield row_writers.Csv(estimating.COLUMNS)
    elif asked.json:
        yield row_writers.JsonLines()
    else:
        yield row_writers.Table()


if __name__ == "__main__":
    run(main)
