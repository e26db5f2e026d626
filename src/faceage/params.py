"""params.yaml read in one place into typed, frozen objects.

`load(View)` checks the whole file and hands out only the keys that the view names. A stage's view
is what dvc.yaml declares for it, so a stage cannot read a parameter that DVC does not watch.
"""

import dataclasses
import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from faceage.stage import UserError

PATH = Path("params.yaml")

Share = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A mapping in params.yaml: every key is required, known and of its type."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sample(Section):
    """The built-in data set of synthetic faces."""

    faces: int = Field(ge=50, le=100_000, description="how many usable faces to draw")
    px: int = Field(ge=64, le=512, description="side of a face in pixels")


class Data(Section):
    """Where the faces come from and which of them are used."""

    source: str = Field(min_length=1, description="folder, .tar, .tar.gz or .zip")
    min_age: int = Field(ge=0, description="youngest age that is believed, in years")
    max_age: int = Field(le=150, description="oldest age that is believed, in years")
    min_px: int = Field(ge=8, description="shortest side of a usable image in pixels")
    near_duplicate: float = Field(gt=0.5, le=1, description="correlation from which two are one")

    @model_validator(mode="after")
    def _ages_in_order(self) -> "Data":
        if self.min_age >= self.max_age:
            raise ValueError(f"min_age ({self.min_age}) must be below max_age ({self.max_age})")
        return self


class Split(Section):
    """Shares of the three parts and the age bins over which they are balanced."""

    train: Share = Field(description="share of the faces to learn from")
    val: Share = Field(description="share of the faces to decide on")
    test: Share = Field(description="share of the faces to report on, once")
    bin_years: int = Field(ge=1, le=150, description="width of an age bin in years")
    min_bin: int = Field(ge=1, description="bins with fewer faces are merged with a neighbour")

    @model_validator(mode="after")
    def _shares_add_up(self) -> "Split":
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + val + test must be 1, and is {total:g}")
        return self


class Augment(Section):
    """Random changes to a training image; 0 turns one off."""

    flip: float = Field(ge=0, le=1, description="probability of mirroring")
    rotate: float = Field(ge=0, le=180, description="up to this many degrees either way")
    zoom: float = Field(ge=0, lt=1, description="scale by up to this share either way")
    shift: float = Field(ge=0, lt=1, description="move by up to this share of the side")
    jitter: float = Field(ge=0, lt=1, description="brightness, contrast and saturation, +- share")
    erase: float = Field(ge=0, le=1, description="probability of blanking a random rectangle")


class Train(Section):
    """How the network is fitted."""

    px: int | None = Field(ge=32, le=1024, description="side of the input; null: the backbone's")
    epochs: int = Field(ge=1, description="passes over the training part, at most")
    batch_size: int = Field(ge=2, description="images per step, over all devices")
    lr: float = Field(gt=0, description="AdamW's highest learning rate")
    weight_decay: float = Field(ge=0, description="AdamW's decoupled weight decay")
    warmup_epochs: float = Field(ge=0, description="epochs of linear warm-up before the cosine")
    dropout: float = Field(ge=0, lt=1, description="dropout before the head")
    loss_beta: float = Field(gt=0, description="years of error where smooth L1 turns linear")
    clip_grad: float = Field(gt=0, description="largest norm of the gradient")
    ema_decay: float = Field(ge=0, lt=1, description="decay a step of the averaged weights; 0: off")
    patience: int = Field(ge=1, description="epochs without a better validation MAE before the end")
    precision: Literal["auto", "float32", "bfloat16"] = Field(description="arithmetic of a step")
    augment: Augment


# Columns of reports/predictions.csv that a grouping's own columns must not hide.
TAKEN = (
    *("face", "path", "cluster", "age", "predicted", "error", "gender", "race", "decade"),
    *("low", "high", "low_plain", "high_plain"),
)


class Grouping(Section):
    """Named age groups: as classes, and for the share of faces put into the right one."""

    boundaries: list[int] = Field(min_length=1, description="first age of each group but the first")
    names: list[str] = Field(description="of the groups, from youngest to oldest")

    @model_validator(mode="after")
    def _in_order(self) -> "Grouping":
        if sorted(set(self.boundaries)) != self.boundaries:
            raise ValueError(f"boundaries must rise from youngest to oldest: {self.boundaries}")
        groups = len(self.boundaries) + 1
        if len(set(self.names)) != groups or len(self.names) != groups:
            raise ValueError(
                f"{len(self.boundaries)} boundaries make {groups} groups, each of a name of its"
                f" own; names: {self.names}"
            )
        return self


