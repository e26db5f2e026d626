"""Two at once: two `dvc repro`, a page of MLflow beside a training; test_killed.py has a reader."""

import sqlite3
import subprocess
import threading
from collections import Counter
from contextlib import closing

import mlflow
import reading
import tiny_pipeline
from mlflow_servers import mlflow_server
from test_pipeline import call

from faceage.tracking import mlflow_runs, runs

CLEAR = ("it is being blocked by", "Most likely another DVC process is running")
POINTS = 60  # epochs that are logged while the page is read


def test_two_dvc_repro_in_one_tree(tmp_path, monkeypatch):
    """One does the work; the other does, too, or says who is in its way."""
    made = tiny_pipeline.make(tmp_path / "repository")
    tiny_pipeline.work_in(made, monkeypatch)
    both = [
        subprocess.Popen(
            ["dvc", "repro"], cwd=made, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in both]
    assert 0 in {code for _, _, code in ended}, ended
    for _, said, code in ended:
        assert code == 0 or any(reason in said for reason in CLEAR), said
    assert float((made / "models/model.bin").read_text()) == tiny_pipeline.error(0.1)
    assert "up to date" in call("dvc", "repro", cwd=made).stdout
    assert tiny_pipeline.trained(made) == [""], "trained once"


def test_the_page_of_mlflow_is_open_while_a_training_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with runs.open_run(True, "abc"):
        pass  # the database is there
    store = f"sqlite:///{tmp_path}/mlflow.db"
    over = threading.Event()
    looks: Counter[str] = Counter()

    def look(uri: str) -> None:
        client = mlflow.MlflowClient(uri)
        while not over.is_set():
            known = client.get_experiment_by_name(mlflow_runs.EXPERIMENT)
            for run in client.search_runs([known.experiment_id] if known else []):
                client.get_metric_history(run.info.run_id, "val_mae")
            looks["read"] += 1

    with mlflow_server(store, tmp_path) as uri:
        page = threading.Thread(target=look, args=(uri,))
        page.start()
        try:
            with runs.open_run(True, "abc", system_metrics=True) as run:
                for epoch in range(1, POINTS + 1):
                    run.log_metrics({"val_mae": 1.0 / epoch}, step=epoch)
        finally:
            over.set()
            page.join()
    history = mlflow.MlflowClient(store).get_metric_history(str(run.run_id), "val_mae")
    assert [point.step for point in history] == list(range(1, POINTS + 1))
    assert looks["read"] > 1
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_reader_sees_what_is_half(tmp_path):
    """The reader of test_killed.py, on files that are written in place."""
    with reading.reader(tmp_path) as found:
        (tmp_path / "a.json").write_text('{"a": 1')
        while not found:
            pass
        (tmp_path / "b.csv").write_text("a,b\n1,2\n")
        while "whole" not in found:
            pass
    assert set(found) == {"half a.json", "whole"}
