"""Tracking against real stores: a SQLite database, two processes at once, a server."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from conftest import ROOT
from mlflow.entities import DatasetInput, Metric
from mlflow.exceptions import MlflowException
from mlflow_servers import free_port, mlflow_server

from faceage.core.script import UserError
from faceage.inference.model_registry import begin_model
from faceage.tracking import abandoned, datasets, mlflow_runs, runs
from faceage.tracking.pending import Pending
from faceage.tracking.run import Run


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """Each test has a repository root, and so a database, of its own."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_evaluate_goes_on_with_the_run_that_train_opened(store):
    with runs.open_run(True, "abc") as first:
        first.log_params({"model": "x", "train": {"lr": 0.1}})
        first.log_metrics({"val_mae": 5.0}, step=1)
    with runs.continue_run(True, "abc") as second:
        second.log_metrics({"test": {"mae": 4.0}})
    assert second.run_id == first.run_id
    run = mlflow.get_run(str(first.run_id))
    assert run.data.params == {"model": "x", "train.lr": "0.1"}
    assert run.data.metrics == {"val_mae": 5.0, "test.mae": 4.0}
    assert (store / "mlflow.db").exists()


def test_a_model_that_this_store_does_not_know_gets_a_run_of_its_own(store):
    with runs.open_run(True, "abc") as first:
        pass
    with runs.continue_run(True, "other") as second:
        pass
    assert second.run_id != first.run_id


def test_an_interrupted_run_is_gone_on_with_and_a_lost_one_replaced(store):
    with pytest.raises(KeyboardInterrupt), runs.open_run(True, "abc") as first:
        raise KeyboardInterrupt
    with runs.open_run(True, "abc", first.run_id) as again:
        pass
    assert again.run_id == first.run_id
    assert mlflow.get_run(str(first.run_id)).info.status == "FINISHED"
    with runs.open_run(True, "abc", "0" * 32) as replaced:
        pass
    assert replaced.run_id != first.run_id


def test_a_run_whose_process_was_killed_is_ended_by_the_next_and_others_are_left_alone(store):
    """SIGKILL between two epochs; a live process, another machine, and one silent for two days."""
    code = (
        "import sys\n"
        "from faceage.tracking import runs\n"
        "with runs.open_run(True, 'abc') as run:\n"
        "    print(run.run_id, flush=True)\n"
        "    sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    both = [
        subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    killed, alive = (process.stdout.readline().strip() for process in both if process.stdout)
    both[0].kill()
    both[0].wait()
    with runs.open_run(True, "abc") as mine:
        client = mlflow.MlflowClient()
        experiment = client.get_run(killed).info.experiment_id
        two_days_ago = int(1000 * (time.time() - 2 * 24 * 3600))
        elsewhere, silent = (
            client.create_run(experiment, start_time=begun, tags={abandoned.TAG: "other 1 2.0"})
            for begun in (None, two_days_ago)
        )
        named = {killed: "KILLED", alive: "RUNNING", mine.run_id: "RUNNING"}
        assert {each: status_of(each) for each in named} == named
        mlflow_runs.end_abandoned()
        assert status_of(mine.run_id) == status_of(elsewhere.info.run_id) == "RUNNING"
        assert status_of(silent.info.run_id) == "KILLED"
    both[1].communicate("")
    assert status_of(alive) == "FINISHED"
    with runs.open_run(True, "abc", killed) as again:
        assert status_of(again.run_id) == "RUNNING"
        assert mlflow_runs.end_abandoned() == []
    assert status_of(killed) == "FINISHED"


def test_a_run_that_a_server_does_not_let_us_end_is_in_nobody_s_way(store, monkeypatch):
    def refuse(*_):
        raise MlflowException("Permission denied")

    with runs.open_run(True, "abc") as first:
        client = mlflow.MlflowClient()
        experiment = client.get_run(str(first.run_id)).info.experiment_id
        silent = client.create_run(experiment, start_time=1, tags={abandoned.TAG: "other 1 2.0"})
    with monkeypatch.context() as patch:
        patch.setattr(abandoned.MlflowClient, "set_terminated", refuse)
        assert mlflow_runs.end_abandoned() == []
    with runs.open_run(True, "abc"):
        assert status_of(silent.info.run_id) == "KILLED"


def status_of(run_id: object) -> str:
    return str(mlflow.get_run(str(run_id)).info.status)


def test_a_model_whose_logging_was_killed_makes_room_for_the_next(store):
    with runs.open_run(True, "abc") as run:
        half, whole = begin_model(str(run.run_id)), begin_model(str(run.run_id))
    left = mlflow.search_logged_models(output_format="list")
    assert [model.model_id for model in left] == [whole] != [half]


def test_off_writes_nothing(store):
    with runs.open_run(False, "abc") as run:
        run.log_params({"model": "x"})
        run.log_metrics({"mae": 1.0})
        run.set_tags({"a": "b"})
        run.log_file(store)
    assert list(store.iterdir()) == []


def test_off_does_without_mlflow_which_takes_a_second_to_load():
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); import train, evaluate, report;"
        "sys.exit('mlflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_artifacts_lie_under_the_repository_and_not_where_the_run_was(store, monkeypatch):
    elsewhere = store / "temporary"
    elsewhere.mkdir()
    (elsewhere / "figure.png").write_bytes(b"figure")
    monkeypatch.chdir(elsewhere)
    with runs.open_run(True, "abc") as run:
        run.log_file("figure.png", "reports")
    (kept,) = (store / "mlartifacts").rglob("figure.png")
    assert str(run.run_id) in str(kept)


