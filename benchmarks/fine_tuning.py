"""What a training on few faces wins when it starts from the model in the box.

    python src/recipe.py faceage-best -S data.source=UTKFace.tar -S weights=IMAGENET
    python benchmarks/fine_tuning.py > benchmarks/fine_tuning.md

Reads params.yaml, data/faces.parquet and data/split.csv, as the first command leaves them. Faces
are those of the validation part, from which the model in the box has not learned: some to train on,
some to choose epoch and rate by, the others to measure; a burst of a person is in one of the three.
Writes benchmarks/fine_tuning.json, prints the Markdown.
"""

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import GroupShuffleSplit

from faceage.core import tables
from faceage.core.outputs import write_json
from faceage.core.params import TrainParams, load
from faceage.evaluation.bootstrap import Resamples
from faceage.networks import age_network, devices, faces, saved_model, targets
from faceage.networks.forward import predict
from faceage.networks.target import Target, labels
from faceage.training.checkpoints import Checkpoint
from faceage.training.loop import FaceDataset, Trainer

RECIPE = "faceage-best"  # that of the model in the box
SIZES, RATES, CHOSEN_BY, SEED, RESAMPLES = (500, 2000), (0.001, 0.0003), 400, 0, 2000
AS_IT_IS = "the model in the box, as it is"


def main() -> None:
    """Train from both starts on each number of faces, compare the errors face by face."""
    params = load(TrainParams)
    faces_of_val = tables.read_splits()["val"]
    learned_from, others = parted(faces_of_val, max(SIZES))
    chosen_by, measured = parted(others, CHOSEN_BY)
    model, target = saved_model.load(saved_model.PRETRAINED)
    alone = errors(model, target, dataset(measured, params))
    found = {AS_IT_IS: {"error": alone, "lr": None, "epoch": None, "minutes": 0.0}}
    for size in SIZES:
        for start, weights in {"ImageNet": params.weights, "the box": "pretrained"}.items():
            tried = [
                trained(params, weights, lr, learned_from[:size], chosen_by, measured)
                for lr in RATES
            ]
            found[f"{size:,} faces, from {start}"] = min(tried, key=lambda row: row["val_mae"])
    resamples = Resamples(measured["cluster"], RESAMPLES, SEED)
    for size in SIZES:
        row = found[f"{size:,} faces, from the box"]
        gain = row["error"] - found[f"{size:,} faces, from ImageNet"]["error"]
        low, high = resamples.interval_of_mean(gain)
        row["against ImageNet"] = {"value": float(gain.mean()), "low": low, "high": high}
    rows = {name: summary(row, resamples) for name, row in found.items()}
    page = {
        "recipe": RECIPE,
        "measured": len(measured),
        "chosen_by": len(chosen_by),
        "threads": torch.get_num_threads(),
        "rows": rows,
    }
    write_json(Path(__file__).with_suffix(".json"), page)
    print_page(page)


def parted(rows: pd.DataFrame, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """About so many faces in random order, and the others; clusters are in one of the two."""
    share = count / len(rows)
    splitter = GroupShuffleSplit(1, train_size=share, random_state=SEED)
    taken, others = next(splitter.split(rows, groups=rows["cluster"]))
    shuffled = np.random.default_rng(SEED).permutation(taken)
    return rows.iloc[shuffled].reset_index(drop=True), rows.iloc[others].reset_index(drop=True)


def dataset(rows: pd.DataFrame, params: TrainParams) -> FaceDataset:
    """Decode some faces to the size of the network."""
    side, img_size = faces.stored_side(rows), age_network.input_side(params.model, params.train)
    pixels = faces.decode(rows, tables.image_bytes(rows["face"]), side, img_size)
    classes = params.groupings[params.target.grouping].names
    weights = torch.ones(len(rows))
    return FaceDataset(rows["path"].tolist(), pixels, labels(rows, classes), weights)


def trained(
    params: TrainParams,
    weights: str,
    lr: float,
    learned_from: pd.DataFrame,
    chosen_by: pd.DataFrame,
    measured: pd.DataFrame,
) -> dict[str, Any]:
    """Train the recipe at another rate; the errors of its best weights, in years."""
    begun = time.perf_counter()
    settings = params.train.model_copy(update={"lr": lr})
    train, val = dataset(learned_from, params), dataset(chosen_by, params)
    target = targets.fit(train.labels, params.target, params.groupings)
    resolved = age_network.resolve(params.model, settings, params.target, target.outputs)
    torch.manual_seed(SEED)
    network = age_network.build(resolved, weights).to(devices.pick())
    boundaries = params.groupings["age_group"].boundaries
    trainer = Trainer(network, target, settings, train, val, boundaries, SEED)
    checkpoint = Checkpoint("benchmark of fine_tuning")
    checkpoint.clear()
    fitted = trainer.fit(checkpoint, None, lambda epoch, speed: print(epoch, file=sys.stderr))
    checkpoint.clear()
    network.load_state_dict(fitted.weights)
    return {
        "error": errors(age_network.Model([network]), target, dataset(measured, params)),
        "lr": lr,
        "epoch": fitted.best.epoch,
        "val_mae": fitted.best.val_mae,
        "minutes": (time.perf_counter() - begun) / 60,
    }


def errors(model: age_network.Model, target: Target, measured: FaceDataset) -> np.ndarray:
    """Absolute error of each face in years; with mirror images, where the recipe has them."""
    age = target.age(predict(model, measured.pixels, torch.float32))
    return (age - measured.labels.age).abs().numpy()


def summary(row: dict[str, Any], resamples: Resamples) -> dict[str, Any]:
    """What is written of a training: its error with the interval, not the single faces."""
    error = row.pop("error")
    low, high = resamples.interval_of_mean(error)
    return row | {"mae": float(error.mean()), "low": low, "high": high}


def print_page(found: dict[str, Any]) -> None:
    """The Markdown."""
    print("# Fine-tuning the model in the box\n")
    command = (
        f"python src/recipe.py {found['recipe']} -S data.source=UTKFace.tar -S weights=IMAGENET\n"
    )
    print(f"```\n{command}python benchmarks/fine_tuning.py > benchmarks/fine_tuning.md\n```\n")
    print(
        f"The recipe `{found['recipe']}`, and the model in the box when it was of that recipe, on"
        " faces of UTKFace's validation part; epoch and rate (of"
        f" {' and '.join(f'{lr:g}' for lr in RATES)}) chosen by {found['chosen_by']} others, the"
        f" error measured on the {found['measured']:,} that are left. No burst of a person is in"
        " two of the three. The model in the box has not learned from any of them; its epoch was"
        " chosen by them. Intervals of 95%, paired where two are compared; minutes of a CPU,"
        f" threads: {found['threads']}.\n"
    )
    print("| | MAE, years | against ImageNet | rate | epoch | minutes |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, row in found["rows"].items():
        mae = interval(row["mae"], row["low"], row["high"])
        other = row.get("against ImageNet")
        difference = interval(**other) if other else ""
        how = f"{row['lr']:g} | {row['epoch']} | {row['minutes']:.0f}" if row["lr"] else " | | "
        print(f"| {name} | {mae} | {difference} | {how} |")


def interval(value: float, low: float, high: float) -> str:
    """A number of years with its interval."""
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
