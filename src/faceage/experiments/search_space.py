"""Search spaces: files of sweeps/ that say which parameters are tried, and between which values."""

from pathlib import Path
from typing import Any

import yaml
from optuna.trial import BaseTrial
from pydantic import Field, ValidationError, model_validator

from faceage.core.faults import first_in_words
from faceage.core.script import UserError
from faceage.core.settings import Section
from faceage.experiments import overrides, recipes

DIGITS = 4  # significant ones of a proposed number: more would tell trials apart that are alike

Choice = bool | int | float | str | list[Any]


class Range(Section):
    """Numbers from low to high, whole ones if both are.

    log: evenly on a logarithmic scale; step: null, or the distance of those that are tried.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> "Range":
        if not self.low < self.high:
            raise ValueError("low has to be lower than high")
        if self.log and self.low <= 0:
            raise ValueError("with log: true low has to be greater than 0")
        if self.log and self.step:
            raise ValueError("log: true and a step exclude each other")
        return self

    def suggest(self, trial: BaseTrial, key: str) -> str:
        """A number that the trial is to try, as Hydra reads it."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            step = int(self.step or 1)
            return str(trial.suggest_int(key, self.low, self.high, log=self.log, step=step))
        number = trial.suggest_float(key, self.low, self.high, log=self.log, step=self.step)
        return f"{number:.{DIGITS}g}"

    @property
    def extremes(self) -> list[str]:
        """What has to be valid for all of it to be."""
        return [overrides.hydra(self.low), overrides.hydra(self.high)]


class Space(Section):
    """A file of sweeps/: where a trial starts from, and what it tries.

    recipe: null, or the recipe whose keys all trials have; parameters: by dotted keys of
    params.yaml a range, or a list of choices.
    """

    recipe: str | None
    parameters: dict[str, Range | list[Choice]] = Field(min_length=1)

    def suggest(self, trial: BaseTrial) -> dict[str, str]:
        """What the trial is to try: values by dotted keys, as Hydra reads them."""
        return {
            key: asked.suggest(trial, key)
            if isinstance(asked, Range)
            else trial.suggest_categorical(key, [overrides.hydra(choice) for choice in asked])
            for key, asked in self.parameters.items()
        }

    def options(self, values: dict[str, str]) -> list[str]:
        """The recipe's options of `dvc exp run`, then these, which win."""
        of_recipe = recipes.options(self.recipe) if self.recipe else []
        return [*of_recipe, *overrides.options(values)]


def load(path: Path, given: dict[str, str]) -> Space:
    """Read a search space.

    Parameters
    ----------
    given : what all trials have besides the recipe: values by dotted keys

    Raises
    ------
    UserError
        If there is no such file, it does not say what it has to, or a range ends or a choice is
        where params.yaml would not be valid.
    """
    try:
        space = Space.model_validate(yaml.safe_load(path.read_text()))
    except FileNotFoundError:
        known = ", ".join(map(str, sorted(path.parent.glob("*.yaml")))) or "none there"
        raise UserError(f"there is no search space {path}; there are: {known}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise UserError(f"{path}: {first_in_words(error)}") from None
    for key, asked in space.parameters.items():
        if key in given:
            raise UserError(f"{key} is tried by {path}, and cannot be given with -S too")
        tried = asked.extremes if isinstance(asked, Range) else map(overrides.hydra, asked)
        for value in tried:
            try:
                overrides.configured(space.options(given | {key: value}))
            except UserError as error:
                raise UserError(f"{path}: {key}={value} cannot be tried: {error}") from None
    return space
