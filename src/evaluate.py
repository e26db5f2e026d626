"""Stage `evaluate`: measure the model, and two baselines, on the test part.

    python src/evaluate.py

Reads  data/faces.parquet, data/split.csv, models/
Writes reports/metrics.json (the headline), reports/predictions.csv, reports/conformal.json (what
       makes intervals out of estimates), reports/cost.json and a table each of errors by decade,
       subgroup, age check, single age, corruption, of coverage and of classification;
       logs to MLflow
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from faceage import (
    age_checks,
    baselines,
    classification,
    conformal,
    cost,
    devices,
    faces,
    metrics,
    repository,
    robustness,
    saved_model,
    subgroups,
    tables,
    tracking,
)
from faceage.age_bins import bin_index, decade_names
from faceage.bootstrap import Resamples
from faceage.inference import predict
from faceage.networks import AgeNetwork
from faceage.outputs import write_csv, write_json
from faceage.params import EvaluateParams, Grouping, load
from faceage.stage import run
from faceage.targets import Regression


def main() -> None:
    """Estimate the age of every face of val and test, then measure from all sides."""
    params = load(EvaluateParams)
    settings, seed = params.evaluate, params.seed
    about = saved_model.describe()
    with tracking.continue_run(params.tracking, about["fingerprint"]) as tracked:
        parts = tables.read_parts()
        val, test = parts["val"], parts["test"]
        age = test["age"].to_numpy(dtype=float)
        labels = subgroups.labels(test)
        pixels = decode(parts)
        network, target = saved_model.load()
        network = network.to(devices.pick())

        predicted = model_ages(network, target, pixels["test"])
        estimates = {"model": predicted, **baseline_ages(parts)}
        boundaries = settings.groupings["group"].boundaries
        errors = {name: metrics.per_face(age, ages, boundaries) for name, ages in estimates.items()}
        resamples = Resamples(test["group"], settings.bootstrap, seed)
        measured = {name: metrics.measure(each, resamples) for name, each in errors.items()}
        decades = metrics.by_decade(errors["model"], resamples)
        groups = subgroups.by_group(errors["model"], labels, resamples, settings.min_group)

        thresholds = age_checks.by_threshold(age, predicted)
        single_ages = age_checks.by_single_age(age, predicted)
        classes = classification.by_grouping(age, predicted, settings.groupings)

        calibration = conformal.Calibration.fit(
            val["age"].to_numpy(dtype=float),
            model_ages(network, target, pixels["val"]),
            settings.coverage,
        )
        intervals = calibration.intervals(predicted)
        coverage = conformal.coverage_by_group(age, intervals, labels)

        rows = robustness.sample(test, settings.robustness_faces, seed)
        corrupted = robustness.by_corruption(network, target, pixels["test"][rows], age[rows], seed)
        costs = cost.measure(network, saved_model.FOLDER)

        headline = {
            "synthetic": about["synthetic"],
            "test": measured.pop("model"),
            "baselines": measured,
            "decades": dict(zip(decades["decade"], decades["mae"], strict=True)),
            "older": metrics.of_older(errors["model"], resamples),
            "subgroups": subgroups.gaps(groups),
            "age_checks": age_checks.summary(age, thresholds, single_ages),
            "intervals": conformal.summary(coverage),
            "classification": classification.summary(classes),
            "robustness": robustness.summary(corrupted),
        }
        write_json("reports/metrics.json", headline)
        write_json("reports/conformal.json", calibration.as_dict())
        write_json("reports/cost.json", costs)
        for name, table in {
            "predictions": predictions(test, predicted, intervals, settings.groupings),
            "decades": decades,
            "subgroups": groups,
            "age_checks": thresholds,
            "ages_18_30": single_ages,
            "coverage": coverage,
            "classification": classes,
            "robustness": corrupted,
        }.items():
            write_csv(f"reports/{name}.csv", table)
        tracked.log_metrics(metrics.numbers_only(headline | {"cost": costs}))
        tracked.set_tags(repository.lock_tags())
    print(f"test MAE {headline['test']['mae']:.2f} years on {len(test)} faces")


def decode(parts: dict[str, pd.DataFrame]) -> dict[str, Tensor]:
    """Pixels of the faces of val and test: uint8 (n, side, side, 3)."""
    side = faces.stored_side(pd.concat(parts.values()))
    return {
        name: faces.decode(parts[name], tables.image_bytes(parts[name]["face"]), side)
        for name in ("val", "test")
    }


def model_ages(network: AgeNetwork, target: Regression, pixels: Tensor) -> np.ndarray:
    """Ages, in years, that the model sees in the faces."""
    return target.decode(predict(network, pixels, torch.float32)).numpy().astype(float)


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


def predictions(
    test: pd.DataFrame,
    predicted: np.ndarray,
    intervals: pd.DataFrame,
    groupings: dict[str, Grouping],
) -> pd.DataFrame:
    """One row a test face, codes written out: reports/predictions.csv.

    `cluster` is the group of near-duplicates of the test table, the smallest `face` among them;
    in this file `group` is the age group.
    """
    age = test["age"].to_numpy(dtype=float)
    names = subgroups.labels(test).replace(subgroups.NOT_GIVEN, None)
    table = test[["face", "path", "age"]].assign(
        cluster=test["group"],
        predicted=predicted,
        error=predicted - age,
        gender=names["gender"],
        race=names["race"],
        decade=decade_names(age),
        predicted_decade=decade_names(predicted),
        **intervals,
    )
    for name, grouping in groupings.items():
        groups = np.array(grouping.names)
        table[name] = groups[bin_index(age, grouping.boundaries)]
        table[f"predicted_{name}"] = groups[bin_index(predicted, grouping.boundaries)]
    return table.sort_values("face")


if __name__ == "__main__":
    run(main)
