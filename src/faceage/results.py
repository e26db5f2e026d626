"""Everything that the report shows, read in one place from what the other stages wrote."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from faceage import tables
from faceage.labels import age_range, in_order
from faceage.stage import UserError

REPORTS = Path("reports")
MODEL = Path("models/model.json")


@dataclass(frozen=True)
class Results:
    """Contents of the JSON files and tables under `reports/`, `data/` and `models/`."""

    ingest: dict[str, Any]
    split: dict[str, Any]
    model: dict[str, Any]
    metrics: dict[str, Any]
    history: pd.DataFrame
    predictions: pd.DataFrame
    decades: pd.DataFrame
    rejected: pd.DataFrame
    parts: dict[str, pd.DataFrame]
    data_sha256: str

    @property
    def synthetic(self) -> bool:
        """Whether the faces were drawn by the stage `sample`."""
        return bool(self.metrics["synthetic"])

    @property
    def faces(self) -> str:
        """What the faces are called in titles."""
        return "synthetic faces" if self.synthetic else "faces"

    @property
    def test_faces(self) -> str:
        """What the faces of the part `test` are called in titles."""
        return "synthetic test faces" if self.synthetic else "test faces"

    def confusion_by_decade(self) -> pd.DataFrame:
        """Count true (rows) against predicted decades (columns), empty ones in between too."""
        true, predicted = self.predictions["decade"], self.predictions["predicted_decade"]
        first, last = min(*true, *predicted), max(*true, *predicted)
        starts = range(int(first[:3]), int(last[:3]) + 1, 10)
        return _confusion(true, predicted, [f"{start:03d}-{start + 9:03d}" for start in starts])

    def confusion_by_group(self) -> pd.DataFrame:
        """Count true (rows) against predicted age groups (columns)."""
        true, predicted = self.predictions["group"], self.predictions["predicted_group"]
        return _confusion(true, predicted, in_order({*true, *predicted}))


def read() -> Results:
    """Read all inputs.

    Raises
    ------
    UserError
        If one of them is missing or damaged.
    """
    try:
        return Results(
            ingest=_json(REPORTS / "ingest.json"),
            split=_json(REPORTS / "split.json"),
            model=_json(MODEL),
            metrics=_json(REPORTS / "metrics.json"),
            history=pd.read_csv(REPORTS / "history.csv"),
            predictions=_csv(REPORTS / "predictions.csv"),
            decades=pd.read_csv(REPORTS / "decades.csv"),
            rejected=_csv(tables.REJECTED),
            parts=tables.read_parts(),
            data_sha256=_sha256(tables.FACES),
        )
    except FileNotFoundError as error:
        raise UserError(
            f"there is no {error.filename}, which the report shows: `dvc repro` makes it"
        ) from None


def _confusion(true: pd.Series, predicted: pd.Series, classes: list[str]) -> pd.DataFrame:
    counts = pd.crosstab(true, predicted).reindex(index=classes, columns=classes, fill_value=0)
    return counts.rename(index=age_range, columns=age_range)


def _json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except ValueError:
        raise UserError(f"{path} is damaged: `dvc repro` makes it anew") from None
    return content


def _csv(path: Path) -> pd.DataFrame:
    """Read a table whose empty fields are empty text."""
    return pd.read_csv(path, keep_default_na=False)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
