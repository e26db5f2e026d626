"""Two clones and what lies between them: a git remote, a DVC remote, an MLflow server; all real.

docs/sharing.md has the same commands. Nothing is trained in the second clone.
"""

import json
import os
import shutil
from contextlib import ExitStack
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import tiny_pipeline
from conftest import ROOT, edit_params, photo
from dvc.cli import main as dvc_main
from mlflow_servers import mlflow_server, postgresql
from test_pipeline import call, commit
from test_registry import publish_model
from test_tracking import faces, inputs_of

from faceage.core import repository
from faceage.experiments import queue
from faceage.tracking import runs


def dvc(*arguments: str) -> None:
    """Run a command of DVC's in the working directory; in this process, for its start is slow."""
    assert dvc_main(list(arguments)) == 0, arguments


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A clone with results and an experiment, and the bare repository that it came from."""
    folder = tmp_path_factory.mktemp("sharing")
    with pytest.MonkeyPatch.context() as patch:
        made = tiny_pipeline.make(folder / "first")
        tiny_pipeline.work_in(made, patch)
        dvc("repro", "--quiet")
        commit(made, "results")
        dvc("exp", "run", "--quiet", "--temp", "-n", "faster", "-S", "train.lr=0.01")
    call("git", "clone", "--quiet", "--bare", str(made), str(folder / "team.git"), cwd=folder)
    call("git", "remote", "add", "origin", str(folder / "team.git"), cwd=made)
    return made


@pytest.fixture(params=["a folder", "an S3 server"])
def remote(request, tmp_path):
    """Options of `dvc remote` for a remote called shared."""
    if request.param == "a folder":
        yield {"url": str(tmp_path / "remote")}
        return
    from boto3 import client
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"access_key_id": "testing", "secret_access_key": "testing"}
    endpoint = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        own = {f"aws_{key}": value for key, value in keys.items()}
        client("s3", endpoint_url=endpoint, **own).create_bucket(Bucket="faces")
        yield {"url": "s3://faces/team", "endpointurl": endpoint} | keys
    server.stop()


def add_remote(options: dict[str, str]) -> None:
    dvc("remote", "add", "--quiet", "--force", "--local", "--default", "shared", options["url"])
    for key, value in options.items():
        dvc("remote", "modify", "--quiet", "--local", "shared", key, value)


def test_a_second_clone_has_the_same_results_without_running_a_stage(
    first, remote, tmp_path, monkeypatch
):
    tiny_pipeline.work_in(first, monkeypatch)
    add_remote(remote)
    dvc("push", "--quiet", "--run-cache")
    dvc("exp", "push", "--quiet", "origin", "faster")
    of_first = queue.finished()["faster"]
    model = (first / "models/model.bin").read_bytes()
    lock = (first / "dvc.lock").read_bytes()

    second = tmp_path / "second"
    call("git", "clone", "--quiet", str(first.parent / "team.git"), str(second), cwd=tmp_path)
    monkeypatch.chdir(second)
    add_remote(remote)
    dvc("pull", "--quiet", "--run-cache")
    dvc("repro", "--quiet")
    assert (second / "models/model.bin").read_bytes() == model
    assert (second / "dvc.lock").read_bytes() == lock
    dvc("exp", "pull", "--quiet", "origin", "faster")
    assert queue.finished()["faster"] == of_first
    dvc("exp", "apply", "--quiet", "faster")
    assert (second / "models/model.bin").read_bytes() != model
    dvc("repro", "--quiet")
    assert tiny_pipeline.trained(second) == []


def test_with_a_cache_in_common_what_the_other_ran_is_restored_by_its_parameters(
    first, tmp_path, monkeypatch
):
    """Which a remote cannot do: DVC pushes no results that git has."""
    tiny_pipeline.work_in(first, monkeypatch)
    second = tmp_path / "second"
    call("git", "clone", "--quiet", str(first.parent / "team.git"), str(second), cwd=tmp_path)
    monkeypatch.chdir(second)
    dvc("cache", "dir", "--quiet", "--local", str(first / ".dvc/cache"))
    dvc("exp", "run", "--quiet", "-n", "again", "-S", "train.lr=0.01")
    assert tiny_pipeline.trained(second) == []
    monkeypatch.chdir(first)
    of_first = repository.content_at(queue.finished()["faster"], Path("dvc.lock"))
    assert (second / "dvc.lock").read_text().strip() == of_first.strip()


@pytest.fixture(params=["sqlite", "PostgreSQL"])
def server(request, tmp_path):
    """An MLflow server over a database."""
    with ExitStack() as stack:
        database = f"sqlite:///{tmp_path}/server.db"
        if request.param == "PostgreSQL":
            database = stack.enter_context(postgresql(tmp_path))
        yield stack.enter_context(mlflow_server(database, tmp_path))


def test_two_clones_see_the_same_runs_and_one_serves_the_model_of_the_other(
    server, tmp_path, monkeypatch
):
    """Run, curve, data set and model that one logs, the other finds by the fingerprint."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    for clone in ("first", "second"):
        (tmp_path / clone).mkdir()
        for file in ("params.yaml", "dvc.yaml"):
            shutil.copy(ROOT / file, tmp_path / clone)
    monkeypatch.chdir(tmp_path / "first")
    monkeypatch.setenv("DVC_ROOT", os.getcwd())
    edit_params({"promote": True})
    with runs.open_run(True, "abc") as run:
        run.log_input("test", "testing", faces(), Path("data/faces.parquet"))
        run.log_metrics({"val_mae": 6.0}, step=1)
        run.log_metrics({"val_mae": 7.0}, step=2)
        run.log_metrics({"test": {"mae": 5.0}})
    published = publish_model(5, fingerprint="abc")
    assert published.startswith("registered as faceage version 1, the first champion")

    monkeypatch.chdir(tmp_path / "second")
    monkeypatch.setenv("DVC_ROOT", os.getcwd())
    with runs.continue_run(True, "abc") as seen:
        found = mlflow.get_run(str(seen.run_id))
    assert seen.run_id == run.run_id
    assert found.data.metrics["test.mae"] == 5.0
    assert [each.dataset.name for each in inputs_of(seen)] == ["test"]
    version = mlflow.MlflowClient().get_model_version_by_alias("faceage", "champion")
    model_id = str(version.source).removeprefix("models:/")
    measured = mlflow.get_logged_model(model_id).metrics or []
    assert {(each.key, each.value, each.dataset_name) for each in measured} == {
        ("test.mae", 5.0, "test"),
        ("val_mae", 6.0, None),  # of the epoch that the weights are from
    }
    model = mlflow.pyfunc.load_model("models:/faceage@champion")
    assert model.predict(pd.DataFrame({"image": [photo(0)]}))["age"][0] >= 0
    assert not (tmp_path / "second/mlflow.db").exists()


