"""Protocols of the literature: which faces, which splits and seeds a published figure is from.

Each is a file of the folder protocols/; docs/protocols.md explains them. A recipe is measured under
a protocol in folds, a DVC experiment for each seed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import Field, ValidationError

from faceage.core import repository
from faceage.core.dotted import flatten
from faceage.core.faults import first_in_words
from faceage.core.script import UserError
from faceage.core.settings import Params, Section
from faceage.experiments import overrides, recipes
from faceage.tracking import mlflow_runs

FOLDER = Path("protocols")
METRICS = ("mae", "rmse", "cs5", "cs10")


class Published(Section):
    """A figure of a paper; what is null is not known."""

    model: str
    mae: float = Field(gt=0)
    sd: float | None = Field(gt=0)
    pretraining: str | None
    img_size: int | None = Field(gt=0)
    source: str = Field(pattern="^https://")
    certain: bool
    note: str


class Protocol(Section):
    """A file of protocols/: parameters by dotted keys, which no recipe and no option overrides."""

    title: str
    seeds: list[int] = Field(min_length=1)
    required: list[str]
    changes: dict[str, bool | int | float | str]
    published: list[Published]


@dataclass(frozen=True)
class Fold:
    """A split and training of a protocol: a DVC experiment of its name.

    options: of `dvc exp run`, those of the recipe included; params: what they come to.
    """

    name: str
    seed: int
    options: list[str]
    params: Params

    @property
    def command(self) -> list[str]:
        """What queues the experiment, up to the stage that measures."""
        return ["dvc", "exp", "run", "--queue", "-n", self.name, *self.options, "evaluate"]


def names() -> list[str]:
    """All protocols."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Protocol:
    """Read the protocol of that name.

    Raises
    ------
    UserError
        If there is none, or the file does not say what it has to.
    """
    if name not in names():
        raise UserError(f"there is no protocol {name}; there are {', '.join(names())}")
    path = FOLDER / f"{name}.yaml"
    try:
        return Protocol.model_validate(yaml.safe_load(path.read_text()))
    except ValidationError as error:
        raise UserError(f"{path}: {first_in_words(error)}") from None


def folds(name: str, recipe: str, given: Sequence[str]) -> list[Fold]:
    """The folds of a recipe under a protocol.

    Parameters
    ----------
    given : `key=value`, further parameters; files that they name become absolute paths

    Raises
    ------
    UserError
        If there is no such protocol or recipe, a parameter is wrong, is fixed by the protocol, or
        is required and not given.
    """
    protocol = load(name)
    more = dict(overrides.pair(item) for item in given)
    for key in more:
        if key in protocol.changes or key == "seed":
            raise UserError(f"{key} is fixed by the protocol {name}: see {FOLDER}/{name}.yaml")
    for key in protocol.required:
        if key not in more:
            raise UserError(f"the protocol {name} needs -S {key}=...: {protocol.title}")
    label = _label(name, protocol, more)
    found = []
    for seed in protocol.seeds:
        fixed = {key: overrides.hydra(value) for key, value in protocol.changes.items()}
        changes = more | fixed | {"seed": str(seed)}  # what comes later wins
        options = [*recipes.options(recipe), *overrides.options(changes)]
        fold = re.sub(r"[^A-Za-z0-9]+", "-", f"{label} {recipe} seed {seed}")
        found.append(Fold(fold, seed, options, overrides.configured(options)))
    return found


def kept(folds: Sequence[Fold], entry: Mapping[str, Any]) -> dict[int, Any]:
    """Rows of an entry that are of these folds with the same parameters, by seed.

    They may have been measured on another machine and at another commit, which each row names. A
    parameter that came later does by default what was done without it.
    """
    then, now = entry.get("params", {}), comparable(folds[0].params)
    if any(key not in now or now[key] != value for key, value in then.items()):
        return {}
    seeds = {fold.seed for fold in folds}
    return {row["seed"]: row for row in entry.get("folds", []) if row["seed"] in seeds}


def comparable(params: Params) -> dict[str, Any]:
    """All parameters but the seed; files by their names, wherever they lie."""
    values = _flat(params)
    named = {
        key: Path(values[key]).name for key in overrides.FILES if values[key] not in overrides.MADE
    }
    del values["seed"]
    plain: dict[str, Any] = json.loads(json.dumps(values | named))
    return plain


def measured(
    name: str,
    recipe: str,
    folds: Sequence[Fold],
    commits: Mapping[str, str],
    earlier: dict[int, Any],
) -> Any:
    """What came out so far: an entry of benchmarks/protocols.json.

    Parameters
    ----------
    commits : of the folds' experiments, by name
    earlier : rows of folds that were measured before, by seed
    """
    params = folds[0].params
    new = {fold.seed: _row(fold, commits[fold.name]) for fold in folds if fold.name in commits}
    rows = [(earlier | new)[seed] for seed in sorted(earlier | new)]
    return {
        "protocol": name,
        "recipe": recipe,
        "files": _files(name, params),
        "model": params.model,
        "pretraining": {"imagenet": "ImageNet"}.get(params.weights, Path(params.weights).name),
        "img_size": params.train.img_size,
        "of": len(folds),
        "params": comparable(params),
        "summary": {metric: mean_and_sd([row[metric] for row in rows]) for metric in METRICS},
        "folds": rows,
    }


def mean_and_sd(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and standard deviation over folds, n - 1 in the denominator; null for one fold."""
    several = len(values) > 1
    return {
        "mean": float(np.mean(values)),
        "sd": float(np.std(values, ddof=1)) if several else None,
    }


def key(name: str, recipe: str, folds: Sequence[Fold]) -> str:
    """What an entry of benchmarks/protocols.json is found by: protocol, its files, recipe."""
    return "/".join([name, *_files(name, folds[0].params).values(), recipe])


def _files(name: str, params: Params) -> dict[str, str]:
    """Names of the files that the protocol has to be given, by key."""
    values = _flat(params)
    return {key: Path(values[key]).name for key in load(name).required}


def _row(fold: Fold, commit: str) -> dict[str, Any]:
    test = json.loads(repository.content_at(commit, Path("reports/metrics.json")))["test"]
    if "mae" not in test:
        raise UserError(f"{fold.name} has classes and no ages, and every protocol is one of ages")
    return {
        "seed": fold.seed,
        "n": test["n"],
        **{metric: test[metric] for metric in METRICS},
        "minutes": mlflow_runs.minutes_of_training(fold.name),
        "commit": repository.git("rev-parse", "--short", f"{commit}^"),
    }


def _label(name: str, protocol: Protocol, given: Mapping[str, str]) -> str:
    return " ".join([name, *(Path(given[key]).stem for key in protocol.required)])


def _flat(params: Params) -> dict[str, Any]:
    return dict(flatten(params.model_dump()))
