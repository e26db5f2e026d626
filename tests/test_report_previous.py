"""The run that the report compares with: the same before and after the report is committed."""

import json
import subprocess

import pytest
import yaml

from faceage.reporting import metric_rows, previous
from faceage.reporting.previous import METRICS


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    git("config", "user.name", "Test")
    git("config", "user.email", "test@example.org")
    return tmp_path


def git(*arguments):
    result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return result.stdout.strip()


def results(mae, lr=0.1, data="a", **more):
    """Write metrics.json and dvc.lock as a run would; return the metrics."""
    METRICS.parent.mkdir(exist_ok=True)
    metrics = {"test": {"mae": mae, "mae_low": mae - 1, **more}}
    METRICS.write_text(json.dumps(metrics))
    lock = {
        "train": {"params": {"params.yaml": {"train": {"lr": lr}}}},
        "evaluate": {"deps": [{"path": "data/split.csv", "md5": data}]},
    }
    (METRICS.parent.parent / "dvc.lock").write_text(yaml.safe_dump({"stages": lock}))
    return metrics


def commit(message="results"):
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "-m", message)
    return git("rev-parse", "HEAD")


def test_the_same_run_before_and_after_the_commit(repository):
    first = (results(6.0), commit())[1]
    metrics = results(5.0, lr=0.2)
    before = previous.find(metrics)
    assert before is not None
    assert before.commit == first
    assert before.test["mae"] == 6.0
    assert before.changed == [("train.lr", 0.1, 0.2)]
    assert before.same_faces
    commit()
    assert previous.find(metrics) == before
    commit("something else")
    assert previous.find(metrics) == before


def test_other_faces_are_told(repository):
    results(6.0)
    commit()
    before = previous.find(results(5.0, data="b"))
    assert before is not None
    assert not before.same_faces


def test_neither_new_metrics_nor_intervals_nor_rounding_make_another_run(repository):
    results(6.0)
    commit()
    metrics = results(6.00004, balanced_mae=7.0)
    metrics["test"]["mae_low"] = 5.5
    assert previous.find(metrics) is None


def test_a_damaged_or_removed_file_is_passed_over(repository):
    first = (results(6.0), commit())[1]
    METRICS.write_text("{")
    commit()
    METRICS.unlink()
    commit()
    before = previous.find(results(5.0))
    assert before is not None
    assert before.commit == first


def test_there_is_none_without_git(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    metrics = results(5.0)
    assert previous.find(metrics) is None
    monkeypatch.setenv("PATH", "")
    assert previous.find(metrics) is None


def test_differences_are_now_minus_then_shares_in_points():
    then = {"mae": 6.0, "cs5": 0.5, "r2": None}
    now = {key: None for key, *_ in metric_rows.METRICS} | {"mae": 5.0, "cs5": 0.6, "r2": 0.8}
    rows = metric_rows.with_previous(now, then)
    assert [row[1:] for row in rows] == [
        ("5.00", "6.00", "\N{MINUS SIGN}1.00"),
        ("60.0%", "50.0%", "+10.0 points"),
    ]
