"""params.yaml read in one place into typed, frozen objects.

`load(View)` checks the whole file and hands out only the keys that the view names. A stage's view
is what dvc.yaml declares for it, so a stage cannot read a parameter that DVC does not watch.
"""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from faceage.core.dotted import flatten
from faceage.core.faults import in_words
from faceage.core.script import UserError
from faceage.core.secrets import has_secret
from faceage.core.settings import (
    Data,
    Evaluate,
    External,
    FurtherSource,
    Grouping,
    LabelIssues,
    Params,
    Sample,
    Section,
    Source,
    Split,
    TargetSettings,
    Train,
)

PATH = Path("params.yaml")


class SampleParams(Section):
    """What the stage sample may read."""

    seed: int
    sample: Sample
    data: Source


class Sources(Section):
    """Of `data`, the further sources."""

    sources: dict[str, FurtherSource]


class SourcesParams(Section):
    """What the stage sources may read."""

    data: Sources


class IngestParams(Section):
    """What the stage ingest may read."""

    data: Data
    groupings: dict[str, Grouping]


class SplitParams(Section):
    """What the stage split may read."""

    seed: int
    split: Split


class LabelIssueParams(Section):
    """What the stage label_issues may read."""

    seed: int
    model: str
    weights: str
    label_issues: LabelIssues


class TrainParams(Section):
    """What the stage train may read."""

    seed: int
    model: str
    weights: str
    groupings: dict[str, Grouping]
    target: TargetSettings
    train: Train


class EvaluateParams(Section):
    """What the stage evaluate may read."""

    seed: int
    groupings: dict[str, Grouping]
    evaluate: Evaluate


class ExternalParams(EvaluateParams):
    """What the stage external may read."""

    data: Data
    external: dict[str, External]


class ExternalNamesParams(Section):
    """What the stage external_names may read."""

    external: dict[str, External]


class ReportParams(Section):
    """What the stage report may read."""

    groupings: dict[str, Grouping]
    evaluate: Evaluate


class PublishParams(Section):
    """What the stage publish may read."""

    seed: int
    tracking: bool
    promote: bool
    evaluate: Evaluate


class TrackingParams(Section):
    """Whether a stage logs what it does, which decides nothing of what it computes.

    DVC watches it for the stage publish alone: where a training is logged does not make another
    model, and turning it off when a server has gone loses no finished epoch.
    """

    tracking: bool


View = TypeVar("View", bound=Section)


def load(view: type[View], path: Path = PATH) -> View:
    """Check all of params.yaml and return the part of it that `view` names.

    Raises
    ------
    UserError
        For a missing file, an unknown or missing key, a wrong type or an impossible value; the
        message names the key's path, the value and what is allowed.
    """
    params = check(_read(path), path)
    return view.model_validate(params, from_attributes=True)


def check(content: Any, path: Path = PATH) -> Params:
    """Turn the content of params.yaml into `Params` or raise a `UserError` listing all faults."""
    try:
        params = Params.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {'; '.join(in_words(error, Params))}") from None
    for key, value in flatten(content):
        if has_secret(value):
            raise UserError(
                f"{path}: {key} has a password or a token in it, which git, dvc.lock, the report"
                " and MLflow would show: name a file or a folder on this machine"
            )
    return params


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise UserError(f"there is no {path} here: run from the root of the repository") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
