"""Write the model for other runtimes, and check that it says what it said.

    python src/export.py --format onnx           export/model.onnx
    python src/export.py --format onnx --int8    and export/model_int8.onnx

Reads  models/; data/faces.parquet and data/split.csv, if there, to scale the 8 bits and to compare
       on 500 test faces
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from faceage.core import tables
from faceage.core.script import UserError, run
from faceage.inference import onnx_export, onnx_predictor
from faceage.inference.onnx_predictor import OnnxPredictor
from faceage.inference.predictions import Predictor
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks import faces, saved_model

COMPARED = 500  # test faces
SCALED_BY = 200  # validation faces
LARGEST_DIFFERENCE = 0.05  # years, in float
LARGEST_RISE = 0.1  # of the MAE in years, in 8 bits
FLOAT, INT8 = "ONNX", "ONNX, 8 bits"


def main() -> None:
    """Export, quantise if asked, compare where there are faces."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--format", choices=("onnx",), required=True)
    parser.add_argument("--int8", action="store_true", help="also with convolutions in 8 bits")
    parser.add_argument("--model", type=Path, default=saved_model.FOLDER, help="folder of a model")
    parser.add_argument("--out", type=Path, default=onnx_predictor.FILE, metavar="FILE")
    asked = parser.parse_args()
    predictor = TorchPredictor(asked.model)
    onnx_export.export(predictor, asked.out)
    models: dict[str, Predictor] = {"PyTorch": predictor, FLOAT: OnnxPredictor(asked.out)}
    print(f"wrote {asked.out}")
    if asked.int8:
        small = asked.out.with_stem(f"{asked.out.stem}_int8")
        onnx_export.quantise(asked.out, small, read("val", SCALED_BY, predictor.side)[0])
        models[INT8] = OnnxPredictor(small)
        print(f"wrote {small}")
    if tables.FACES.exists() and tables.SPLIT.exists():
        refuse_what_differs(compare(models, *read("test", COMPARED, predictor.side)))
    else:
        print(f"not compared with PyTorch: there is no {tables.FACES}")


def read(part: str, count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Faces of a part, drawn at random: uint8 (n, side, side, 3), and their ages in years (n,)."""
    if not (tables.FACES.exists() and tables.SPLIT.exists()):
        raise UserError(f"8 bits are scaled by faces, and there is no {tables.FACES}: dvc repro")
    table = tables.read_splits()[part]
    # Rows go by file name, which in UTKFace begins with the age: the first ones are of few ages.
    table = table.sample(min(count, len(table)), random_state=0)
    pixels = faces.decode(table, tables.image_bytes(table["face"]), side).numpy()
    return pixels, table["age"].to_numpy(dtype=float, na_value=np.nan)


def compare(models: dict[str, Predictor], pixels: np.ndarray, ages: np.ndarray) -> pd.DataFrame:
    """Differences from PyTorch's estimates, errors and times by model; printed, too."""
    reference = models["PyTorch"].estimate(pixels)
    rows = {}
    for name, model in models.items():
        found = model.estimate(pixels)
        same = np.array(found.age_group) == np.array(reference.age_group)
        rows[name] = {
            "largest difference": abs(found.age - reference.age).max(),
            "same group": same.mean(),
            "MAE": abs(found.age - ages).mean(),
            "ms for 1": milliseconds(model, pixels[:1]),
            "ms for 64": milliseconds(model, pixels[:64]),
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    print(f"\n{len(pixels)} test faces, years; medians on {torch.get_num_threads()} cores\n")
    print(table.to_string(float_format="{:.3f}".format, na_rep=""))
    return table


def refuse_what_differs(table: pd.DataFrame) -> None:
    """Raise a `UserError` if a graph in float or 8 bits is further from PyTorch than it may be."""
    difference = table.loc[FLOAT, "largest difference"]
    if difference > LARGEST_DIFFERENCE:
        raise UserError(f"{FLOAT} differs from PyTorch by up to {difference:.2f} years: no use")
    if INT8 in table.index:
        rise = table.loc[INT8, "MAE"] - table.loc["PyTorch", "MAE"]
        if rise > LARGEST_RISE:
            raise UserError(
                f"{INT8}: the MAE rises by {rise:.2f} years, more than the {LARGEST_RISE} that this"
                " is good for; use the model in float"
            )


def milliseconds(model: Predictor, pixels: np.ndarray) -> float:
    """Median time of an estimate, after a warm-up."""
    times = []
    for _ in range(8):
        start = time.perf_counter()
        model.estimate(pixels)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[2:])


if __name__ == "__main__":
    run(main)
