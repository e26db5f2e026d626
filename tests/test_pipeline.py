"""The whole pipeline in a real DVC repository: 200 faces, an experiment, the real MLflow store."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from conftest import ROOT, edit_params

from faceage.core.utkface import Labels
from faceage.sample.synthetic import draw_face

# Small enough for two minutes, large enough for every stage to do what it does.
SMALL = {
    "sample.faces": 200,
    "model": "test_resnet",
    "train.img_size": 32,
    "train.epochs": 2,
    "evaluate.bootstrap": 200,
}


def call(*command: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess:
    """Run a command with the environment's own programs first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    identity = {
        f"GIT_{who}_{what}": "test@example.org" if what == "EMAIL" else "Test"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    result = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | identity | {"PATH": path},
        check=False,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


def commit(repository: Path, message: str) -> None:
    call("git", "add", "--all", cwd=repository)
    call("git", "commit", "--quiet", "-m", message, cwd=repository)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project as a repository of its own, its pipeline run once and committed."""
    path = tmp_path_factory.mktemp("repository")
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, path)
    shutil.copytree(ROOT / "src", path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (path / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", path / ".dvc/config")
    shutil.copy(ROOT / ".dvc/.gitignore", path / ".dvc/.gitignore")
    edit_params(SMALL, path / "params.yaml")
    call("git", "init", "--quiet", "--initial-branch", "main", cwd=path)
    commit(path, "the project with a small sample")
    call("dvc", "repro", cwd=path)
    commit(path, "results")
    return path


@pytest.fixture
def runs(repository: Path):
    """Look up the runs that the repository's own MLflow store holds now."""

    def search() -> pd.DataFrame:
        mlflow.set_tracking_uri(f"sqlite:///{repository}/mlflow.db")
        return mlflow.search_runs(experiment_names=["faceage"])

    return search


def executed(result: subprocess.CompletedProcess) -> list[str]:
    return [
        line.split("'")[1]
        for line in result.stdout.splitlines()
        if line.startswith("Running stage")
    ]


def test_all_stages_leave_their_results(repository):
    metrics = json.loads((repository / "reports/metrics.json").read_text())
    assert metrics["synthetic"] is True
    assert 0 < metrics["test"]["mae_low"] <= metrics["test"]["mae"] <= metrics["test"]["mae_high"]
    assert set(metrics["baselines"]) == {"median", "ridge"}
    predictions = pd.read_csv(repository / "reports/predictions.csv")
    assert len(predictions) == metrics["test"]["n"]
    assert (predictions["predicted"] - predictions["age"]).abs().mean() == pytest.approx(
        metrics["test"]["mae"], abs=1e-3
    )
    assert len(pd.read_csv(repository / "reports/history.csv")) == 2
    assert "synthetic" in (repository / "reports/report.html").read_text().lower()
    assert (repository / "models/model.safetensors").exists()
    assert call("git", "status", "--porcelain", cwd=repository).stdout == ""


def test_nothing_runs_twice(repository):
    result = call("dvc", "repro", cwd=repository)
    assert executed(result) == []
    assert "up to date" in result.stdout + result.stderr


def test_summary_shows_model_and_baselines(repository):
    metrics = json.loads((repository / "reports/metrics.json").read_text())
    printed = call(sys.executable, "src/summary.py", cwd=repository).stdout
    for measured in (metrics["test"], *metrics["baselines"].values()):
        assert f"{measured['mae']:.2f}" in printed
    assert "reports/report.html" in printed
    assert "dvc exp run" in printed


def test_the_run_is_in_mlflow_with_everything(repository, runs):
    (run,) = runs().to_dict(orient="records")
    metrics = json.loads((repository / "reports/metrics.json").read_text())
    assert run["metrics.test.mae"] == pytest.approx(metrics["test"]["mae"], abs=1e-3)
    assert run["metrics.robustness.mean_rise"] == pytest.approx(
        metrics["robustness"]["mean_rise"], abs=1e-3
    )
    assert run["metrics.cost.parameters"] > 0
    assert run["params.model"] == "test_resnet"
    assert run["params.train.epochs"] == "2"
    assert run["status"] == "FINISHED"
    assert run["tags.mlflow.runName"] == "main"
    assert run["tags.dvc.data/faces.parquet"]
    history = mlflow.MlflowClient().get_metric_history(run["run_id"], "val_mae")
    assert [point.step for point in history] == [1, 2]
    artifacts = mlflow.artifacts.list_artifacts(run_id=run["run_id"], artifact_path="reports")
    assert "reports/report.html" in {artifact.path for artifact in artifacts}


