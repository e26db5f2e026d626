"""Stage `evaluate`: measure the model, and two baselines, on the test part.

    python src/evaluate.py

Reads  data/faces.parquet, data/split.csv, models/
Writes reports/metrics.json, reports/predictions.csv, reports/decades.csv; logs to MLflow
"""

import numpy as np
import pandas as pd
import torch

from faceage import baselines, devices, faces, metrics, repository, saved_model, tables, tracking
from faceage.inference import predict
from faceage.outputs import write_csv, write_json
from faceage.params import EvaluateParams, load
from faceage.progress import bar
from faceage.stage import run
from faceage.utkface import GENDERS, RACES


def main() -> None:
    """Estimate the age of every test face, compare with its label, do the same for baselines."""
    params = load(EvaluateParams)
    boundaries, resamples = params.evaluate.age_groups, params.evaluate.bootstrap
    about = saved_model.describe()
    with tracking.continue_run(params.tracking, about["fingerprint"]) as tracked:
        parts = tables.read_parts()
        test = parts["test"]
        age, group = test["age"].to_numpy(dtype=float), test["group"]
        estimates = {"model": model_ages(parts), **baseline_ages(parts)}
        compared = {
            name: metrics.per_face(age, estimate, boundaries)
            for name, estimate in estimates.items()
        }
        measured = {
            name: metrics.measure(per_face, group, resamples, params.seed)
            for name, per_face in bar(compared.items(), "bootstrap", "model")
        }
        decades = metrics.by_decade(compared["model"], group, resamples, params.seed)
        result = {
            "synthetic": about["synthetic"],
            "test": measured.pop("model"),
            "baselines": measured,
            "decades": dict(zip(decades["decade"], decades["mae"], strict=True)),
        }
        write_csv("reports/decades.csv", decades)
        write_csv("reports/predictions.csv", predictions(test, estimates["model"], boundaries))
        write_json("reports/metrics.json", result)
        tracked.log_metrics({key: result[key] for key in ("test", "baselines", "decades")})
        tracked.set_tags(repository.lock_tags())
    print(f"test MAE {result['test']['mae']:.2f} years on {len(test)} faces")


def model_ages(parts: dict[str, pd.DataFrame]) -> np.ndarray:
    """Ages, in years, that the model sees in the test faces."""
    network, target = saved_model.load()
    device = devices.pick()
    network = network.to(device)
    test = parts["test"]
    side = faces.stored_side(pd.concat(parts.values()))
    pixels = faces.decode(test, tables.image_bytes(test["face"]), side)
    logits = predict(network, pixels, torch.float32)
    return target.decode(logits).numpy().astype(float)


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


def predictions(test: pd.DataFrame, predicted: np.ndarray, boundaries: list[int]) -> pd.DataFrame:
    """One row a test face, codes written out: reports/predictions.csv."""
    age = test["age"].to_numpy(dtype=float)
    groups = np.array(metrics.group_names(boundaries))
    table = test[["face", "path", "age"]].assign(
        predicted=predicted,
        error=predicted - age,
        gender=test["gender"].map(dict(enumerate(GENDERS))),
        race=test["race"].map(dict(enumerate(RACES))),
        decade=metrics.decade_names(age),
        predicted_decade=metrics.decade_names(predicted),
        group=groups[metrics.group_index(age, boundaries)],
        predicted_group=groups[metrics.group_index(predicted, boundaries)],
    )
    return table.sort_values("face")


if __name__ == "__main__":
    run(main)
