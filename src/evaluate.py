"""Stage `evaluate`: measure the model, and two baselines, on the test set.

    python src/evaluate.py

Reads  data/faces.parquet, data/split.csv, models/
Writes reports/metrics.json (the headline), reports/predictions.csv, reports/conformal.json (what
       makes intervals out of estimates), reports/cost.json and a table each of errors by decade,
       subgroup, age check, single age, corruption, of coverage and of classification;
       models/evaluation.json; logs to MLflow
"""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from faceage import tracking
from faceage.core import repository, tables
from faceage.core.outputs import write_csv, write_json
from faceage.core.params import EvaluateParams, TrackingParams, load
from faceage.core.script import run
from faceage.evaluation import assessment, baselines, cost, metrics, robustness
from faceage.networks import devices, faces, saved_model
from faceage.networks.forward import predict


def main() -> None:
    """Let the model look at every face of val and test, then measure from all sides."""
    params = load(EvaluateParams)
    about = saved_model.describe()
    with tracking.continue_run(load(TrackingParams).tracking, about["fingerprint"]) as tracked:
        splits = tables.read_splits()
        pixels = decode(splits)
        network, target = saved_model.load()
        network = network.to(devices.pick())
        logits = {name: predict(network, pixels[name], torch.float32) for name in pixels}
        costs = cost.measure(network, saved_model.FOLDER)

        if splits["test"]["age"].isna().any():
            measured = assessment.of_classes(params, splits, target, logits)
        else:
            measured = assessment.of_ages(params, splits, target, logits, baseline_ages(splits))
            rows = robustness.sample(splits["test"], params.evaluate.robustness_faces, params.seed)
            age = splits["test"]["age"].to_numpy(dtype=float)[rows]
            corrupted = robustness.by_corruption(
                network, target, pixels["test"][rows], age, params.seed
            )
            measured.tables["robustness"] = corrupted
            measured.headline["robustness"] = robustness.summary(corrupted)

        headline = {"synthetic": about["synthetic"]} | measured.headline
        write_json("reports/metrics.json", headline)
        write_json("reports/conformal.json", measured.conformal)
        saved_model.save_evaluation(about["fingerprint"], measured.conformal, headline["test"])
        write_json("reports/cost.json", costs)
        tables.write_predictions(measured.predictions)
        for name, columns in assessment.TABLES.items():
            table = measured.tables.get(name, pd.DataFrame(columns=columns))
            write_csv(f"reports/{name}.csv", table)
        tracked.log_metrics(metrics.numbers_only(headline | {"cost": costs}))
        tracked.set_tags(repository.lock_tags())
    print(f"measured on {len(splits['test'])} test faces:", in_words(headline["test"]))


def decode(splits: dict[str, pd.DataFrame]) -> dict[str, Tensor]:
    """Pixels of the faces of val and test: uint8 (n, side, side, 3)."""
    side = faces.stored_side(pd.concat(splits.values()))
    return {
        name: faces.decode(splits[name], tables.image_bytes(splits[name]["face"]), side)
        for name in ("val", "test")
    }


def baseline_ages(splits: dict[str, pd.DataFrame]) -> dict[str, np.ndarray]:
    """Ages, in years, that the baselines give to the test faces."""
    train, test = splits["train"], splits["test"]
    ages = train["age"].to_numpy(dtype=float)
    small = [
        faces.decode(part, tables.image_bytes(part["face"]), baselines.SIDE)
        for part in (train, test)
    ]
    return {
        "median": baselines.median(ages, len(test)),
        "ridge": baselines.ridge(small[0], ages, small[1]),
    }


def in_words(test: dict[str, Any]) -> str:
    """The headline for the terminal."""
    if "mae" in test:
        return f"MAE {test['mae']:.2f} years"
    return f"accuracy {test['accuracy']:.1%}"


if __name__ == "__main__":
    run(main)
