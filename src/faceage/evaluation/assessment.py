"""All that is measured of a model on the test set, put together: headline and tables."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from faceage.core.params import EvaluateParams
from faceage.core.settings import Grouping
from faceage.evaluation import (
    age_checks,
    classification,
    conformal,
    distributions,
    metrics,
    robustness,
    subgroups,
)
from faceage.evaluation.age_bins import decade_names
from faceage.evaluation.bootstrap import Resamples
from faceage.networks.targets import Target

# Columns of the tables; one that cannot be had is written without rows.
TABLES = {
    "decades": ("decade", *metrics.COLUMNS),
    "subgroups": subgroups.COLUMNS,
    "age_checks": age_checks.THRESHOLD_COLUMNS,
    "ages_18_30": age_checks.AGE_COLUMNS,
    "coverage": conformal.COLUMNS,
    "classification": classification.COLUMNS,
    "distribution": distributions.COLUMNS,
    "robustness": robustness.COLUMNS,
}


@dataclass
class Measured:
    """The headline, the tables that could be had, and what makes intervals out of estimates."""

    headline: dict[str, Any]
    predictions: pd.DataFrame
    tables: dict[str, pd.DataFrame]
    conformal: dict[str, Any]


def of_ages(
    params: EvaluateParams,
    splits: dict[str, pd.DataFrame],
    target: Target,
    logits: dict[str, Tensor],
    baselines: dict[str, np.ndarray],
) -> Measured:
    """Measure estimated ages, and the classes that follow from them.

    Parameters
    ----------
    splits : tables of the faces of `val` and `test`
    logits : of the same faces (n, outputs)
    baselines : ages, in years, that each baseline gives to the test faces (n,)
    """
    settings, groupings, val, test = (
        params.evaluate,
        params.groupings,
        splits["val"],
        splits["test"],
    )
    age = test["age"].to_numpy(dtype=float)
    labels = subgroups.labels(test)
    predicted = ages(target, logits["test"])
    resamples = Resamples(test["cluster"], settings.bootstrap, params.seed)

    classes = classification.classes(age, predicted, groupings, target.classes(logits["test"]))
    errors = {"model": metrics.per_face(age, predicted, right(classes["age_group"]))}
    for name, estimate in baselines.items():
        guessed = classification.classes(age, estimate, groupings, None)
        errors[name] = metrics.per_face(age, estimate, right(guessed["age_group"]))
    measures = {name: metrics.measure(each, resamples) for name, each in errors.items()}
    decades = metrics.by_decade(errors["model"], resamples)
    groups = subgroups.by_group(errors["model"], labels, resamples, settings.min_subgroup)

    thresholds = age_checks.by_threshold(age, predicted)
    single_ages = age_checks.by_single_age(age, predicted)
    scores = classification.by_grouping(classes)

    calibration = conformal.Calibration.fit(
        val["age"].to_numpy(dtype=float), ages(target, logits["val"]), settings.coverage
    )
    intervals = calibration.intervals(predicted)
    coverage = conformal.coverage_by_group(age, intervals, labels)

    headline = {
        "test": measures.pop("model"),
        "baselines": measures,
        "decades": dict(zip(decades["decade"], decades["mae"], strict=True)),
        "older": metrics.of_older(errors["model"], resamples),
        "subgroups": subgroups.gaps(groups),
        "age_checks": age_checks.summary(age, thresholds, single_ages),
        "intervals": conformal.summary(coverage),
        "classification": classification.summary(scores),
    }
    measured = {
        "decades": decades,
        "subgroups": groups,
        "age_checks": thresholds,
        "ages_18_30": single_ages,
        "coverage": coverage,
        "classification": scores,
    }
    if distribution := target.distribution(logits["test"]):
        years, probabilities = (tensor.numpy() for tensor in distribution)
        levels = distributions.by_level(age, years, probabilities)
        measured["distribution"] = levels
        score = distributions.crps(age, years, probabilities)
        headline["distribution"] = distributions.summary(levels, score)
    faces = predictions(test, predicted, intervals, classes, groupings)
    return Measured(headline, faces, measured, calibration.as_dict())


def of_classes(
    params: EvaluateParams,
    splits: dict[str, pd.DataFrame],
    target: Target,
    logits: dict[str, Tensor],
) -> Measured:
    """Measure classes alone, where no face has an age."""
    test, found = splits["test"], target.classes(logits["test"])
    assert found, "the stage train refuses other targets for such faces"
    boundaries, estimated = list(found[0]), found[1].numpy()
    name = next(n for n, grouping in params.groupings.items() if grouping.boundaries == boundaries)
    number = {group: k for k, group in enumerate(params.groupings[name].names)}
    true = test["age_class"].map(number).to_numpy()
    classes = {name: (true, estimated)}
    scores = classification.by_grouping(classes)
    resamples = Resamples(test["cluster"], params.evaluate.bootstrap, params.seed)
    commonest = splits["train"]["age_class"].mode()[0]
    measures: dict[str, Any] = {"n": len(test)}
    for measure, hits in {
        "accuracy": true == estimated,
        "commonest": true == number[commonest],  # what always answering it would get
    }.items():
        low, high = resamples.interval_of_mean(hits)
        measures |= {measure: float(hits.mean()), f"{measure}_low": low, f"{measure}_high": high}
    headline = {"test": measures, "classification": classification.summary(scores)}
    faces = predictions(test, None, pd.DataFrame(index=test.index), classes, params.groupings)
    return Measured(headline, faces, {"classification": scores}, {})


def ages(target: Target, logits: Tensor) -> np.ndarray:
    """Ages, in years, that the logits stand for."""
    return target.age(logits).numpy().astype(float)


def right(classes: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Whether each estimated class is the true one."""
    true, estimated = classes
    return true == estimated


def predictions(
    test: pd.DataFrame,
    predicted: np.ndarray | None,
    intervals: pd.DataFrame,
    classes: classification.Classes,
    groupings: dict[str, Grouping],
) -> pd.DataFrame:
    """One row a test face, codes written out: reports/predictions.csv.

    `cluster` is that of the split, the smallest `face` among them;
    `age_group` is the group of ages.
    """
    names = subgroups.labels(test).replace(subgroups.NOT_GIVEN, None)
    table = test[["face", "path", "age"]].assign(
        cluster=test["cluster"], gender=names["gender"], race=names["race"]
    )
    if predicted is not None:
        age = test["age"].to_numpy(dtype=float)
        table = table.assign(
            predicted=predicted,
            error=predicted - age,
            decade=decade_names(age),
            predicted_decade=decade_names(predicted),
            **intervals,
        )
    for name, grouping in groupings.items():
        if name in classes:
            groups = np.array(grouping.names)
            table[name], table[f"predicted_{name}"] = (groups[k] for k in classes[name])
    return table.sort_values("face")
