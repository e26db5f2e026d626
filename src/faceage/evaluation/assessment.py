"""All that is measured of a model on the test set: predictions, tables and headline."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from faceage.core.params import EvaluateParams
from faceage.evaluation import (
    acquisition,
    age_bands,
    age_checks,
    challenge_ages,
    classification,
    conformal,
    distributions,
    metrics,
    repeatability,
    robustness,
    subgroups,
)
from faceage.evaluation.age_bins import decade_names
from faceage.evaluation.bootstrap import Resamples
from faceage.networks.targets import Target


@dataclass(frozen=True)
class Evaluation:
    """What a model says about the faces of val and test, and what all metrics are made of.

    splits: the faces of train, val and test, of these two those without bands of ages; bands: the
    test faces with such; logits: of val, test and bands, (n, outputs). Where the faces have ages
    there are also baselines: the ages, in years, that each predicts for the test faces, (n,);
    corrupted: `robustness.predict`; changed: `repeatability.predict`; acquired: which of them the
    detector finds.
    """

    params: EvaluateParams
    splits: Mapping[str, pd.DataFrame]
    target: Target
    logits: Mapping[str, Tensor]
    baselines: Mapping[str, np.ndarray] = field(default_factory=dict)
    corrupted: robustness.Corrupted | None = None
    changed: repeatability.Changed | None = None
    acquired: acquisition.Acquired | None = None
    bands: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def test(self) -> pd.DataFrame:
        """The test faces."""
        return self.splits["test"]

    @property
    def has_ages(self) -> bool:
        """Whether the faces have ages; if not, they have classes."""
        return bool(self.test["age"].notna().all())

    @cached_property
    def age(self) -> np.ndarray:
        """True ages of the test faces, in years (n,)."""
        return self.test["age"].to_numpy(dtype=float)

    @cached_property
    def predicted(self) -> np.ndarray:
        """Predicted ages of the test faces, in years (n,)."""
        return self._ages("test")

    @cached_property
    def classes(self) -> classification.Classes:
        """True and predicted classes of the test faces, by grouping."""
        learned = self.target.classes(self.logits["test"])
        if self.has_ages:
            return classification.of_ages(self.age, self.predicted, self.params.groupings, learned)
        assert learned, "the stage train refuses other targets for such faces"
        return classification.of_labels(self.test["age_class"], self.params.groupings, learned)

    @cached_property
    def distribution(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Whole years (k,) and how probable each is for the test faces (n, k), if predicted."""
        found = self.target.distribution(self.logits["test"])
        return (found[0].numpy(), found[1].numpy()) if found else None

    @cached_property
    def resamples(self) -> Resamples:
        """What all intervals of metrics come from."""
        return Resamples(self.test["cluster"], self.params.evaluate.bootstrap, self.params.seed)

    @cached_property
    def errors(self) -> pd.DataFrame:
        """Errors of the model, a row a test face."""
        return metrics.errors(self.age, self.predicted, self.classes["age_group"])

    @cached_property
    def band_errors(self) -> pd.DataFrame:
        """How far predictions are from the bands, a row a test face with one."""
        low, high = (self.bands[name].to_numpy(dtype=float) for name in ("age_low", "age_high"))
        return age_bands.errors(low, high, self._ages("bands"))

    def errors_of(self, baseline: np.ndarray) -> pd.DataFrame:
        """Errors of ages that a baseline predicts, (n,) in years."""
        classes = classification.of_ages(self.age, baseline, self.params.groupings, None)
        return metrics.errors(self.age, baseline, classes["age_group"])

    @cached_property
    def people(self) -> pd.DataFrame:
        """Gender, ethnicity and both of the test faces, by name."""
        return subgroups.labels(self.test)

    @cached_property
    def calibration(self) -> conformal.Calibration:
        """Intervals, calibrated on the validation faces."""
        age = self.splits["val"]["age"].to_numpy(dtype=float)
        return conformal.Calibration.fit(age, self._ages("val"), self.params.evaluate.coverage)

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """Prediction intervals of the test faces."""
        return self.calibration.intervals(self.predicted)

    @cached_property
    def seen_twice(self) -> pd.DataFrame:
        """People of whom there are several estimates."""
        return repeatability.people_seen_twice(self.test, self.predicted, self.changed)

    @cached_property
    def false_positives(self) -> pd.DataFrame:
        """False positive rates of age checks by group."""
        return age_checks.false_positives(
            self.age,
            self.predicted,
            self.people,
            self.params.evaluate.legal_ages,
            self.resamples,
            self.params.evaluate.min_subgroup,
        )

    @cached_property
    def challenge_ages(self) -> pd.DataFrame:
        """Thresholds of age checks, chosen on the validation faces, on the test faces."""
        age = self.splits["val"]["age"].to_numpy(dtype=float)
        chosen = challenge_ages.choose(age, self._ages("val"), self.params.evaluate.legal_ages)
        return challenge_ages.confirm(chosen, self.age, self.predicted, self.resamples)

    def _ages(self, split: str) -> np.ndarray:
        return self.target.age(self.logits[split]).numpy().astype(float)


