"""Tracking against real stores: a SQLite database, two processes at once, a server."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import mlflow
import pytest
from conftest import ROOT

from faceage import tracking
from faceage.core.script import UserError


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """Each test has a repository root, and so a database, of its own."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    # MLflow keeps what set_tracking_uri was last given in this variable.
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    mlflow.set_tracking_uri("")


def test_evaluate_goes_on_with_the_run_that_train_opened(store):
    with tracking.open_run(True, "abc") as first:
        first.log_params({"model": "x", "train": {"lr": 0.1}})
        first.log_metrics({"val_mae": 5.0}, step=1)
    with tracking.continue_run(True, "abc") as second:
        second.log_metrics({"test": {"mae": 4.0}})
    assert second.run_id == first.run_id
    run = mlflow.get_run(str(first.run_id))
    assert run.data.params == {"model": "x", "train.lr": "0.1"}
    assert run.data.metrics == {"val_mae": 5.0, "test.mae": 4.0}
    assert (store / "mlflow.db").exists()


def test_a_model_that_this_store_does_not_know_gets_a_run_of_its_own(store):
    with tracking.open_run(True, "abc") as first:
        pass
    with tracking.continue_run(True, "other") as second:
        pass
    assert second.run_id != first.run_id


def test_an_interrupted_run_is_gone_on_with_and_a_lost_one_replaced(store):
    with pytest.raises(KeyboardInterrupt), tracking.open_run(True, "abc") as first:
        raise KeyboardInterrupt
    with tracking.open_run(True, "abc", first.run_id) as again:
        pass
    assert again.run_id == first.run_id
    assert mlflow.get_run(str(first.run_id)).info.status == "FINISHED"
    with tracking.open_run(True, "abc", "0" * 32) as replaced:
        pass
    assert replaced.run_id != first.run_id


def test_off_writes_nothing(store):
    with tracking.open_run(False, "abc") as run:
        run.log_params({"model": "x"})
        run.log_metrics({"mae": 1.0})
        run.set_tags({"a": "b"})
        run.log_file(store)
    assert list(store.iterdir()) == []


def test_artifacts_lie_under_the_repository_and_not_where_the_run_was(store, monkeypatch):
    elsewhere = store / "temporary"
    elsewhere.mkdir()
    (elsewhere / "figure.png").write_bytes(b"figure")
    monkeypatch.chdir(elsewhere)
    with tracking.open_run(True, "abc") as run:
        run.log_file("figure.png", "reports")
    (kept,) = (store / "mlartifacts").rglob("figure.png")
    assert str(run.run_id) in str(kept)


def test_two_runs_at_once_share_a_fresh_database(store):
    code = (
        "from faceage import tracking\n"
        "with tracking.open_run(True, 'abc') as run: run.log_metrics({'mae': 1.0})"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    both = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    assert len(mlflow.search_runs(experiment_names=[tracking.EXPERIMENT])) == 2


def test_a_database_that_is_none_is_a_clear_error(store):
    (store / "mlflow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match="tracking: off"), tracking.open_run(True, "abc"):
        pass


@pytest.fixture
def server(store: Path):
    """A real MLflow server on loopback, its start-up kept small."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)),
            *("--backend-store-uri", f"sqlite:///{store}/server.db"),
            *("--artifacts-destination", str(store / "server_artifacts")),
        ],
        env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    uri = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=1).close()
            break
        except OSError:
            time.sleep(0.5)
    yield uri
    os.killpg(process.pid, 15)
    process.wait()


def test_a_server_gets_metrics_and_artifacts(store, server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    (store / "figure.png").write_bytes(b"figure")
    with tracking.open_run(True, "abc") as run:
        run.log_metrics({"mae": 1.5})
        run.log_file("figure.png", "reports")
    with tracking.continue_run(True, "abc") as again:
        assert again.run_id == run.run_id
    assert mlflow.get_run(str(run.run_id)).data.metrics == {"mae": 1.5}
    (artifact,) = mlflow.artifacts.list_artifacts(run_id=run.run_id, artifact_path="reports")
    assert artifact.path == "reports/figure.png"
    assert not (store / "mlflow.db").exists()
