"""Everything that the report shows, read in one place from what the other stages wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from faceage.core import contracts, formats, stored, tables
from faceage.core.script import UserError
from faceage.core.settings import Grouping
from faceage.core.shards import Shards
from faceage.core.utkface import GENDERS, RACES
from faceage.reporting.labels import NOT_GIVEN, age_range, class_names

REPORTS = Path("reports")
METRICS = REPORTS / "metrics.json"
MODEL = Path("models/model.json")


@dataclass(frozen=True)
class Results:
    """Contents of the JSON files and tables under `reports/`, `data/` and `models/`.

    tables: those of reports/tables/ by name, see `evaluation.assessment.TABLES`; external: what
    was measured on other sources, by name.
    """

    ingest: dict[str, Any]
    split: dict[str, Any]
    model: dict[str, Any]
    metrics: dict[str, Any]
    cost: dict[str, Any]
    calibration: dict[str, Any]
    external: dict[str, dict[str, Any]]
    history: pd.DataFrame
    predictions: pd.DataFrame
    tables: dict[str, pd.DataFrame]
    rejected: pd.DataFrame
    saliency: pd.DataFrame
    label_issues: pd.DataFrame
    splits: dict[str, pd.DataFrame]
    data_sha256: str

    @property
    def synthetic(self) -> bool:
        """Whether the faces were drawn by the stage `sample`."""
        return bool(self.metrics["synthetic"])

    @property
    def monitor(self) -> str:
        """What the best epoch was chosen by: `mae` or `accuracy`."""
        return str(self.model["training"]["train"]["monitor"])

    @property
    def has_ages(self) -> bool:
        """Whether the source gives ages; if not, it gives classes."""
        return "mae" in self.metrics["test"]

    @property
    def has_people(self) -> bool:
        """Whether any face has a gender or an ethnicity."""
        return bool((self.people[["gender", "race"]] != NOT_GIVEN).any(axis=None))

    @property
    def faces(self) -> str:
        """What the faces are called in titles."""
        return "synthetic faces" if self.synthetic else "faces"

    @property
    def has_label_issues(self) -> bool:
        """Whether labels could be held against predictions: classes, and a single face, cannot."""
        return bool(self.label_issues["issue_score"].notna().any())

    @property
    def test_faces(self) -> str:
        """What the faces of the split `test` are called in titles."""
        return "synthetic test faces" if self.synthetic else "test faces"

    @property
    def people(self) -> pd.DataFrame:
        """All faces of all splits, with the names of `gender` and `race` instead of their codes."""
        faces = pd.concat(self.splits.values(), ignore_index=True)
        return faces.assign(
            gender=_named(faces["gender"], GENDERS), race=_named(faces["race"], RACES)
        )

    def gender_and_ethnicity(self) -> pd.DataFrame:
        """Count all faces by ethnicity (rows) and gender (columns), by name."""
        counts = pd.crosstab(self.people["race"], self.people["gender"])
        rows = [name for name in (*RACES, NOT_GIVEN) if name in counts.index]
        columns = [name for name in (*GENDERS, NOT_GIVEN) if name in counts.columns]
        return counts.loc[rows, columns]

    def ages(self) -> dict[str, int]:
        """Youngest, oldest and commonest age of all faces, in years, and how many have that."""
        age = self.people["age"].astype(int)
        commonest = int(age.mode()[0])
        return {
            "youngest": int(age.min()),
            "oldest": int(age.max()),
            "commonest": commonest,
            "count": int((age == commonest).sum()),
        }

    def best_epochs(self) -> pd.DataFrame:
        """The epoch whose weights were kept, of each member: rows of the history."""
        kept = pd.Series(self.model["training"]["best_epochs"], name="epoch")
        return kept.to_frame().assign(member=kept.index + 1).merge(self.history)

    def confusions(self, groupings: Mapping[str, Grouping]) -> dict[str, pd.DataFrame]:
        """Count true (rows) against predicted classes (columns) of each grouping and of decades."""
        counts = {}
        for name, grouping in groupings.items():
            if name not in self.predictions:
                continue
            shown = class_names(grouping.names, grouping.boundaries)
            counted = self._confusion(name, grouping.names)
            counts[name] = counted.set_axis(shown, axis=0).set_axis(shown, axis=1)
        if not self.has_ages:
            return counts
        # Decades in between that have no face too.
        seen = [*self.predictions["decade"], *self.predictions["predicted_decade"]]
        starts = range(int(min(seen)[:3]), int(max(seen)[:3]) + 1, 10)
        decades = self._confusion("decade", [f"{start:03d}-{start + 9:03d}" for start in starts])
        return counts | {"decade": decades.rename(index=age_range, columns=age_range)}

    def _confusion(self, grouping: str, classes: Sequence[str]) -> pd.DataFrame:
        counts = pd.crosstab(self.predictions[grouping], self.predictions[f"predicted_{grouping}"])
        return counts.reindex(index=classes, columns=classes, fill_value=0)


def read() -> Results:
    """Read all inputs.

    Raises
    ------
    UserError
        If one of them is missing, damaged, or of a later format than this program knows.
    """
    try:
        found = Results(
            ingest=stored.read_json(REPORTS / "ingest.json"),
            split=stored.read_json(REPORTS / "split.json"),
            model=stored.read_json(MODEL),
            metrics=stored.read_json(METRICS),
            cost=stored.read_json(REPORTS / "cost.json"),
            calibration=stored.read_json(REPORTS / "conformal.json"),
            external={
                name: stored.read_json(tables.EXTERNAL / f"{name}.json")
                for name in tables.read_external_names()
            },
            history=stored.read_csv(REPORTS / "history.csv"),
            predictions=tables.read_predictions(),
            tables=tables.read_evaluation(),
            rejected=tables.read_rejected(),
            saliency=tables.read_saliency(),
            label_issues=tables.read_label_issues(),
            splits=tables.read_splits(),
            data_sha256=Shards(tables.FACES).digest,
        )
    except FileNotFoundError as error:
        missing = error.filename or error
        raise UserError(
            f"there is no {missing}, which the report shows: `dvc repro` makes it"
        ) from None
    formats.require_known(found.metrics, METRICS)
    kept, rejected = len(found.people), len(found.rejected)
    contracts.check_account(found.ingest["found"], kept, rejected, tables.REJECTED)
    return found


def _named(codes: pd.Series, names: Sequence[str]) -> pd.Series:
    return codes.map(dict(enumerate(names))).fillna(NOT_GIVEN)
