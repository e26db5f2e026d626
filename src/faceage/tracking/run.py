"""What a stage logs to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd


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