# A table a line: `evaluate` writes it to reports/tables/, the report finds it by its name.
TABLES: dict[str, Callable[[Evaluation], pd.DataFrame]] = {
    "decades": lambda e: metrics.by_decade(e.errors, e.resamples),
    "subgroups": lambda e: subgroups.by_subgroup(
        e.errors, e.people, e.resamples, e.params.evaluate.min_subgroup
    ),
    "age_checks": lambda e: age_checks.by_threshold(
        e.age, e.predicted, e.params.evaluate.legal_ages, e.resamples
    ),
    "false_positives": lambda e: e.false_positives,
    "false_positive_ratios": lambda e: age_checks.ratios(
        e.age, e.predicted, e.people, e.false_positives, e.resamples
    ),
    "challenge_ages": lambda e: e.challenge_ages,
    "single_ages": lambda e: age_checks.single_ages(e.age, e.predicted, e.people),
    "child_safety": lambda e: age_checks.child_safety(e.age, e.predicted, e.resamples),
    "failure_to_acquire": lambda e: acquisition.by_group(e.acquired, e.age, e.people, e.resamples),
    "small_changes": lambda e: repeatability.by_change(e.changed),
    "both_sides": lambda e: repeatability.both_sides(
        e.seen_twice, e.params.evaluate.legal_ages, e.resamples
    ),
    "coverage": lambda e: conformal.coverage_by_subgroup(e.age, e.intervals, e.people),
    "classification": lambda e: classification.by_grouping(e.classes),
    "distribution": lambda e: distributions.by_level(e.age, e.distribution),
    "robustness": lambda e: robustness.by_corruption(e.corrupted),
    "bands": lambda e: age_bands.by_band(e.band_errors) if len(e.bands) else pd.DataFrame(),
}
WITHOUT_AGES = {"classification"}


def all_tables(evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    """Every table by its name; an empty one where it needs ages and there are none."""
    return {
        name: table(evaluation) if evaluation.has_ages or name in WITHOUT_AGES else pd.DataFrame()
        for name, table in TABLES.items()
    }


def headline(evaluation: Evaluation, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """The metrics of reports/metrics.json."""
    e = evaluation
    scores = classification.summary(tables["classification"])
    if not e.has_ages:
        return {"test": accuracy(e), "classification": scores}
    decades = tables["decades"]
    found = {
        "test": metrics.compute(e.errors, e.resamples),
        "baselines": {
            name: metrics.compute(e.errors_of(predicted), e.resamples)
            for name, predicted in e.baselines.items()
        },
        "decades": dict(zip(decades["decade"], decades["mae"], strict=True)),
        "older": metrics.of_older(e.errors, e.resamples),
        "subgroups": subgroups.gaps(tables["subgroups"]),
        "age_checks": age_checks.summary(
            tables["age_checks"],
            tables["single_ages"],
            tables["false_positive_ratios"],
            tables["child_safety"],
            e.params.evaluate.legal_ages,
        )
        | {
            "failure_to_acquire": acquisition.summary(tables["failure_to_acquire"]),
            "repeatability_sd": repeatability.summary(e.seen_twice, e.resamples),
        },
        "intervals": conformal.summary(tables["coverage"]),
        "classification": scores,
    }
    if e.distribution:
        score = distributions.crps(e.age, *e.distribution)
        found["distribution"] = distributions.summary(tables["distribution"], score)
    if len(e.bands):
        resamples = Resamples(e.bands["cluster"], e.params.evaluate.bootstrap, e.params.seed)
        found["bands"] = age_bands.summary(e.band_errors, resamples)
    return found | {"robustness": robustness.summary(tables["robustness"])}


def accuracy(evaluation: Evaluation) -> dict[str, Any]:
    """Accuracy of a model of classes, and of always answering the commonest training class."""
    ((name, (true, predicted)),) = evaluation.classes.items()
    commonest = evaluation.splits["train"]["age_class"].mode()[0]
    number = evaluation.params.groupings[name].names.index(commonest)
    found: dict[str, Any] = {"n": len(true)}
    for metric, hits in {"accuracy": true == predicted, "commonest": true == number}.items():
        low, high = evaluation.resamples.interval_of_mean(pd.Series(hits))
        found |= {metric: float(hits.mean()), f"{metric}_low": low, f"{metric}_high": high}
    return found


def predictions(evaluation: Evaluation) -> pd.DataFrame:
    """One row a test face, codes written out: reports/predictions.csv.

    `cluster` is that of the split; a grouping has its name as a column for the true group, and one
    with `predicted_` before it.
    """
    e = evaluation
    names = e.people.replace(subgroups.NOT_GIVEN, None)
    table = e.test[["face", "path", "age", "cluster"]].assign(
        gender=names["gender"], race=names["race"]
    )
    if e.has_ages:
        table = table.assign(
            predicted=e.predicted,
            error=e.predicted - e.age,
            decade=decade_names(e.age),
            predicted_decade=decade_names(e.predicted),
            **e.intervals,
        )
    for name, grouping in e.params.groupings.items():
        if name in e.classes:
            groups = np.array(grouping.names)
            table[name], table[f"predicted_{name}"] = (groups[k] for k in e.classes[name])
    return table.sort_values("face")
