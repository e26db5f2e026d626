"""The run of a stage's model, in MLflow or, with `tracking: off`, nowhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from faceage.tracking.run import Run


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
