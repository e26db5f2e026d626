"""Recipes: each is valid, is nothing but configuration, and becomes options that DVC takes."""

import json
import shutil
import subprocess
import sys

import own_backbones
import pytest
import yaml
from conftest import ROOT

from faceage.core.params import check
from faceage.core.script import UserError
from faceage.experiments import recipes
from faceage.networks import targets
from faceage.training.transforms import make_transforms

NAMES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_is_valid_and_says_what_it_is(name):
    assert recipes.options(name)
    defaults = yaml.safe_load((ROOT / "params.yaml").read_text())
    recipe = yaml.safe_load((ROOT / f"recipes/{name}.yaml").read_text())
    params = check(recipes.merged(defaults, recipe))
    targets.check(params.target, params.train.reweight)
    make_transforms(params.train.augment)
    assert len(recipes.titles()[name]) > 20


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_holds_only_what_differs(name):
    defaults = yaml.safe_load((ROOT / "params.yaml").read_text())
    recipe = yaml.safe_load((ROOT / f"recipes/{name}.yaml").read_text())
    assert list(_same(recipe, defaults)) == []


def _same(recipe, defaults, prefix=""):
    for key, value in recipe.items():
        if isinstance(value, dict):
            yield from _same(value, defaults[key], f"{prefix}{key}.")
        elif key in defaults and value == defaults[key]:
            yield f"{prefix}{key}"


@pytest.mark.parametrize("name", NAMES)
def test_no_code_knows_a_recipe(name):
    if name == "faceage":  # which is the project's name too
        return
    found = subprocess.run(
        ["grep", "-rl", "--include=*.py", name, "src"], check=False, capture_output=True, text=True
    )
    files = set(found.stdout.split()) - {"src/recipe.py"}  # its docstring has an example
    assert files == set()


def test_the_options_make_the_merged_configuration(tmp_path):
    """What DVC does with the options, by the library that it uses: Hydra's overrides."""
    from dvc.utils.hydra import apply_overrides

    for name in NAMES:
        defaults = yaml.safe_load((ROOT / "params.yaml").read_text())
        recipe = yaml.safe_load((ROOT / f"recipes/{name}.yaml").read_text())
        shutil.copy(ROOT / "params.yaml", tmp_path)
        apply_overrides(tmp_path / "params.yaml", recipes.options(name)[1::2])
        applied = yaml.safe_load((tmp_path / "params.yaml").read_text())
        assert check(applied) == check(recipes.merged(defaults, recipe)), name


def test_the_list_and_a_name_that_is_none():
    listed = subprocess.run(
        [sys.executable, "src/recipe.py"], capture_output=True, text=True, check=True
    ).stdout
    assert all(name in listed for name in NAMES)
    with pytest.raises(UserError, match="did you mean cnn-scratch"):
        recipes.options("cnn-scrach")


MEASURED = json.loads((ROOT / "benchmarks/recipes.json").read_text())


def test_every_recipe_is_measured():
    assert set(NAMES) == set(MEASURED)


@pytest.mark.parametrize("name", MEASURED)
def test_the_document_shows_what_was_measured(name):
    row = MEASURED[name]
    lines = (ROOT / "docs/recipes.md").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"| [`{name}`](../recipes/{name}.yaml)")]
    forms = {"mae": "{:.2f}", "rmse": "{:.2f}"}
    forms |= dict.fromkeys(("accuracy_4_groups", "accuracy_3_groups"), "{:.1%}")
    shown = {key: form.format(row[key]) for key, form in forms.items() if row[key] is not None}
    assert shown
    assert all(f" {value}" in line for value in shown.values()), shown
    stand_in, other = row["stands_in_for"], row["same_run_as"]
    assert (f" for `{stand_in}`" in line) == bool(stand_in)
    assert (f"the run of `{other}`" in line) == bool(other)


def test_the_page_shows_what_own_backbones_came_to():
    rows = json.loads((ROOT / "benchmarks/own_backbones.json").read_text())
    assert own_backbones.table(rows) in (ROOT / "benchmarks/recipes.md").read_text()
    assert all(row["n"] > 3000 and row["mae"] > 0 for row in rows.values())