class Evaluate(Section):
    """How the test part is measured."""

    bootstrap: int = Field(ge=100, le=100_000, description="resamples behind each interval")
    groupings: dict[str, Grouping] = Field(description="the age groups, by the grouping's name")
    min_group: int = Field(ge=2, description="faces below which a subgroup is not compared")
    coverage: Share = Field(description="nominal coverage of the prediction intervals")
    robustness_faces: int = Field(ge=1, description="test faces to corrupt, at most")

    @model_validator(mode="after")
    def _has_the_grouping_of_the_report(self) -> "Evaluate":
        if "group" not in self.groupings:
            raise ValueError("groupings must have one called group, which headline and plots use")
        for name in self.groupings:
            if name.removeprefix("predicted_") in TAKEN:
                raise ValueError(f"groupings: {name} has a meaning already, name it otherwise")
        return self


class Params(Section):
    """The whole of params.yaml."""

    seed: int = Field(ge=0, lt=2**31, description="of every random choice")
    model: str = Field(min_length=1, description="any model name that timm knows")
    weights: str = Field(min_length=1, description="imagenet, none or the path of a .safetensors")
    tracking: bool = Field(description="log runs to MLflow")
    sample: Sample
    data: Data
    split: Split
    train: Train
    evaluate: Evaluate


@dataclasses.dataclass(frozen=True)
class SampleParams:
    """What the stage sample may read."""

    seed: int
    sample: Sample


@dataclasses.dataclass(frozen=True)
class IngestParams:
    """What the stage ingest may read."""

    data: Data


@dataclasses.dataclass(frozen=True)
class SplitParams:
    """What the stage split may read."""

    seed: int
    split: Split


@dataclasses.dataclass(frozen=True)
class TrainParams:
    """What the stage train may read."""

    seed: int
    model: str
    weights: str
    tracking: bool
    train: Train


@dataclasses.dataclass(frozen=True)
class EvaluateParams:
    """What the stage evaluate may read."""

    seed: int
    tracking: bool
    evaluate: Evaluate


@dataclasses.dataclass(frozen=True)
class ReportParams:
    """What the stage report may read."""

    tracking: bool
    evaluate: Evaluate


View = TypeVar(
    "View",
    Params,
    SampleParams,
    IngestParams,
    SplitParams,
    TrainParams,
    EvaluateParams,
    ReportParams,
)


def load(view: type[View], path: Path = PATH) -> View:
    """Check all of params.yaml and return the part of it that `view` names.

    Raises
    ------
    UserError
        For a missing file, an unknown or missing key, a wrong type or an impossible value; the
        message names the key's path, the value and what is allowed.
    """
    params = check(_read(path), path)
    if isinstance(params, view):
        return params
    return view(**{field.name: getattr(params, field.name) for field in dataclasses.fields(view)})


def check(content: Any, path: Path = PATH) -> Params:
    """Turn the content of params.yaml into `Params` or raise a `UserError` listing all faults."""
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(_fault(item, content) for item in error.errors())
        raise UserError(f"{path}: {faults}") from None


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise UserError(f"there is no {path} here: run from the root of the repository") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def _fault(item: Any, content: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    match item["type"]:
        case "missing":
            return f"{key} is missing: it says {_meaning(item['loc'])}"
        case "extra_forbidden":
            known = _siblings(item["loc"])
            close = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
            return f"{key} is not a known key ({hint})"
        case "value_error":
            return f"{key or 'the file'}: {item['ctx']['error']}"
        case _:
            allowed = item["msg"].replace("Input should", "it should")
            return f"{key or 'the file'} is {item['input']!r}, and {allowed}"


def _siblings(location: tuple[Any, ...]) -> list[str]:
    return list(_section(location[:-1]).model_fields)


def _meaning(location: tuple[Any, ...]) -> str:
    field = _section(location[:-1]).model_fields[location[-1]]
    return field.description or "a section of its own"


def _section(location: tuple[Any, ...]) -> Any:
    section: Any = Params
    for part in location:
        if get_origin(section) is dict:
            section = get_args(section)[1]
        else:
            section = section.model_fields[part].annotation
    return section
