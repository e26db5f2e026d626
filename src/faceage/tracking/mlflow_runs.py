"""Runs in MLflow: where they are kept, how a stage comes to the one of its model.

The runs of all experiments, queued ones too, go to `mlflow.db` and `mlartifacts/` in the real
repository, where a bare `mlflow ui` finds them, unless `MLFLOW_TRACKING_URI` says otherwise.
A later stage finds the run of its model by the tag `fingerprint`, which models/model.json carries.
A store that fails while a stage is at work loses no metric: see `faceage.tracking.pending`.
"""

import logging
import os
import sys
import urllib.request
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import pandas as pd
import sqlalchemy.exc
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.store.db.db_types import DATABASE_ENGINES

from faceage.core import processes, repository
from faceage.core.dotted import flatten
from faceage.core.script import UserError
from faceage.tracking import abandoned, datasets
from faceage.tracking.pending import Pending
from faceage.tracking.run import Run

# What MLflow reports of its own doings would drown what the stage says.
logging.getLogger("mlflow").setLevel(logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)
# The traceback of what a database refuses, beside the sentence that this module makes of it.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

EXPERIMENT = "faceage"
FINGERPRINT = "fingerprint"
FAILURES = (MlflowException, sqlalchemy.exc.SQLAlchemyError)


class MlflowRun(Run):
    """A run in MLflow that a stage logs to."""

    def __init__(self, run_id: str, latest: int = 0) -> None:
        self.run_id: str = run_id
        self.latest = latest  # time of the metrics that it has, in milliseconds

    def log_params(self, params: Mapping[str, Any]) -> None:
        mlflow.log_params(dict(flatten(params)))

    def log_metrics(self, metrics: Mapping[str, Any], step: int = 0) -> None:
        Pending(self.run_id).add(dict(flatten(metrics)), step, self.latest)
        self.flush()

    def log_input(self, name: str, context: str, faces: pd.DataFrame, source: Path) -> None:
        with warnings.catch_warnings():
            # That a path may be read in two ways, both the same, and, of the schema, which is
            # inferred when it is logged, that integers cannot be missing.
            warnings.simplefilter("ignore", UserWarning)
            mlflow.log_input(datasets.of_split(name, faces, source), context)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        mlflow.set_tags(dict(tags))

    def log_file(self, path: str | Path, folder: str | None = None) -> None:
        if Path(path).is_dir():
            mlflow.log_artifacts(str(path), folder)
        else:
            mlflow.log_artifact(str(path), folder)

    def flush(self) -> None:
        """Log what was kept; say so if the store does not take it."""
        with _survived("metrics are kept in mlflow.pending/ until it does"):
            Pending(self.run_id).flush()


@contextmanager
def started(
    fingerprint: str, run_id: str | None = None, *, system_metrics: bool = False
) -> Iterator[MlflowRun]:
    """Start a run, or go on with `run_id` where there is one; end those that were abandoned."""
    _connect()
    if run_id and not _exists(run_id):
        run_id = None
    name = None if run_id else repository.run_name()  # a run that goes on keeps its own
    this = processes.this()
    with _reported():
        abandoned.end(EXPERIMENT)
        if run_id:  # before it is open again, so that nobody takes it for abandoned
            mlflow.MlflowClient().set_tag(run_id, abandoned.TAG, this)
        mlflow_run = mlflow.start_run(
            run_id,
            run_name=name,
            tags={abandoned.TAG: this},
            log_system_metrics=system_metrics,
        )
    status = "FAILED"
    try:
        with _reported():
            mlflow.set_tags({FINGERPRINT: fingerprint} | repository.revision_tags())
            logged = mlflow_run.data.to_proto().metrics
            latest = max((each.timestamp for each in logged), default=0)
            run = MlflowRun(mlflow_run.info.run_id, latest)
            run.flush()
            yield run
            run.flush()
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        with _survived("the run stays open there until a stage goes on with it, or another begins"):
            mlflow.end_run(status)