def test_the_logged_model_takes_bytes_and_paths(repository, runs):
    run = runs().iloc[0]
    model = mlflow.pyfunc.load_model(f"runs:/{run['run_id']}/model")
    assert (repository / "data/published.txt").read_text() == "logged to MLflow\n"
    predictions = pd.read_csv(repository / "reports/predictions.csv").head(3)
    paths = [str(repository / "data/sample" / path) for path in predictions["path"]]
    by_path = model.predict(pd.DataFrame({"path": paths}))["age"]
    by_bytes = model.predict(pd.DataFrame({"image": [Path(path).read_bytes() for path in paths]}))
    assert list(by_path) == list(by_bytes["age"])
    assert list(by_path) == pytest.approx(list(predictions["predicted"]), abs=0.01)


def test_editing_the_report_runs_the_report_only(repository):
    figures = repository / "src/faceage/reporting/figures.py"
    figures.write_text(figures.read_text() + "\n# edited\n")
    assert executed(call("dvc", "repro", cwd=repository)) == ["report"]
    call("git", "checkout", "--quiet", ".", cwd=repository)
    assert executed(call("dvc", "repro", cwd=repository)) == []


def draw_elsewhere(folder: Path, count: int, first: int) -> None:
    """Drawn faces that are in no sample: from `first` on, each of another seed."""
    folder.mkdir()
    for number in range(first, first + count):
        labels = Labels(3 * number % 80, number % 2, 0)
        name = f"{labels.age}_{labels.gender}_0_201701161745251{number:04}.jpg"
        draw_face(labels, 128, random.Random(number)).save(folder / name)


def test_sources_elsewhere_are_measured_reported_and_cached_one_by_one(repository):
    """None, one, two, one that has changed: each time what is new is measured, and shown."""
    page = repository / "reports/report.html"
    assert 'id="elsewhere"' not in page.read_text()
    draw_elsewhere(repository / "elsewhere", 40, 1000)
    known = {"layout": "auto", "align": "never", "calibrate": 20}
    sources = {"drawn": known | {"source": "elsewhere"}}
    edit_params({"external": sources}, repository / "params.yaml")
    ran = executed(call("dvc", "repro", cwd=repository))
    assert set(ran) == {"check", "external_names", "external@drawn", "report"}
    assert 'id="elsewhere"' in page.read_text()
    found = json.loads((repository / "reports/external/drawn.json").read_text())
    assert found["n"] == 40
    assert found["against_home"]["difference"] == pytest.approx(
        found["ages"]["mae"] - found["against_home"]["mae_home"], abs=1e-3
    )
    assert found["recalibrated"]["after"]["n"] == 20
    assert "\n| drawn | 40 | " in (repository / "reports/model_card.md").read_text()

    draw_elsewhere(repository / "others", 30, 2000)
    sources["second"] = known | {"source": "others"}
    edit_params({"external": sources}, repository / "params.yaml")
    ran = executed(call("dvc", "repro", cwd=repository))
    assert set(ran) == {"check", "external_names", "external@second", "report"}
    assert "<h3>second</h3>" in page.read_text()

    (repository / "elsewhere/9_0_0_20170116174525000.jpg").write_text("no image")
    del sources["second"]
    edit_params({"external": sources}, repository / "params.yaml")
    ran = executed(call("dvc", "repro", cwd=repository))
    assert ran == ["external@drawn", "report"]  # the names are in the run cache
    assert "<h3>second</h3>" not in page.read_text()
    for folder in ("elsewhere", "others", "reports/external"):
        shutil.rmtree(repository / folder)
    call("git", "checkout", "--quiet", ".", cwd=repository)
    call("git", "clean", "-dfq", "reports", cwd=repository)  # the figure of this chapter
    assert executed(call("dvc", "repro", cwd=repository)) == []


