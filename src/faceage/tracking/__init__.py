"""One run for each model: opened by train, continued by evaluate and report.

It is one of MLflow's, see `mlflow_runs`, or with `tracking: off` none: then MLflow, which takes a
second and 80 MB, is not loaded at all.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

# Before MLflow is loaded, which looks then.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# MLflow's client tries again for minutes, after each epoch; what it cannot log is kept anyway.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")


class Run:
    """Where a stage logs to; this one, of `tracking: off`, does nothing.

    run_id: MLflow's, of a run that is kept there.
    """

    run_id: str | None = None

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log nested parameters under dotted names."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int = 0) -> None:
        """Log nested numbers under dotted names.

        Where the store does not take them they are kept, and logged with the next ones.
        """

    def log_input(self, name: str, context: str, faces: pd.DataFrame, source: Path) -> None:
        """Name a split that the run uses, as `training`, `validation` or `testing`.

        See `datasets.of_split`.
        """

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the run."""

    def log_file(self, path: str | Path, folder: str | None = None) -> None:
        """Copy a file, or a folder's content, to the run's artifacts."""


@contextmanager
def open_run(
    enabled: bool, fingerprint: str, run_id: str | None = None, *, system_metrics: bool = False
) -> Iterator[Run]:
    """Start the run of a new model, or go on with `run_id`, that of an interrupted training.

    Runs that killed processes left open are ended before.

    Parameters
    ----------
    system_metrics : whether MLflow samples the load of the machine meanwhile

    Raises
    ------
    UserError
        If the tracking store cannot be reached.
    """
    if not enabled:
        yield Run()
        return
    from faceage.tracking import mlflow_runs  # noqa: PLC0415 (slow to load)

    with mlflow_runs.started(fingerprint, run_id, system_metrics=system_metrics) as run:
        yield run


@contextmanager
def continue_run(enabled: bool, fingerprint: str) -> Iterator[Run]:
    """Go on with the latest run of the model; start one if this store has none of it.

    That is so after `dvc pull`, or where another store was used for the training.
    """
    if not enabled:
        yield Run()
        return
    from faceage.tracking import mlflow_runs  # noqa: PLC0415 (slow to load)

    with mlflow_runs.started(fingerprint, mlflow_runs.latest_of(fingerprint)) as run:
        yield run