def test_two_runs_at_once_share_a_fresh_database(store):
    code = (
        "from faceage.tracking import runs\n"
        "with runs.open_run(True, 'abc') as run: run.log_metrics({'mae': 1.0})"
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
    assert len(mlflow.search_runs(experiment_names=[mlflow_runs.EXPERIMENT])) == 2


def test_a_database_that_is_none_is_a_clear_error(store):
    (store / "mlflow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match="tracking: off"), runs.open_run(True, "abc"):
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real MLflow server on loopback."""
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(f"sqlite:///{folder}/server.db", folder) as uri:
        yield uri


def test_a_server_gets_metrics_and_artifacts(store, server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    (store / "figure.png").write_bytes(b"figure")
    with runs.open_run(True, "abc") as run:
        run.log_metrics({"mae": 1.5})
        run.log_file("figure.png", "reports")
    with runs.continue_run(True, "abc") as again:
        assert again.run_id == run.run_id
    assert mlflow.get_run(str(run.run_id)).data.metrics == {"mae": 1.5}
    (artifact,) = mlflow.artifacts.list_artifacts(run_id=run.run_id, artifact_path="reports")
    assert artifact.path == "reports/figure.png"
    assert not (store / "mlflow.db").exists()


def faces(count: int = 5) -> pd.DataFrame:
    """Rows of a split, as tables.read_splits has them."""
    return pd.DataFrame(
        {
            "face": [f"{number:064x}" for number in range(count)],
            "age": [30.0, None, 4.0, 90.0, 51.0][:count],
            "age_low": [30, 20, 4, 90, 51][:count],
            "age_high": [30, 29, 4, 90, 51][:count],
            "gender": [0, 1, None, 1, 0][:count],
            "race": None,
        }
    )


def inputs_of(run: Run) -> list[DatasetInput]:
    """Data sets that a run names."""
    inputs = mlflow.get_run(str(run.run_id)).inputs
    return inputs.dataset_inputs if inputs else []


def history_of(run: Run, key: str) -> list[Metric]:
    """Points of a curve."""
    return list(mlflow.MlflowClient().get_metric_history(str(run.run_id), key))


def test_data_sets_are_inputs_and_errors_on_the_test_set_are_a_model_s(store):
    with runs.open_run(True, "abc") as run:
        run.log_input("train", "training", faces(4), Path("data/faces.parquet"))
        run.log_input("test", "testing", faces(), Path("data/faces.parquet"))
        run.log_metrics({"test": {"mae": 5.0}, "cost": {"flops": 3}})
        model_id = begin_model(str(run.run_id))
    dataset = next(each.dataset for each in inputs_of(run) if each.dataset.name == "test")
    assert {each.dataset.name: each.tags[0].value for each in inputs_of(run)} == {
        "train": "training",
        "test": "testing",
    }
    assert json.loads(dataset.source) == {"uri": f"{store}/data/faces.parquet"}
    assert json.loads(str(dataset.profile))["num_rows"] == 5
    assert "age" in str(dataset.schema)
    (measured,) = mlflow.get_logged_model(model_id).metrics or []
    assert (measured.key, measured.value) == ("test.mae", 5.0)
    assert (measured.dataset_name, measured.dataset_digest) == ("test", dataset.digest)
    assert len(history_of(run, "test.mae")) == 1


def test_what_mlflow_advises_about_a_data_set_is_not_shown(store, recwarn):
    with runs.open_run(True, "abc") as run:
        run.log_input("train", "training", faces(), Path("data/faces.parquet"))
    assert not [each for each in recwarn if issubclass(each.category, UserWarning)]


def test_the_digest_of_a_data_set_is_that_of_its_faces_and_labels():
    def digest(rows: pd.DataFrame) -> str:
        return str(datasets.of_split("test", rows, Path("faces.parquet")).digest)

    other = faces()
    other.loc[2, "age"] = 5
    assert digest(faces()) == digest(faces().copy())
    assert len({digest(faces()), digest(other), digest(faces(4))}) == 3


def test_the_load_of_the_machine_is_sampled_while_training(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "1")
    with runs.open_run(True, "abc", system_metrics=True) as run:
        deadline = time.monotonic() + 60
        while not (known := set(mlflow.get_run(str(run.run_id)).data.metrics)):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert "system/cpu_utilization_percentage" in known


def test_metrics_outlive_a_server_that_goes_away_and_are_logged_when_it_is_back(
    store, monkeypatch, capsys
):
    """SIGKILL between two epochs: the training goes on, the next stage hands over what is kept."""
    port = free_port()
    at = {"database": f"sqlite:///{store}/server.db", "folder": store, "port": port}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    with ExitStack() as first:
        first.enter_context(mlflow_server(**at))
        with runs.open_run(True, "abc") as run:
            run.log_metrics({"val_mae": 9.0}, step=1)
            first.close()
            run.log_metrics({"val_mae": 8.0}, step=2)
            run.log_metrics({"val_mae": 7.0}, step=3)
    assert "kept in mlflow.pending/" in capsys.readouterr().err
    with pytest.raises(UserError, match="does not answer"), runs.continue_run(True, "abc"):
        pass
    with mlflow_server(**at):
        with runs.continue_run(True, "abc") as again:
            again.log_metrics({"test.mae": 6.0})
        history = history_of(again, "val_mae")
        assert [(point.step, point.value) for point in history] == [(1, 9.0), (2, 8.0), (3, 7.0)]
        assert again.run_id == run.run_id
        assert mlflow.get_run(str(run.run_id)).info.status == "FINISHED"
    assert list((store / "mlflow.pending").iterdir()) == []


def test_a_database_that_goes_in_mid_epoch_loses_nothing(store, capsys):
    """Damaged between two epochs, put back later: what was measured meanwhile is logged then."""
    database = store / "mlflow.db"
    with runs.open_run(True, "abc") as run:
        run.log_metrics({"val_mae": 9.0}, step=1)
        database.rename(store / "away.db")
        database.write_bytes(b"not a database" * 100)
        run.log_metrics({"val_mae": 8.0}, step=2)
        assert "kept in mlflow.pending/" in capsys.readouterr().err
    (store / "away.db").rename(database)
    with runs.continue_run(True, "abc") as again:
        pass
    history = history_of(again, "val_mae")
    assert again.run_id == run.run_id
    assert [(point.step, point.value) for point in history] == [(1, 9.0), (2, 8.0)]
    assert mlflow.get_run(str(run.run_id)).info.status == "FINISHED"


def test_a_clock_that_is_set_back_hides_no_later_value(store, monkeypatch):
    with runs.open_run(True, "abc") as first:
        first.log_metrics({"test": {"mae": 5.0}})
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 24 * 3600)
    with runs.continue_run(True, "abc") as again:
        again.log_metrics({"test": {"mae": 6.0}})
    assert again.run_id == first.run_id
    assert mlflow.get_run(str(first.run_id)).data.metrics == {"test.mae": 6.0}


def test_metrics_that_a_killed_training_left_are_logged_where_it_goes_on(store):
    with pytest.raises(KeyboardInterrupt), runs.open_run(True, "abc") as first:
        Pending(str(first.run_id)).add({"val_mae": 9.0}, 1)
        raise KeyboardInterrupt
    assert mlflow.get_run(str(first.run_id)).info.status == "KILLED"
    with runs.open_run(True, "abc", first.run_id) as again:
        again.log_metrics({"val_mae": 8.0}, step=2)
    history = history_of(again, "val_mae")
    assert [(point.step, point.value) for point in history] == [(1, 9.0), (2, 8.0)]


class Refusing(BaseHTTPRequestHandler):
    """A server that is there, and lets nobody in."""

    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 401)
        self.end_headers()

    do_POST = do_GET  # noqa: N815 (http.server's name)

    def log_message(self, *arguments):
        pass


def test_a_refused_login_is_a_clear_error(store, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    try:
        with (
            pytest.raises(UserError, match=r"refuses to log .*401.*MLFLOW_TRACKING_USERNAME"),
            runs.open_run(True, "abc"),
        ):
            pass
    finally:
        server.shutdown()
        server.server_close()