def test_mistakes_are_caught_before_earlier_results_are_touched(repository):
    edit_params({"model": "resnet81"}, repository / "params.yaml")
    result = call("dvc", "repro", cwd=repository, check=False)
    call("git", "checkout", "--quiet", "params.yaml", cwd=repository)
    assert result.returncode != 0
    assert "resnet18" in result.stderr
    assert "Traceback" not in result.stderr
    assert (repository / "models/model.safetensors").exists()
    assert call("git", "status", "--porcelain", cwd=repository).stdout == ""


def test_an_experiment_with_another_model_is_tracked_under_its_name(repository, runs):
    before = set(runs()["run_id"])
    command = ("dvc", "exp", "run", "--temp", "-n", "small", "-S", "model=test_efficientnet")
    ran = executed(call(*command, cwd=repository))
    assert ran == ["check", "label_issues", "train", "evaluate", "explain", "report", "publish"]
    (run,) = [row for row in runs().to_dict(orient="records") if row["run_id"] not in before]
    assert run["tags.mlflow.runName"] == "small"
    assert run["params.model"] == "test_efficientnet"
    assert run["metrics.test.mae"] > 0
    artifacts = mlflow.artifacts.list_artifacts(run_id=run["run_id"])
    assert {artifact.path for artifact in artifacts} >= {"reports"}
    assert mlflow.pyfunc.load_model(f"runs:/{run['run_id']}/model")
    again = call(*command[:-4], *command[-2:], cwd=repository)
    assert executed(again) == ["report"], "the rest is in the run cache"
    assert len(runs()) == len(before) + 1
    compared = call("dvc", "metrics", "diff", "HEAD", "small", cwd=repository).stdout
    assert "test.mae" in compared
    assert (
        "test_efficientnet" in call("dvc", "params", "diff", "HEAD", "small", cwd=repository).stdout
    )
    compared = call(sys.executable, "src/compare.py", "HEAD", "small", cwd=repository).stdout
    assert compared.startswith("### `small` (")
    assert "clusters of the same picture or person" in compared
    assert "differ**" not in compared


def test_queued_experiments_run_two_at_a_time_and_are_tracked(repository, runs):
    before = set(runs()["run_id"])
    command = ("dvc", "exp", "run", "--queue", "-S", "model=test_resnet,test_efficientnet")
    call(*command, "-S", "train.epochs=1", cwd=repository)
    call("dvc", "queue", "start", "-j", "2", cwd=repository)
    for _ in range(240):
        status = call("dvc", "queue", "status", cwd=repository).stdout
        if "Queued" not in status and "Running" not in status:
            break
        time.sleep(2)
    call("dvc", "queue", "stop", cwd=repository)
    assert status.count("Success") == 2, status
    found = runs()
    new = found[~found["run_id"].isin(before)]
    assert set(new["params.model"]) == {"test_resnet", "test_efficientnet"}
    assert new["metrics.test.mae"].notna().all()
    for name in new["tags.mlflow.runName"]:
        assert name in status
    for run_id in new["run_id"]:
        # The model outlives the temporary folder that the run happened in.
        assert mlflow.pyfunc.load_model(f"runs:/{run_id}/model")


def test_a_killed_training_goes_on_where_it_stopped(repository):
    """SIGKILL after the first epoch; the weights are those of a training that was not killed."""
    edit_params({"train.epochs": 3, "tracking": False}, repository / "params.yaml")
    script = (sys.executable, "src/train.py")
    call(*script, cwd=repository)
    weights = (repository / "models/model.safetensors").read_bytes()

    process = subprocess.Popen(
        script, cwd=repository, stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout
    for line in process.stdout:
        if line.startswith("epoch   1/3"):
            process.kill()
            break
    process.wait()
    assert list(pd.read_csv(repository / "reports/history.csv")["epoch"]) == [1], "to be watched"
    resumed = call(*script, cwd=repository)
    assert "going on after epoch 1" in resumed.stdout
    assert "epoch   1/3" not in resumed.stdout
    assert (repository / "models/model.safetensors").read_bytes() == weights
    call("git", "checkout", "--quiet", "params.yaml", "reports", cwd=repository)
    call("dvc", "checkout", "--force", cwd=repository)
