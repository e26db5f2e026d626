"""Stage `evaluate`: measure the model, and two baselines, on the test set.

    python src/evaluate.py

Reads  data/faces.parquet, data/split.csv, models/
Writes reports/metrics.json (the headline), reports/predictions.csv, reports/tables/ (see
       `assessment.TABLES`), reports/conformal.json (what makes intervals out of predictions),
       reports/cost.json; models/evaluation.json; logs to MLflow
"""

from faceage.core.command_line import no_options

if __name__ == "__main__":
    no_options(__doc__)

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from faceage.core import formats, repository, tables
from faceage.core.outputs import write_json
from faceage.core.params import EvaluateParams, TrackingParams, load
from faceage.core.script import run
from faceage.evaluation import (
    acquisition,
    assessment,
    baselines,
    cost,
    metrics,
    repeatability,
    robustness,
)
from faceage.evaluation.acquisition import Acquired
from faceage.evaluation.assessment import Evaluation
from faceage.networks import devices, faces, saved_model
from faceage.networks.forward import predict
from faceage.tracking import runs


def main() -> None:
    """Let the model look at every face of val and test, then measure from all sides."""
    params = load(EvaluateParams)
    about = saved_model.describe()
    with runs.continue_run(load(TrackingParams).tracking, about["fingerprint"]) as tracked:
        splits, bands = apart(tables.read_splits())
        tracked.log_input("test", "testing", splits["test"], tables.FACES)
        network, target = saved_model.load()
        pixels = decode(splits | {"bands": bands}, network.architecture.img_size)
        network = network.to(devices.pick())
        logits = {name: predict(network, pixels[name], torch.float32) for name in pixels}
        costs = cost.measure(network, saved_model.FOLDER)

        evaluation = Evaluation(params, splits, target, logits, bands=bands)
        if evaluation.has_ages:
            rows = robustness.sample(splits["test"], params.evaluate.robustness_faces, params.seed)
            asked = splits["test"]["face"].iloc[rows]
            evaluation = replace(
                evaluation,
                baselines=baseline_ages(splits),
                corrupted=robustness.predict(
                    network, target, pixels["test"][rows], evaluation.age[rows], params.seed
                ),
                changed=repeatability.predict(network, target, pixels["test"], rows),
                acquired=Acquired(rows, acquisition.look(asked, tables.image_bytes(asked))),
            )
        measured = assessment.all_tables(evaluation)
        headline = {"synthetic": about["synthetic"]} | assessment.headline(evaluation, measured)
        intervals = evaluation.calibration.as_dict() if evaluation.has_ages else {}

        write_json("reports/metrics.json", {formats.KEY: formats.CURRENT} | headline)
        write_json("reports/conformal.json", intervals)
        write_json("reports/cost.json", costs)
        tables.write_predictions(assessment.predictions(evaluation))
        tables.write_evaluation(measured)
        saved_model.save_evaluation(about["fingerprint"], intervals, headline["test"])
        tracked.log_metrics(metrics.numbers_only(headline | {"cost": costs}))
        tracked.set_tags(repository.lock_tags())
    print(f"measured on {len(splits['test'])} test faces:", in_words(headline["test"]))
    if len(bands):
        share, years = headline["bands"]["in_band"], headline["bands"]["distance"]
        print(f"and on {len(bands)} with bands of ages: {share:.1%} in them, {years:.2f} years off")


def apart(splits: dict[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """The splits with val and test without faces that have bands of ages; those of test."""
    banded = {name: part["age_low"] < part["age_high"] for name, part in splits.items()}
    exact = {name: splits[name][~banded[name]].reset_index(drop=True) for name in ("val", "test")}
    return splits | exact, splits["test"][banded["test"]].reset_index(drop=True)


def decode(parts: dict[str, pd.DataFrame], img_size: int) -> dict[str, Tensor]:
    """Faces that the model looks at, at the size that it takes: uint8 (n, side, side, 3)."""
    side = faces.stored_side(pd.concat(parts.values()))
    return {
        name: faces.decode(part, tables.image_bytes(part["face"]), side, img_size)
        for name, part in parts.items()
        if name != "train" and len(part)
    }


def baseline_ages(splits: dict[str, pd.DataFrame]) -> dict[str, np.ndarray]:
    """Ages, in years, that the baselines predict for the test faces."""
    train, test = splits["train"], splits["test"]
    ages = train["age"].to_numpy(dtype=float)
    small = [
        faces.decode(
            table, tables.image_bytes(table["face"]), baselines.SIDE, at_least=2 * baselines.SIDE
        )
        for table in (train, test)
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
