"""Photographs in, ages out.

    python src/predict.py PATH...          files, folders, globs, or - for a list on standard input
    python src/predict.py --csv photographs/ > ages.csv

Columns: path, face (its number in the picture), x, y, w, h (its box in pixels), age, low, high
(years, the ends of the prediction interval), age_group, error. A file that cannot be read has a
line on standard error and an `error`, and the rest goes on. Exit code: 0, or 1 if any file failed.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from faceage.core.progress import bar
from faceage.core.script import UserError, run
from faceage.detection import crops
from faceage.inference import batch_prediction, image_files, row_writers
from faceage.inference.predictions import Predictor
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks import default_model


def main() -> None:
    """Find the files, predict their faces, write a row for each."""
    asked = arguments()
    files = list(image_files.find(asked.paths))
    if not files:
        raise UserError(f"there is no image file in {', '.join(asked.paths)}")
    predictor = load(asked.runtime, asked.model or default_model.folder())
    find = partial(crops.find, mode=asked.detect, side=predictor.side)
    failed = 0
    with writer(asked) as out:
        for row in batch_prediction.rows(bar(files, "predict", "file"), find, predictor):
            out.write(row)
            if row["error"]:
                failed += 1
                print(f"{row['path']}: {row['error']}", file=sys.stderr)
    if failed:
        sys.exit(1)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description="Predict the ages of faces in image files.")
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
        help=f"{default_model.HELP}; with --runtime onnx also an .onnx file, which needs no folder",
    )
    return parser.parse_args()


def load(runtime: str, folder: Path) -> Predictor:
    """The model of a folder, or the export of it."""
    if runtime == "torch":
        return TorchPredictor(folder)
    from faceage.inference.onnx_predictor import OnnxPredictor  # noqa: PLC0415 (its library is wanted here alone)

    return OnnxPredictor(folder) if folder.suffix == ".onnx" else OnnxPredictor(folder=folder)


@contextmanager
def writer(asked: argparse.Namespace) -> Iterator[row_writers.RowWriter]:
    """Where the rows go."""
    if asked.parquet:
        with row_writers.parquet(asked.parquet, batch_prediction.COLUMNS) as rows:
            yield rows
    elif asked.csv:
        yield row_writers.Csv(batch_prediction.COLUMNS)
    elif asked.json:
        yield row_writers.JsonLines()
    else:
        yield row_writers.Table()


if __name__ == "__main__":
    run(main)