def test_the_model_is_an_artifact_with_versions(first, tmp_path, monkeypatch):
    """As the real dvc.yaml declares it, got from the team's repository by a tag of GTO's."""
    tiny_pipeline.work_in(first, monkeypatch)
    add_remote({"url": str(tmp_path / "remote")})
    dvc("push", "--quiet")
    call("git", "tag", "--annotate", "faceage@v1.0.0", "-m", "first", cwd=first)
    call("git", "push", "--quiet", "origin", "faceage@v1.0.0", cwd=first)
    where = ("--config", str(first / ".dvc/config.local"), "--remote", "shared")
    dvc(
        "artifacts",
        "get",
        "--quiet",
        *where,
        "-o",
        str(tmp_path / "got"),
        str(first.parent / "team.git"),
        "faceage",
    )
    assert (tmp_path / "got/model.bin").read_bytes() == (first / "models/model.bin").read_bytes()


def test_the_curve_is_there_while_the_training_goes_on(first):
    """What `dvc plots` and the VS Code extension read, after two of the epochs."""
    history = first / "reports/history.csv"
    whole = pd.read_csv(history)
    whole.head(2).to_csv(history, index=False)
    shown = json.loads(call("dvc", "plots", "show", "--json", cwd=first).stdout)["data"]
    whole.to_csv(history, index=False)
    assert set(shown) == {"reports/history.csv", "Loss by epoch"}
    for (plot,) in shown.values():
        points = plot["content"]["data"]["values"]
        assert {point["epoch"] for point in points} == {"1", "2"}
