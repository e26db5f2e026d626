"""Sweeps: real DVC experiments of a tiny pipeline, proposed, stopped, gone on with and judged."""

import signal
import subprocess
import sys
import time

import mlflow
import optuna
import pandas as pd
import pytest
import tiny_pipeline
import yaml
from conftest import ROOT, edit_params
from optuna.trial import TrialState
from test_pipeline import call, commit

import sweep as script
from faceage.core.params import Params, load
from faceage.core.script import UserError
from faceage.experiments import queue, search_space, sweeps, trial_process
from faceage.tracking import mlflow_runs, runs

SPACE = {"recipe": None, "parameters": {"train.lr": [0.01, 0.9], "train.batch_size": [16, 32]}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The repository, which the tests of a sweep share."""
    path = tiny_pipeline.make(tmp_path_factory.mktemp("sweep") / "repository")
    (path / "sweeps/rates.yaml").write_text(yaml.safe_dump(SPACE))
    commit(path, "a search space")
    return path


@pytest.fixture
def repository(made, monkeypatch):
    tiny_pipeline.work_in(made, monkeypatch)
    monkeypatch.setattr(trial_process, "POLL", 0.1)
    monkeypatch.setattr(sweeps, "UNPRUNED_TRIALS", 1)
    return made


def study(repository) -> optuna.Study:
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{repository}/mlflow.db", skip_compatibility_check=True
    )
    return optuna.load_study(study_name="rates", storage=storage)


def sweep(monkeypatch, trials, *more):
    monkeypatch.setattr(
        "sys.argv", ["sweep.py", "sweeps/rates.yaml", "--trials", str(trials), *more]
    )
    script.main()


def test_a_sweep_that_is_killed_goes_on_and_trains_nothing_twice(repository, monkeypatch):
    """SIGKILL while a trial trains: DVC goes on alone, and the next start takes what it leaves."""
    command = [sys.executable, str(ROOT / "src/sweep.py"), "sweeps/rates.yaml", "--trials", "1"]
    monkeypatch.setenv("EPOCH_SECONDS", "0.4")
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 400
    while "rates-000" not in tiny_pipeline.trained(repository):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    (trial,) = study(repository).trials
    assert trial.state == TrialState.RUNNING
    monkeypatch.setenv("EPOCH_SECONDS", "0.1")
    sweep(monkeypatch, 1)
    (again,) = study(repository).trials
    assert (again.state, again.params) == (TrialState.COMPLETE, trial.params)
    assert tiny_pipeline.trained(repository) == ["rates-base", "rates-000"]


def test_it_stops_what_is_hopeless_and_judges_the_best(repository, monkeypatch, capsys):
    monkeypatch.setenv("EPOCH_SECONDS", "0.4")
    sweep(monkeypatch, 4)
    printed = capsys.readouterr().out
    trials = study(repository).trials
    good = [trial for trial in trials if trial.params["train.lr"] == "0.01"]
    bad = [trial for trial in trials if trial not in good]
    assert good
    assert bad
    assert all(trial.value == 4 for trial in good)
    stopped = [trial for trial in bad if trial.number > good[0].number]
    assert stopped, "the seed proposes a bad one after a good one"
    for trial in stopped:
        assert trial.state == TrialState.PRUNED
        assert len(trial.intermediate_values) < tiny_pipeline.EPOCHS
        assert f"rates-{trial.number:03}" not in queue.finished()
    best = f"rates-{good[0].number:03}"
    assert printed.endswith(f"dvc exp apply {best}\n")
    page = (repository / "sweeps/rates/index.html").read_text()
    assert f"dvc exp apply {best}" in page
    assert "4.0 years against 9.0" in page
    assert "Verdict: better." in page
    assert f"stopped early: {len(stopped)};" in page
    assert call("git", "status", "--porcelain", cwd=repository).stdout == ""
    before = len(tiny_pipeline.trained(repository))
    sweep(monkeypatch, 4)
    assert len(tiny_pipeline.trained(repository)) == before


def test_the_study_and_the_runs_share_a_database(repository):
    with runs.open_run(True, "abc") as run:
        run.log_metrics({"mae": 1.0})
    mlflow.set_tracking_uri(f"sqlite:///{repository}/mlflow.db")
    assert len(mlflow.search_runs(experiment_names=[mlflow_runs.EXPERIMENT])) == 1
    assert len(study(repository).trials) == 4


def test_another_space_or_commit_is_another_sweep(repository, monkeypatch):
    with pytest.raises(UserError, match="rates was begun with another given"):
        sweep(monkeypatch, 4, "-S", "seed=3")
    edit_params({"seed": 5}, repository / "params.yaml")
    with pytest.raises(UserError, match="files differ from the commit"):
        sweep(monkeypatch, 9)
    commit(repository, "another seed")
    with pytest.raises(UserError, match="rates was begun from another commit"):
        sweep(monkeypatch, 4)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"train.lr": {"low": 1, "high": 0.1}}, "low has to be lower than high"),
        ({"train.lr": {"low": 0.0, "high": 0.1, "log": True}}, "greater than 0"),
        ({"train.lr": {"low": 0.1}}, "Field required"),
        ({"train.lrs": [0.1]}, r"train.lrs=0.1 cannot be tried: .*Could not override|not a known"),
        ({"train.epochs": [0, 3]}, r"train.epochs=0 cannot be tried: .*train.epochs is 0"),
        ({"train.epochs": {"low": -1, "high": 3}}, "train.epochs=-1 cannot be tried"),
        ({}, "at least 1 item"),
    ],
)
def test_a_space_that_cannot_be_tried_is_refused_before_anything_runs(workspace, space, message):
    path = workspace / "space.yaml"
    path.write_text(yaml.safe_dump({"recipe": None, "parameters": space}))
    with pytest.raises(UserError, match=message):
        search_space.load(path, {})


def test_what_is_tried_cannot_be_given_and_a_file_that_is_none_is_named(workspace):
    (workspace / "space.yaml").write_text(yaml.safe_dump(SPACE))
    with pytest.raises(UserError, match=r"train\.lr is tried by"):
        search_space.load(workspace / "space.yaml", {"train.lr": "0.1"})
    with pytest.raises(UserError, match=r"no search space .*spaec.yaml; there are: .*space.yaml"):
        search_space.load(workspace / "spaec.yaml", {})


def test_proposals_are_what_hydra_reads(workspace):
    parameters = {
        "train.lr": {"low": 0.001, "high": 0.1, "log": True},
        "train.epochs": {"low": 2, "high": 9},
        "train.head.hidden": [[], [64, 32]],
    }
    (workspace / "space.yaml").write_text(
        yaml.safe_dump({"recipe": None, "parameters": parameters})
    )
    space = search_space.load(workspace / "space.yaml", {"seed": "2"})
    fixed = {"train.lr": 0.0123456, "train.epochs": 4, "train.head.hidden": "[64,32]"}
    values = space.suggest(optuna.trial.FixedTrial(fixed))
    assert values == {"train.lr": "0.01235", "train.epochs": "4", "train.head.hidden": "[64,32]"}
    params = sweeps.overrides.configured(space.options(values))
    assert (params.train.lr, params.train.epochs, params.train.head.hidden) == (
        0.01235,
        4,
        [64, 32],
    )


def test_the_example_is_valid(monkeypatch):
    monkeypatch.chdir(ROOT)
    for path in (ROOT / "sweeps").glob("*.yaml"):
        assert search_space.load(path, {}).parameters


def test_a_trial_is_worth_the_best_of_its_last_phase_over_members(workspace):
    rows = [
        (1, 1, 3.0, 0.9),
        (1, 2, 7.0, 0.2),
        (1, 2, 6.0, 0.4),
        (2, 2, 5.0, 0.6),
        (2, 2, 9.0, 0.5),
    ]
    history = pd.DataFrame(rows, columns=["member", "phase", "val_mae", "val_accuracy"])
    assert sweeps.value(history, load(Params)) == 5.5
    edit_params({"train.monitor": "accuracy"})
    assert sweeps.value(history, load(Params)) == pytest.approx(0.5)


def test_a_training_that_is_told_to_end_ends_like_one_that_is_interrupted(tmp_path):
    code = (
        "import time\nfrom faceage.core.script import run\n"
        "def main():\n    print('ready', flush=True)\n    time.sleep(60)\nrun(main)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (
        130,
        "\ninterrupted: run the same command again to go on\n",
    )
