"""Recipes: named configurations, each a file with only the keys that differ from params.yaml."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from faceage.core.params import PATH, check
from faceage.core.script import UserError
from faceage.experiments import overrides

FOLDER = Path("recipes")


def titles() -> dict[str, str]:
    """First line of each recipe, a comment that says what it is, by its name."""
    return {
        path.stem: path.read_text().splitlines()[0].removeprefix("# ")
        for path in sorted(FOLDER.glob("*.yaml"))
    }


def options(name: str) -> list[str]:
    """A recipe as options of `dvc exp run`: -S key=value, in the grammar of Hydra's overrides.

    Raises
    ------
    UserError
        If there is no recipe of that name, or params.yaml with it would not be valid.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = list(titles())
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
        raise UserError(f"there is no recipe {name}; {hint}")
    params = yaml.safe_load(PATH.read_text())
    recipe = yaml.safe_load(path.read_text())
    check(merged(params, recipe), path)
    return [option for key, value in _leaves(recipe, params) for option in ("-S", f"{key}={value}")]


def merged(params: Any, recipe: Any) -> Any:
    """params.yaml with a recipe's keys in their place; lists are replaced as a whole."""
    if not (isinstance(params, dict) and isinstance(recipe, dict)):
        return recipe
    return params | {key: merged(params.get(key), value) for key, value in recipe.items()}


def _leaves(
    recipe: dict[str, Any], params: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """Dotted keys and values; a plus is before those that params.yaml has not."""
    for key, value in recipe.items():
        if key not in params:
            yield f"+{prefix}{key}", overrides.hydra(value)
        elif isinstance(value, dict):
            yield from _leaves(value, params[key], f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", overrides.hydra(value)
