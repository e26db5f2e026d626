"""Metrics on their way to MLflow: kept on disk until it has them, so that no outage loses any."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric

from faceage.core import repository
from faceage.core.outputs import atomic_write

FOLDER = "mlflow.pending"
BATCH = 1000  # metrics that MLflow takes at once


class Pending:
    """Metrics of a run that MLflow has not confirmed, a line of JSON each."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.path: Path = repository.root() / FOLDER / f"{run_id}.jsonl"

    def add(self, metrics: Mapping[str, Any], step: int, after: int = 0) -> None:
        """Keep these numbers, measured now.

        Parameters
        ----------
        after : milliseconds of what was logged before, which a clock that was set back counts on
            from: of two values of a step MLflow shows the one of the later time
        """
        now = max(int(1000 * time.time()), after + 1)
        rows = (
            {"key": key, "value": float(value), "timestamp": now, "step": step}
            for key, value in metrics.items()
        )
        lines = [*self._lines(), *map(json.dumps, rows)]
        with atomic_write(self.path) as part:
            part.write_text("".join(f"{line}\n" for line in lines))

    def flush(self) -> None:
        """Hand over what is kept. A metric that is handed over twice counts once.

        Raises
        ------
        MlflowException
            If MLflow does not take it; everything is kept.
        """
        metrics = [Metric(**json.loads(line), run_id=self.run_id) for line in self._lines()]
        for start in range(0, len(metrics), BATCH):
            MlflowClient().log_batch(self.run_id, metrics=metrics[start : start + BATCH])
        self.path.unlink(missing_ok=True)

    def _lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []
