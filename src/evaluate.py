"""Stage `evaluate`: measure the model, and two baselines, on the test part.

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

from faceage import repository, tables, tracking
from faceage.evaluation import baselines, cost, measurements, metrics, robustness
from faceage.learning import devices, faces, saved_model
from faceage.learning.inference import predict
from faceage.outputs import write_csv, write_json
from faceage.params import EvaluateParams, load
from faceage.stage import run


def main() -> None:
    """Let the model look at every face of val and test, then measure from all sides."""
    params = load(EvaluateParams)
    about = saved_model.describe()
    with tracking.continue_run(params.tracking, about["fingerprint"]) as tracked:
        parts = tables.read_parts()
        pixels = decode(parts)
        network, target = saved_model.load()
        network = network.to(devices.pick())
        logits = {name: predict(network, pixels[name], torch.float32) for name in pixels}
        costs = cost.measure(network, saved_model.FOLDER)

        if parts["test"]["age"].isna().any():
            measured = measurements.of_classes(params, parts, target, logits)
        else:
            measured = measurements.of_ages(params, parts, target, logits, baseline_ages(parts))
            rows = robustness.sample(parts["test"], params.evaluate.robustness_faces, params.seed)
            age = parts["test"]["age"].to_numpy(dtype=float)[rows]
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
        for name, columns in measurements.TABLES.items():
            table = measured.tables.get(name, pd.DataFrame(columns=columns))
            write_csv(f"reports/{name}.csv", table)
        tracked.log_metrics(metrics.numbers_only(headline | {"cost": costs}))
        tracked.set_tags(repository.lock_tags())
    print(f"measured on {len(parts['test'])} test faces:", in_words(headline["test"]))


def decode(parts: dict[str, pd.DataFrame]) -> dict[str, Tensor]:
    """Pixels of the faces of val and test: uint8 (n, side, side, 3)."""
    side = faces.stored_side(pd.concat(parts.values()))
    return {
        name: faces.decode(parts[name], tables.image_bytes(parts[name]["face"]), side)
        for name in ("val", "test")
    }


def baseline_ages(parts: dict[str, pd.DataFrame]) -> dict[str, np.ndarray]:
    """Ages, in years, that the baselines give to the test faces."""
    train, test = parts["train"], parts["test"]
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
