"""The script evaluate on test sets that lack something: it ends well and leaves every output."""

import hashlib
import json
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import architecture, edit_params, photo

import evaluate
from faceage.core import tables
from faceage.evaluation import assessment
from faceage.networks import age_network, saved_model, targets

REGRESSION = targets.Regression(40, 20, "l1", 1)
NAMES = ("YOUNG", "MIDDLE", "OLD")


def prepare(
    test_faces, gender=0, oldest=90, val_faces=12, classes=False, target=REGRESSION, banded=0
):
    """Write the inputs of evaluate: few faces, and a model that has learned nothing.

    The last `banded` of the test faces have the band of ten years around their age.
    """
    rows = []
    random = np.random.default_rng(0)
    for number in range(20 + val_faces + test_faces):
        content = photo(number)
        face = hashlib.sha256(content).hexdigest()
        age = None if classes else int(random.integers(0, oldest))
        wide = number >= 20 + val_faces + test_faces - banded
        rows.append(
            {
                "face": face,
                "image": {"bytes": content, "path": f"{number}.jpg"},
                "age_class": NAMES[number % 3] if classes else None,
                "age": age,
                "age_low": age // 10 * 10 if age and wide else age,
                "age_high": age // 10 * 10 + 9 if age and wide else age,
                "gender": gender,
                "race": None if number % 2 else 1,
                **dict.fromkeys(("exact_cluster", "near_cluster", "burst_cluster"), face),
                "width": 64,
                "height": 64,
                "synthetic": True,
                "weight": 1.0,
                "fixed_split": None,
            }
        )
    tables.write_faces(rows)
    parts = ["train"] * 20 + ["val"] * val_faces + ["test"] * test_faces
    faces = [row["face"] for row in rows]
    tables.write_split(pd.DataFrame({"face": faces, "cluster": faces, "split": parts}))
    torch.manual_seed(0)
    plain = architecture(outputs=target.outputs)
    weights = age_network.build(plain).state_dict()
    saved_model.save([weights], plain, target, {"synthetic": True, "fingerprint": "none"})
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
    written = {path.stem for path in (workspace / "reports/tables").iterdir()}
    assert written == set(assessment.TABLES)
    assert set(metrics["classification"]) == {"age_group", "life_stage", "decade"}
    assert metrics["robustness"]["n"] == metrics["test"]["n"] == 70
    predictions = pd.read_csv(workspace / "reports/predictions.csv")
    assert set(predictions["life_stage"]) == {"YOUNG", "MIDDLE", "OLD"}
    assert list(predictions["cluster"]) == list(predictions["face"])
    covered = predictions["age"].between(predictions["low_plain"], predictions["high_plain"])
    assert covered.mean() == pytest.approx(metrics["intervals"]["plain"]["coverage"], abs=1e-4)
    table = tables.read_evaluation()["classification"].set_index("grouping")
    for name in ("age_group", "life_stage", "decade"):
        right = predictions[name] == predictions[f"predicted_{name}"]
        assert table.loc[name, "accuracy"] == pytest.approx(right.mean(), abs=1e-4)


def test_a_distribution_is_checked_for_calibration(workspace):
    prepare(test_faces=30, target=targets.Dldl(0, 90, 2.0))
    metrics = headline(workspace)
    assert metrics["distribution"]["crps"] > 0
    levels = tables.read_evaluation()["distribution"]
    assert list(levels["nominal"]) == [0.5, 0.8, 0.9, 0.95]
    assert levels["coverage"].is_monotonic_increasing


def test_learned_classes_are_measured_as_they_are(workspace):
    prepare(
        test_faces=30,
        target=targets.Classification("life_stage", [31, 51], NAMES, [20.0, 40.0, 70.0], 0.0),
    )
    metrics = headline(workspace)
    predictions = pd.read_csv(workspace / "reports/predictions.csv")
    # A network that has learned nothing finds all classes about equally likely: a mean age between
    # them, but one most likely class.
    assert predictions["predicted"].between(20, 70).all()
    right = (predictions["life_stage"] == predictions["predicted_life_stage"]).mean()
    assert metrics["classification"]["life_stage"]["accuracy"] == pytest.approx(right, abs=1e-4)


def test_faces_with_classes_and_no_ages(workspace):
    target = targets.Classification("life_stage", [31, 51], NAMES, None, 0.0)
    prepare(test_faces=30, classes=True, target=target)
    metrics = headline(workspace)
    assert set(metrics["classification"]) == {"life_stage"}
    assert metrics["test"]["commonest"] == pytest.approx(1 / 3)
    assert 0 <= metrics["test"]["accuracy_low"] <= metrics["test"]["accuracy"] <= 1
    predictions = pd.read_csv(workspace / "reports/predictions.csv")
    assert predictions["age"].isna().all()
    assert set(predictions["life_stage"]) == set(NAMES)
    assert len(tables.read_evaluation()["robustness"]) == 0


def test_classes_get_the_names_of_the_grouping_that_was_learned(workspace):
    twin = {"boundaries": [31, 51], "names": ["early", "middle", "late"]}
    target = targets.Classification("life_stage", [31, 51], NAMES, None, 0.0)
    prepare(test_faces=30, classes=True, target=target)
    edit_params({"groupings.age_group": twin})
    assert set(headline(workspace)["classification"]) == {"life_stage"}
    assert set(pd.read_csv(tables.PREDICTIONS)["predicted_life_stage"]) <= set(NAMES)


def test_one_face_without_any_label(workspace):
    prepare(test_faces=1, gender=None, val_faces=1)
    metrics = headline(workspace)
    assert metrics["test"]["n"] == 1
    assert metrics["test"]["r2"] is None
    assert metrics["intervals"]["by_age"] == {"coverage": None, "mean_width": None}
    assert all(gap["worst"] is None for gap in metrics["subgroups"].values())
    groups = tables.read_evaluation()["subgroups"].set_index("grouping")
    assert groups.loc["gender", "subgroup"] == "not given"


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
