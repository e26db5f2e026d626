"""Runs of processes that were killed: MLflow takes them for running until somebody ends them."""

import time
from contextlib import suppress

from mlflow import MlflowClient
from mlflow.entities import Run, RunStatus
from mlflow.exceptions import MlflowException

from faceage.core import processes

TAG = "process"
# What is sampled every ten seconds while a network trains, wherever that is.
SIGN_OF_LIFE = "system/cpu_utilization_percentage"
SILENCE = 24 * 3600  # seconds without one, after which a run of another machine is given up


def end(experiment: str) -> list[str]:
    """End the runs whose process is no more as killed; return their names.

    What another machine does cannot be seen from here: its runs count as killed when they have
    given no sign of life for a day. Each can be gone on with.
    """
    client = MlflowClient()
    known = client.get_experiment_by_name(experiment)
    running = client.search_runs(
        [known.experiment_id] if known else [], "attributes.status = 'RUNNING'"
    )
    ended = []
    for run in running:
        if _is_abandoned(client, run):
            with suppress(MlflowException):  # another user's, whom a server does not let us touch
                client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.KILLED))
                ended.append(run.info.run_name)
    return ended


def _is_abandoned(client: MlflowClient, run: Run) -> bool:
    name = run.data.tags.get(TAG)
    if name and processes.is_here(name):
        return processes.has_ended(name)
    last = run.info.start_time
    if SIGN_OF_LIFE in run.data.metrics:
        history = client.get_metric_history(run.info.run_id, SIGN_OF_LIFE)
        last = max(point.timestamp for point in history)
    return time.time() - last / 1000 > SILENCE
