"""The script evaluate on test parts that lack something: it ends well and leaves every output."""

import hashlib
import json
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import edit_params, photo

import evaluate
from faceage import networks, saved_model, tables, targets
from faceage.outputs import write_csv


def prepare(test_faces, gender=0, oldest=90, val_faces=12):
    """Write the inputs of evaluate: few faces, and a model that has learned nothing."""
    rows = []
    random = np.random.default_rng(0)
    for number in range(20 + val_faces + test_faces):
        content = photo(number)
        face = hashlib.sha256(content).hexdigest()
        rows.append(
            {
                "face": face,
                "image": {"bytes": content, "path": f"{number}.jpg"},
                "age": int(random.integers(0, oldest)),
                "gender": gender,
                "race": None if number % 2 else 1,
                "group": face,
                "width": 64,
                "height": 64,
                "synthetic": True,
            }
        )
    tables.write_faces(rows)
    parts = ["train"] * 20 + ["val"] * val_faces + ["test"] * test_faces
    write_csv(tables.SPLIT, pd.DataFrame({"face": [row["face"] for row in rows], "part": parts}))
    torch.manual_seed(0)
    architecture = networks.resolve("test_resnet", 32, 0.0, 1)
    weights = networks.build(architecture).state_dict()
    about = {"synthetic": True, "fingerprint": "none"}
    saved_model.save(weights, architecture, targets.Regression(40, 20, 1), about)
    edit_params({"tracking": False, "evaluate.bootstrap": 100})


def headline(workspace):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        evaluate.main()
    return json.loads((workspace / "reports/metrics.json").read_text(), parse_constant=pytest.fail)


def test_every_output_that_dvc_expects_is_written(workspace):
    prepare(test_faces=70)
    metrics = headline(workspace)
    stage = yaml.safe_load((workspace / "dvc.yaml").read_text())["stages"]["evaluate"]
    declared = {path for entry in stage["metrics"] + stage["plots"] for path in entry}
    assert {f"reports/{path.name}" for path in (workspace / "reports").iterdir()} == declared
    assert set(metrics["classification"]) == {"group", "stage", "decade"}
    assert metrics["robustness"]["n"] == metrics["test"]["n"] == 70
    predictions = pd.read_csv(workspace / "reports/predictions.csv")
    assert set(predictions["stage"]) == {"YOUNG", "MIDDLE", "OLD"}
    assert list(predictions["cluster"]) == list(predictions["face"])
    covered = predictions["age"].between(predictions["low_plain"], predictions["high_plain"])
    assert covered.mean() == pytest.approx(metrics["intervals"]["plain"]["coverage"], abs=1e-4)
    table = pd.read_csv(workspace / "reports/classification.csv").set_index("grouping")
    for name in ("group", "stage", "decade"):
        right = predictions[name] == predictions[f"predicted_{name}"]
        assert table.loc[name, "accuracy"] == pytest.approx(right.mean(), abs=1e-4)


def test_one_face_without_any_label(workspace):
    prepare(test_faces=1, gender=None, val_faces=1)
    metrics = headline(workspace)
    assert metrics["test"]["n"] == 1
    assert metrics["test"]["r2"] is None
    assert metrics["intervals"]["by_age"] == {"coverage": None, "mean_width": None}
    assert all(gap["worst"] is None for gap in metrics["subgroups"].values())
    groups = pd.read_csv(workspace / "reports/subgroups.csv").set_index("grouping")
    assert groups.loc["gender", "group"] == "not given"


def test_one_gender_only_and_nobody_over_sixty(workspace):
    prepare(test_faces=40, gender=1, oldest=60)
    metrics = headline(workspace)
    assert metrics["older"]["over_70"]["n"] == 0
    assert metrics["older"]["over_80"]["mae"] is None
    assert metrics["subgroups"]["gender"] == {
        "worst": None,
        "gap": None,
        "gap_age_standardised": None,
    }