def latest_of(fingerprint: str) -> str | None:
    """Id of the latest run of the model; None if this store has none of it."""
    _connect()
    return _latest(f"tags.{FINGERPRINT} = '{fingerprint}'")


def minutes_of_training(name: str) -> float | None:
    """Minutes that the epochs of the latest run of that name took; None if there is no such run.

    There is none where tracking was off, and where DVC had the model in its run cache.
    """
    _connect()
    run_id = _latest(f"run_name = '{name}'")
    if not run_id:
        return None
    epochs = mlflow.MlflowClient().get_metric_history(run_id, "seconds")
    return sum(epoch.value for epoch in epochs) / 60


def end_abandoned() -> list[str]:
    """End the runs that killed processes left open, where there is a store; return their names."""
    if _uri() == _local() and not (repository.root() / "mlflow.db").exists():
        return []
    _connect()
    with _reported():
        return abandoned.end(EXPERIMENT)


def database() -> str:
    """URL of the SQL database that runs are kept in, with MLflow's tables in it.

    That is mlflow.db here where they go to a server, whose own database nobody else can reach.
    """
    uri = _uri()
    if urlsplit(uri).scheme.partition("+")[0] not in DATABASE_ENGINES:
        uri = _local()
    with FileLock(repository.root() / "mlflow.db.lock"), _reported():
        mlflow.MlflowClient(uri).search_experiments(max_results=1)
    return uri


def _uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or _local()


def _local() -> str:
    return f"sqlite:///{repository.root()}/mlflow.db"


def _latest(condition: str) -> str | None:
    """Id of the latest run that meets a condition in MLflow's grammar; None if there is none."""
    with _reported():
        runs = mlflow.search_runs(
            experiment_names=[EXPERIMENT],
            filter_string=condition,
            max_results=1,
            output_format="list",
        )
    return str(runs[0].info.run_id) if runs else None


def _connect() -> None:
    """Point MLflow at the store, creating database and experiment where they are missing."""
    uri = _uri()
    if uri.startswith("http"):
        _check_server(uri)
    mlflow.set_tracking_uri(uri)
    # Two workers on a fresh database would both create its tables, and one would fail.
    with FileLock(repository.root() / "mlflow.db.lock"), _reported():
        if mlflow.get_experiment_by_name(EXPERIMENT) is None:
            mlflow.create_experiment(EXPERIMENT, _artifact_location(uri))
        mlflow.set_experiment(EXPERIMENT)


def _artifact_location(uri: str) -> str | None:
    """Absolute, or the artifacts of a queued run would go with its temporary folder."""
    local = uri.startswith("sqlite:")
    return (repository.root() / "mlartifacts").as_uri() if local else None


def _check_server(uri: str) -> None:
    """Fail at once: MLflow's own client tries for minutes."""
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=5):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"the MLflow server at {uri} does not answer ({reason}): start it, correct"
            " MLFLOW_TRACKING_URI, or set `tracking: off` in params.yaml"
        ) from None


@contextmanager
def _survived(consequence: str) -> Iterator[None]:
    """Say what a store that fails means for somebody who need not stop because of it."""
    try:
        yield
    except FAILURES as error:
        print(
            f"MLflow at {mlflow.get_tracking_uri()} does not take what is logged ({_cause(error)}):"
            f" {consequence}",
            file=sys.stderr,
        )


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        raise UserError(
            f"MLflow at {mlflow.get_tracking_uri()} refuses to log ({_cause(error)}): mend it"
            " (who you are it learns from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD,"
            " or from MLFLOW_TRACKING_TOKEN), set MLFLOW_TRACKING_URI to another store, or set"
            " `tracking: off` in params.yaml"
        ) from None


def _cause(error: Exception) -> str:
    """The line that says it, without when SQLAlchemy came to notice and what it was about to do."""
    lines = str(error).splitlines()
    return next((line for line in lines if not line.startswith("(raised as a result")), lines[0])


def _exists(run_id: str) -> bool:
    try:
        return bool(mlflow.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException:
        return False
