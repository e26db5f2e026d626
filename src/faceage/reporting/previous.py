"""The run before this one, as git has it: what the report compares with.

The report is committed together with reports/metrics.json, so neither "the metrics at HEAD" nor
"the commit before HEAD" would do: each names another run once the report itself is committed, and
`dvc repro` would then make another page of the same results. The latest commit whose metrics are
other ones than the present is the same before and after, for committing adds only equal ones.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faceage.core import repository
from faceage.core.dotted import flatten
from faceage.reporting.results import METRICS

DATA = ("data/faces.parquet", "data/split.csv")
ROUNDING = 1e-3  # of a metric in the files, and of a computer of another type


@dataclass(frozen=True)
class Previous:
    """An earlier run, and in what the present one differs from it.

    commit: full hash; test: metrics of its test set; changed: (dotted name, then, now) of each
    parameter of the two that is not the same; same_faces: whether data and split are the same.
    """

    commit: str
    test: dict[str, Any]
    changed: list[tuple[str, Any, Any]]
    same_faces: bool


def find(metrics: Mapping[str, Any]) -> Previous | None:
    """The latest committed run that has other metrics; none without git, or without such a run.

    In the temporary copy that a queued experiment runs in, history ends with the commit that the
    experiment started from.

    Parameters
    ----------
    metrics : content of the present reports/metrics.json
    """
    for commit in repository.commits_of(METRICS):
        test = _test_metrics(repository.content_at(commit, METRICS))
        if "mae" not in test:  # a source of classes, or none of ours
            continue
        if any(_differs(value, metrics["test"].get(name, value)) for name, value in test.items()):
            then, now = repository.locked_stages(commit), repository.locked_stages()
            return Previous(commit, test, _changed(then, now), _data(then) == _data(now))
    return None


def parameters(stages: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters that the stages of a dvc.lock were run with, by dotted name."""
    by_name: dict[str, Any] = {}
    for stage in stages.values():
        by_name |= flatten(stage.get("params", {}).get("params.yaml", {}))
    return by_name


def _differs(then: float | None, now: float | None) -> bool:
    if then is None or now is None:
        return then is not now
    return not math.isclose(then, now, abs_tol=ROUNDING)


def _test_metrics(text: str) -> dict[str, Any]:
    """Metrics in a committed metrics.json; none where it was removed or is damaged.

    Without the ends of intervals: another way to draw resamples does not make another run.
    """
    try:
        test = json.loads(text)["test"]
    except (ValueError, KeyError):
        return {}
    return {name: value for name, value in test.items() if not name.endswith(("_low", "_high"))}


def _changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    before, after = parameters(then), parameters(now)
    names = sorted(before.keys() & after.keys())
    return [(name, before[name], after[name]) for name in names if before[name] != after[name]]


def _data(stages: Mapping[str, Any]) -> list[str]:
    """Hashes of the faces and of their split."""
    deps = stages.get("evaluate", {}).get("deps", [])
    return [dep.get("md5", "") for dep in deps if dep["path"] in DATA]
