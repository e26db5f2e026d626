"""Measure a finished model on faces from elsewhere, beside its own test set.

    python src/evaluate_on.py SOURCE [--layout agedb] [--model FOLDER] [--calibrate 200]
    python src/evaluate_on.py --name NAME    an entry of `external` in params.yaml: stage external

Reads  the source, whose labels may be ages or bands of ages; models/; reports/predictions.csv and
       data/faces.parquet, where they are of this model
Writes reports/external/NAME.json with --name; prints the same in words
"""

import argparse
from pathlib import Path

from faceage.core.command_line import MODEL_HELP


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", nargs="?", help="folder or archive of labelled faces")
    parser.add_argument("--name", help="an entry of `external` in params.yaml, instead of a source")
    parser.add_argument("--layout", default="auto", help="where the labels are: see docs/data.md")
    parser.add_argument("--align", choices=("never", "auto", "always"), default="auto")
    parser.add_argument("--model", type=Path, help=MODEL_HELP)
    parser.add_argument(
        "--calibrate",
        type=int,
        metavar="N",
        help="learn bias and intervals anew from N of the faces, measure on the others",
    )
    parser.add_argument(
        "--ray",
        action="store_true",
        help="on the Ray cluster that RAY_ADDRESS names, or on one of this machine",
    )
    asked = parser.parse_args()
    if bool(asked.source) == bool(asked.name):
        parser.error("give a source, or --name and an entry of `external` in params.yaml")
    if asked.name and asked.calibrate:
        parser.error(f"external.{asked.name}.calibrate in params.yaml says from how many faces")
    return asked


if __name__ == "__main__":
    arguments()  # --help and mistakes are answered before the imports below, which take seconds

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError
from torch import Tensor

from faceage.core import cluster, hash_arrays, tables
from faceage.core.faults import closest, in_words
from faceage.core.outputs import write_json
from faceage.core.params import ExternalParams, load
from faceage.core.script import UserError, run
from faceage.core.settings import Data, External
from faceage.core.shards import Shards
from faceage.data import ingestion, origins, shared
from faceage.data.collection import collect
from faceage.data.readers import registry
from faceage.evaluation import external, external_text
from faceage.evaluation.conformal import Calibration
from faceage.evaluation.source_logits import logits_of
from faceage.networks import default_model, saved_model
from faceage.networks.targets import Target


def main() -> None:
    """Read the faces, leave out those of the training, predict, compare with home."""
    params = load(ExternalParams)
    asked = arguments()
    if asked.ray:
        cluster.name_one()
    entry = named(params, asked.name) if asked.name else on_the_command_line(asked)
    folder = saved_model.FOLDER if asked.name else asked.model or default_model.folder()
    about = saved_model.describe(folder)
    measured = saved_model.describe_evaluation(folder) or {}
    home = Home.of(about)

    data = params.data.model_copy(update=entry.model_dump(exclude={"calibrate"}))
    found = read(data, params, home, about["side"], folder)
    content: dict[str, Any] = {"source": entry.source} | found.counts
    intervals = measured.get("intervals")
    calibration = Calibration.from_dict(intervals) if intervals else None
    settings = params.evaluate
    boundaries = params.groupings["age_group"].boundaries
    how = boundaries, settings.bootstrap, params.seed
    content |= external.measure(found.predictions, home.predictions, calibration, *how)
    if entry.calibrate:
        try:
            content["recalibrated"] = external.recalibrated(
                found.predictions, calibration, settings.coverage, entry.calibrate, *how
            )
        except ValueError as error:
            raise UserError(f"calibrate {entry.calibrate}: {error}") from None
    content["tables"] = external.tables(
        found.predictions, found.logits, found.target, calibration, params
    )
    print(external_text.in_words(content))
    if asked.name:
        write_json(tables.EXTERNAL / f"{asked.name}.json", content)


def named(params: ExternalParams, name: str) -> External:
    """The entry of `external` with this name."""
    if name not in params.external:
        close = closest(name, params.external)
        hint = f"did you mean {close}?" if close else f"it has {', '.join(params.external)}"
        raise UserError(f"external in params.yaml has no {name}; {hint}")
    return params.external[name]


def on_the_command_line(asked: argparse.Namespace) -> External:
    """The source that the options describe."""
    keys = ("source", "layout", "align", "calibrate")
    try:
        return External(**{key: getattr(asked, key) for key in keys})
    except ValidationError as error:
        raise UserError("; ".join(in_words(error, External))) from None


@dataclass(frozen=True)
class Home:
    """The test set that the model has been measured on, and whether its faces are at hand."""

    predictions: pd.DataFrame | None
    has_faces: bool

    @classmethod
    def of(cls, about: dict[str, Any]) -> "Home":
        """Where reports/ and data/ are of this model; a model may have come without its data."""
        name = tables.FACES.name
        here = tables.FACES.exists() and Shards(tables.FACES).digest == about["data"][name]
        known = tables.read_predictions() if here and tables.PREDICTIONS.is_file() else None
        if known is not None and "predicted" not in known:
            known = None
        return cls(known, here)


@dataclass(frozen=True)
class Read:
    """What the model says of the faces of a source, and how many there were of each kind."""

    predictions: pd.DataFrame
    logits: Tensor
    target: Target
    counts: dict[str, Any]


def read(data: Data, params: ExternalParams, home: Home, side: int, model: Path) -> Read:
    """Read the source, and let the model look at the faces that training has not seen."""
    with origins.opened(data, params.groupings) as origin:
        print(registry.in_words(origin.reader))
        found = collect([origin])
        counts: dict[str, Any] = {
            "layout": origin.reader.layout,
            "found": origin.reader.found,
            "rejected": ingestion.count_reasons(found.rejected),
            "shared": None,
        }
        known: set[str] = set()
        if home.has_faces:
            seen = shared.with_training(found.kept, data.near_duplicate)
            counts["shared"] = {"exact": len(seen.exact), "near": len(seen.near)}
            known = seen.exact | seen.near
        faces = hash_arrays.hexadecimal(found.kept.contents)
        kept = found.kept.only(np.array([face not in known for face in faces], bool))
        if not len(kept):
            raise UserError(f"{data.source}: every usable face of it is in the training data too")
        logits = logits_of(origin, kept, side, model)
    rows = pd.DataFrame(ingestion.described(found.kept, found.clusters))
    rows = rows[~rows["face"].isin(known)].reset_index(drop=True)
    rows = rows.astype({"gender": "Int8", "race": "Int8"})  # some of them may be missing
    table = rows[["face", "gender", "race", "age_low", "age_high"]].assign(
        cluster=rows["burst_cluster"],
        age=rows["age"].astype(float).where(rows["age_low"] == rows["age_high"]),
    )
    _, target = saved_model.load(model)
    predicted = target.age(logits).numpy().astype(float)
    if np.isnan(predicted).any():
        raise UserError(f"{model}: this model tells classes and no ages; none can be measured")
    return Read(table.assign(predicted=predicted), logits, target, counts)


if __name__ == "__main__":
    run(main)
