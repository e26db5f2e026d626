"""Every recipe, from the source to the report: a few steps of training on drawn faces."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from conftest import ROOT, edit_params
from layouts import lay_out

import evaluate
import explain
import ingest
import label_issues
import report
import split
import train
from faceage.core import tables
from faceage.data import sources
from faceage.experiments import recipes
from faceage.reporting import themes
from faceage.sample.sample_files import sample_files

NAMES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
FACES, IMG_SIZE = 72, 64
# What makes it small; the rest is the recipe's.
SMALL = {
    "weights": "none",  # a test reaches no model hub
    "tracking": False,
    "split.bin_years": 30,
    "train.img_size": IMG_SIZE,
    "train.batch_size": 20,
    "train.epochs": 1,
    "evaluate.bootstrap": 100,
    "evaluate.robustness_faces": 4,
}


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn faces in each layout."""
    folder = tmp_path_factory.mktemp("sources")
    faces = folder / "utkface"
    faces.mkdir()
    for index in range(FACES):
        for name, content in sample_files(FACES, IMG_SIZE, 0, index):
            (faces / name).write_bytes(content)
    with sources.open_source(faces) as source:
        lay_out(source, folder)
    return folder


def configure(name: str, laid_out: Path) -> None:
    """Write params.yaml as it is with the recipe, made small."""
    recipe = yaml.safe_load((ROOT / f"recipes/{name}.yaml").read_text())
    params = recipes.merged(yaml.safe_load(Path("params.yaml").read_text()), recipe)
    for phase in params["train"]["phases"]:
        phase["epochs"] = 1
        phase["img_size"] = phase["img_size"] and IMG_SIZE // 2
    Path("params.yaml").write_text(yaml.safe_dump(params))
    layout = params["data"]["layout"]
    source = "utkface" if layout == "auto" else f"{layout}.tar"
    edit_params(SMALL | {"data.source": str(laid_out / source)})


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_runs_from_source_to_report(name, workspace, laid_out, monkeypatch):
    configure(name, laid_out)
    for resolution in ("DPI", "PHOTOGRAPHS_DPI"):
        monkeypatch.setattr(themes, resolution, 20)  # nobody looks at these figures
    tables.write_external_names([])
    for stage in (ingest, split, label_issues, train, evaluate, explain, report):
        stage.main()
    metrics = json.loads((workspace / "reports/metrics.json").read_text())
    history = pd.read_csv(workspace / "reports/history.csv")
    phases = yaml.safe_load((ROOT / f"recipes/{name}.yaml").read_text())["train"].get("phases", [0])
    assert len(history) == len(phases)
    assert history["train_loss"].notna().all()
    predictions = pd.read_csv(workspace / "reports/predictions.csv")
    assert len(predictions) == metrics["test"]["n"]
    if predictions["age"].notna().all():
        check_ages(predictions, metrics)
    else:
        right = predictions["predicted_life_stage"] == predictions["life_stage"]
        assert metrics["classification"]["life_stage"]["accuracy"] == pytest.approx(right.mean())
    page = (workspace / "reports/report.html").read_text()
    assert "synthetic" in page


def check_ages(predictions: pd.DataFrame, metrics: dict[str, Any]) -> None:
    """A few steps teach a network no more than the scale of ages, but that.

    Predictions in another unit, of another face, or the same for every face would be far from it.
    """
    error = (predictions["predicted"] - predictions["age"]).abs().mean()
    assert metrics["test"]["mae"] == pytest.approx(error, rel=1e-4)
    assert error < 2 * metrics["baselines"]["median"]["mae"]
    assert predictions["predicted"].nunique() > len(predictions) / 2
