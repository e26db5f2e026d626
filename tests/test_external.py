"""A model measured elsewhere: bands by hand, intervals by brute force, a source end to end."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small_model
import torch
from conftest import edit_params, photo

import evaluate_on
import ingest
from faceage.core import params, tables
from faceage.core.hashing import sha256
from faceage.core.script import UserError
from faceage.evaluation import age_bands, external
from faceage.evaluation.assessment import TABLES
from faceage.evaluation.conformal import Calibration

BOUNDARIES = [18, 41, 61]
HOW = (BOUNDARIES, 400, 0)


def faces(age, predicted, low=None, high=None) -> pd.DataFrame:
    count = len(predicted)
    nothing = np.full(count, np.nan)
    return pd.DataFrame(
        {
            "face": [f"{number}" for number in range(count)],
            "cluster": [f"{number // 2}" for number in range(count)],
            "age": nothing if age is None else np.asarray(age, dtype=float),
            "age_low": nothing if low is None else np.asarray(low, dtype=float),
            "age_high": nothing if high is None else np.asarray(high, dtype=float),
            "predicted": np.asarray(predicted, dtype=float),
        }
    )


def test_a_band_lasts_until_the_next_year():
    low, high = np.full(5, 3), np.full(5, 9)
    predicted = np.array([1.0, 3.0, 9.9, 10.0, 12.5])
    assert age_bands.distance(low, high, predicted).tolist() == [-2, 0, 0, 0, 2.5]


def test_metrics_of_bands_by_hand():
    low = np.array([0, 3, 3, 10, 10])
    high = np.array([2, 9, 9, 19, 19])
    errors = age_bands.errors(low, high, np.array([1.0, 5.0, 25.0, 2.0, 9.0]))
    assert errors["in_band"].tolist() == [1, 1, 0, 0, 0]
    assert errors["within_one_band"].tolist() == [1, 1, 0, 0, 1]
    assert errors["distance"].tolist() == [0, 0, 15, 8, 1]
    table = age_bands.by_band(errors).set_index("age_low")
    assert table.loc[3, ["n", "in_band", "distance", "bias"]].tolist() == [2, 0.5, 7.5, 7.5]
    assert table.loc[10, "bias"] == -4.5


def test_a_perfect_a_constant_and_a_biased_predictor():
    age = np.linspace(1, 80, 60).round()
    perfect = external.measure(faces(age, age), faces(age, age), None, *HOW)
    assert perfect["ages"]["mae"] == 0
    assert perfect["against_home"]["difference"] == 0
    biased = external.measure(faces(age, age + 4), faces(age, age + 1), None, *HOW)
    assert biased["ages"]["bias"] == pytest.approx(4)
    assert biased["against_home"]["difference"] == pytest.approx(3)
    assert biased["against_home"]["mae_standardised"] == pytest.approx(4)
    constant = external.measure(faces(age, np.full(60, 40.0)), None, None, *HOW)
    assert constant["ages"]["mae"] == pytest.approx(np.abs(age - 40).mean())
    assert "against_home" not in constant


def test_the_difference_has_the_interval_of_a_brute_force_bootstrap():
    random = np.random.default_rng(1)
    age = random.integers(1, 80, 80).astype(float)
    there, home = (faces(age, age + random.normal(0, sd, 80)) for sd in (8, 4))
    found = external.against_home(there, home, 4000, 0)
    draws = []
    for _ in range(2000):
        maes = []
        for table in (there, home):
            errors = (table["predicted"] - table["age"]).abs().to_numpy().reshape(-1, 2)
            maes.append(errors[random.integers(0, 40, 40)].mean())
        draws.append(maes[0] - maes[1])
    low, high = np.quantile(draws, [0.025, 0.975])
    assert found["difference_low"] == pytest.approx(low, abs=0.25)
    assert found["difference_high"] == pytest.approx(high, abs=0.25)


def test_bands_are_compared_with_the_faces_of_these_ages_at_home():
    low, high = [3, 3, 20, 20], [9, 9, 29, 29]
    there = faces(None, [5.0, 14.0, 25.0, 40.0], low, high)
    home = faces([3, 9, 15, 20, 29, 50], [5.0, 12.0, 40.0, 20.0, 30.0, 50.0])
    found = external.bands_against_home(there, home, 200, 0)
    # Of 15 and of 50 years is nobody there; 30.0 is where the band of 20 to 29 has just ended.
    assert found["n"] == 4
    assert [row["n"] for row in found["by_band"]] == [2, 2]
    assert [row["distance"] for row in found["by_band"]] == [1, 0]
    assert found["distance"] == 0.5
    assert found["distance_difference"] == (4 + 10) / 4 - 0.5
    low, high = found["distance_difference_low"], found["distance_difference_high"]
    assert low < found["distance_difference"] < high
    # Mean distances there are 2 and 5; with three faces of the first band at home and one of the
    # second they count 3 to 1.
    mixed = faces([3, 4, 9, 20], [5.0, 5.0, 5.0, 20.0])
    found = external.bands_against_home(there, mixed, 200, 0)
    assert found["distance_standardised"] == pytest.approx((3 * 2 + 5) / 4)
    assert external.bands_against_home(there, faces([60, 70], [60, 70]), 200, 0) == {}


def test_tables_are_those_of_evaluate_and_of_bands_the_subgroups(workspace):
    settings = params.load(params.EvaluateParams)
    target = small_model.REGRESSION
    age = np.array([10.0, 30.0, 50.0, np.nan])
    table = faces(age, [12.0, 30.0, 45.0, 70.0], [np.nan] * 3 + [50], [np.nan] * 3 + [59])
    table = table.assign(gender=[0, 1, 0, 1], race=None)
    logits = (torch.tensor(table["predicted"].to_numpy())[:, None] - target.mean) / target.sd
    assert target.age(logits).tolist() == pytest.approx(table["predicted"].tolist())
    calibration = Calibration.fit(np.arange(100.0), np.arange(100.0) + 5, 0.9)
    found = external.tables(table, logits, target, calibration, settings)
    at_home = {"decades", "bands", "challenge_ages", "robustness", "small_changes"}
    at_home |= {"both_sides", "failure_to_acquire"}
    assert set(found) == set(TABLES) - at_home | {"subgroups_of_bands"}
    by_gender = {row["subgroup"]: row for row in found["subgroups"] if row["grouping"] == "gender"}
    assert by_gender["male"]["mae"] == pytest.approx(3.5)
    assert by_gender["female"]["n"] == 1
    coverage = next(row for row in found["coverage"] if row["method"] == "by_age")
    assert coverage["coverage"] == 1
    of_bands = {row["subgroup"]: row for row in found["subgroups_of_bands"]}
    assert of_bands["female"] == {
        "grouping": "gender", "subgroup": "female", "n": 1, "in_band": 0, "distance": 10, "bias": 10
    }  # fmt: skip
    without = external.tables(table, logits, target, None, settings)
    assert set(found) - set(without) == {"coverage"}


def test_intervals_hold_ages_and_meet_bands():
    calibration = Calibration.fit(np.arange(100.0), np.arange(100.0) + 5, 0.9)  # half width 5
    exact = external.coverage(faces([10, 30], [15, 36]), calibration)
    assert exact["coverage"] == 0.5
    banded = external.coverage(faces(None, [15, 15, 15], [20, 21, 0], [29, 29, 9]), calibration)
    assert banded["coverage"] == pytest.approx(1 / 3)


def test_recalibration_takes_a_bias_off():
    random = np.random.default_rng(0)
    age = random.integers(20, 70, 400).astype(float)
    there = faces(age, age + 6 + random.normal(0, 2, 400))
    home = Calibration.fit(age, age + random.normal(0, 2, 400), 0.9)
    found = external.recalibrated(there, home, 0.9, 200, *HOW)
    assert found["bias"] == pytest.approx(6, abs=0.5)
    assert found["before"]["ages"]["mae"] == pytest.approx(6, abs=0.5)
    assert found["after"]["ages"]["mae"] < 2
    assert found["before"]["intervals"]["coverage"] < 0.3
    assert found["after"]["intervals"]["coverage"] == pytest.approx(0.9, abs=0.07)
    with pytest.raises(ValueError, match="take at least 20 of the 400 faces"):
        external.recalibrated(there, home, 0.9, 400, *HOW)


@pytest.fixture
def model_and_faces(workspace, monkeypatch) -> Path:
    """Ten faces that a model was trained on; elsewhere twelve others and two of these."""
    home, there = workspace / "home", workspace / "there"
    home.mkdir()
    there.mkdir()
    for number in range(10):
        (home / f"{20 + number}_0_0_2017011617452512{number}.jpg").write_bytes(photo(number))
    edit_params({"data.source": "home", "evaluate.bootstrap": 100, "tracking": False})
    ingest.main()
    small_model.write()
    data = {"faces.parquet": sha256(tables.FACES)}
    small_model.rewrite(Path("models/model.json"), lambda about: about | {"data": data})
    lines = ["file,age_band,gender"]
    for number in range(14):
        (there / f"{number}.jpg").write_bytes(photo(100 + number if number < 12 else number - 12))
        lines.append(f"{number}.jpg,{('3-9', '20-29')[number % 2]},Male")
    (there / "labels.csv").write_text("\n".join(lines))
    return there


def call(monkeypatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate_on.py", *options])
    evaluate_on.main()


def test_a_source_of_bands_without_the_faces_of_training(model_and_faces, monkeypatch, capsys):
    edit_params(
        {
            "external": {
                "there": {"source": "there", "layout": "auto", "align": "never", "calibrate": None}
            }
        }
    )
    call(monkeypatch, "--name", "there")
    content = json.loads(Path("reports/external/there.json").read_text())
    assert content["shared"] == {"exact": 2, "near": 0}
    assert content["n"] == content["bands"]["n"] == 12
    assert [row["n"] for row in content["bands"]["by_band"]] == [6, 6]
    assert "ages" not in content
    assert "2 identical" in capsys.readouterr().out


def test_a_model_without_its_data_is_measured_all_the_same(model_and_faces, monkeypatch, capsys):
    tables.FACES.unlink()
    call(monkeypatch, "there", "--align", "never")
    shown = capsys.readouterr().out
    assert "14 faces measured" in shown
    assert "whose data are not here" in shown
    assert not Path("reports/external").exists()


def test_what_cannot_be_done_is_said(model_and_faces, monkeypatch):
    edit_params(
        {
            "external": {
                "there": {"source": "there", "layout": "auto", "align": "never", "calibrate": None}
            }
        }
    )
    with pytest.raises(UserError, match="did you mean there"):
        call(monkeypatch, "--name", "their")
    with pytest.raises(UserError, match="calibrate is 0, and it should be greater"):
        call(monkeypatch, "there", "--calibrate", "0")
    with pytest.raises(UserError, match="calibrate 50: take at least 20 of the 12 faces"):
        call(monkeypatch, "there", "--align", "never", "--calibrate", "50")
