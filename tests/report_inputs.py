"""What the other stages leave behind for the report, in small: for the tests of the report."""

import hashlib
import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT, Edit, architecture, edit_params
from PIL import Image, ImageDraw

import report
from faceage.core import params, tables
from faceage.core.outputs import write_csv, write_json
from faceage.data import splitting
from faceage.evaluation import (
    acquisition,
    assessment,
    conformal,
    external,
    repeatability,
    robustness,
)
from faceage.explanation import selection
from faceage.networks import targets
from faceage.reporting import results

REGRESSION = targets.Regression(mean=0.0, sd=1.0, loss="smooth_l1", beta=1.0)
CLASSES = targets.Classification("life_stage", [31, 51], ["YOUNG", "MIDDLE", "OLD"], None, 0.0)
DISTRIBUTION = targets.Dldl(-6, 122, 2.0)
SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
CORRUPTIONS = ("darkening", "blur", "occlusion")


def prepare(
    folder: Path, patch: pytest.MonkeyPatch, edits: Edit | None = None, **inputs: Any
) -> results.Results:
    """Make `folder` the working directory, write params.yaml and the inputs, read them back."""
    patch.chdir(folder)
    shutil.copy(ROOT / "params.yaml", folder)
    edit_params({"tracking": False, "evaluate.min_subgroup": 8} | (edits or {}))
    write(folder, **inputs)
    return results.read()


def make(folder: Path, patch: pytest.MonkeyPatch, **inputs: Any) -> str:
    """Prepare the inputs in `folder`, run the stage on them, return the page."""
    prepare(folder, patch, **inputs)
    report.main()
    return (folder / "reports/report.html").read_text()


def write(
    root: Path,
    *,
    faces: int = 240,
    test: int = 36,
    epochs: int = 5,
    oldest: int = 104,
    genders: Sequence[int | None] = (0, 1),
    synthetic: bool = True,
    saliency: bool = True,
    target: targets.Target = REGRESSION,
    phases: int = 1,
    members: int = 1,
    elsewhere: bool = False,
) -> None:
    """Write every input of the report under `root`, the working directory.

    The predictions are made up; all that follows from them is measured as `evaluate` does.
    """
    random = np.random.default_rng(0)
    rows = [_row(number, random, oldest, genders, synthetic) for number in range(faces)]
    if classes := isinstance(target, targets.Classification) and target.centres is None:
        for row in rows:
            row["age_class"] = target.names[min(row["age"] // 35, 2)]
            row["age"] = row["age_low"] = row["age_high"] = None
    tables.write_faces(rows)
    table = tables.read_faces()
    middle = (faces - test) * 7 // 8
    table["cluster"] = table["near_cluster"]
    table["split"] = ["test"] * test + ["train"] * middle + ["val"] * (faces - test - middle)
    tables.write_split(table)
    write_json(
        root / "reports/split.json", {"kept_whole": "burst", "dealt": "stratified"} | _split(table)
    )
    _write_ingest(root, faces, synthetic)
    _write_label_issues(table)
    _write_model(root, table, epochs, synthetic, target)
    predictions = _write_evaluation(root, tables.read_splits(), random, synthetic, target)
    _write_external(target if elsewhere and not classes else None, predictions, random)
    _write_saliency(predictions if saliency and not classes else None)
    epoch = np.arange(1, epochs + 1)
    history = {
        "member": 1,
        "phase": 1 + (epoch - 1) * phases // epochs,
        "epoch": epoch,
        "lr": 1e-3 / epoch,
        "train_loss": 0.9 / epoch + 0.1,
        "val_loss": 0.8 / epoch + 0.15 + 0.005 * epoch,
        "val_mae": None if classes else 18 / epoch**0.7 + 2 + 0.12 * epoch,
        "val_accuracy": 0.8 - 0.3 / epoch,
    }
    each = [pd.DataFrame(history).assign(member=member + 1) for member in range(members)]
    write_csv(root / "reports/history.csv", pd.concat(each))


def _row(
    number: int,
    random: np.random.Generator,
    oldest: int,
    genders: Sequence[int | None],
    synthetic: bool,
) -> Any:
    age = int(np.clip(random.gamma(2.6, 14), 0, oldest)) if number else min(30, oldest)
    gender, race = genders[number % len(genders)], int(random.integers(5))
    image = Image.new("RGB", (96, 96), tuple(int(c) for c in random.integers(40, 120, 3)))
    draw = ImageDraw.Draw(image)
    draw.ellipse((18, 8, 78, 88), fill=(226 - age, 180 - age // 2, 150))
    draw.ellipse((34, 36, 42, 44), fill="black")
    draw.ellipse((54, 36, 62, 44), fill="black")
    draw.arc((36, 50, 60, 72), 20, 160, fill="black", width=2)
    draw.point((0, 0), (number % 256, number // 256, 0))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    content = buffer.getvalue()
    face = hashlib.sha256(content).hexdigest()
    return {
        "face": face,
        "image": {"bytes": content, "path": f"{age}_{gender}_{race}_{number:017}.png"},
        "age": age,
        "age_low": age,
        "age_high": age,
        "age_class": None,
        "gender": gender,
        "race": race if number % 40 and gender is not None else None,
        **dict.fromkeys(("exact_cluster", "near_cluster", "burst_cluster"), face),
        "weight": 1.0,
        "fixed_split": None,
        "width": 96,
        "height": 96,
        "synthetic": synthetic,
    }


def _split(table: pd.DataFrame) -> dict[str, Any]:
    if table["age"].isna().any():
        return splitting.summary(table.assign(bin=table["age_class"], drawn=True), SHARES)
    splits = {}
    for name in tables.SPLITS:
        age = table.loc[table["split"] == name, "age"]
        described = {
            "mean": age.mean(), "sd": age.std(ddof=0), "median": float(age.median()),
            "min": int(age.min()), "max": int(age.max()),
        }  # fmt: skip
        share = len(age) / len(table)
        splits[name] = {"faces": len(age), "clusters": len(age), "share": share, "age": described}
    bins = pd.crosstab(table["age"] // 5 * 5, table["split"]).reindex(
        columns=list(tables.SPLITS), fill_value=0
    )
    named = [
        {"bin": f"{int(str(start)):03d}-{int(str(start)) + 4:03d}", **row.to_dict()}
        for start, row in bins.iterrows()
    ]
    deviation = {"bin": "000-004", "split": "val", "points": 0.4}
    return {"splits": splits, "bins": named, "largest_deviation": deviation}


def _write_ingest(root: Path, faces: int, synthetic: bool) -> None:
    reasons = {"unparseable name": 4, "age out of range": 3, "not an image": 5, "truncated": 4}
    rejected = [
        {"path": f"{reason.split()[0]}_{number}.jpg", "reason": reason, "detail": ""}
        for reason, count in reasons.items()
        for number in range(count)
    ]
    write_csv(root / tables.REJECTED, pd.DataFrame(rejected))
    content = {
        "source": "data/sample",
        "layout": "utkface",
        "sources": {},
        "bands": 0,
        "synthetic": synthetic,
        "found": faces + sum(reasons.values()),
        "kept": faces,
        "rejected": reasons,
        "missing": {"gender": 0, "race": 6},
        "near_duplicates": {"clusters": 24, "faces": 48},
        "bursts": {"clusters": 60, "faces": 150},
        "conflicts": {
            "policy": "drop",
            "exact": {"clusters": 2, "files": 4},
            "near": {"clusters": 1, "files": 2},
        },
    }
    write_json(root / "reports/ingest.json", content)


def _write_label_issues(table: pd.DataFrame) -> None:
    found = table[["face", "path", "age"]].copy()
    found["outlier_score"] = np.linspace(0.5, 2.5, len(found))
    predicted = found["age"].astype(float).add(10)
    found["predicted"], found["usual_error"] = predicted, 5.0
    found["issue_score"] = (predicted - found["age"]) / 5 + found["outlier_score"]
    tables.write_label_issues(found.sort_values("issue_score", ascending=False))


def _write_model(
    root: Path, table: pd.DataFrame, epochs: int, synthetic: bool, target: targets.Target
) -> None:
    settings = params.load(params.TrainParams).model_dump()
    settings["train"]["monitor"] = "mae" if table["age"].notna().all() else "accuracy"
    content = {
        "architecture": architecture(target.outputs, model="resnet10t", img_size=64).as_dict(),
        "target": targets.as_dict(target),
        "training": settings
        | {
            "weights": "none", "faces": int((table["split"] == "train").sum()),
            "best_epochs": [epochs], "val_mae": [5.0],
        },
        "synthetic": synthetic,
        "fingerprint": "4f0c0ffee",
        "versions": {"torch": "2.9.0", "timm": "1.0.20"},
    }  # fmt: skip
    write_json(root / "models/model.json", content)


def _write_evaluation(
    root: Path,
    splits: dict[str, pd.DataFrame],
    random: np.random.Generator,
    synthetic: bool,
    target: targets.Target,
) -> pd.DataFrame:
    settings = params.load(params.EvaluateParams)
    few = settings.evaluate.model_copy(update={"bootstrap": 100})
    settings = settings.model_copy(update={"evaluate": few})
    test = splits["test"]
    if test["age_class"].notna().any():
        logits = {"test": torch.tensor(random.normal(size=(len(test), target.outputs)))}
        evaluation = assessment.Evaluation(settings, splits, target, logits)
        intervals = {}
    else:
        ages = {name: splits[name]["age"].to_numpy(dtype=float) for name in ("val", "test")}
        logits = {name: _logits(target, _predicted(age, random)) for name, age in ages.items()}
        age = ages["test"]
        others = {"median": np.full(len(age), 35.0), "ridge": age + random.normal(0, 13, len(age))}
        evaluation = assessment.Evaluation(
            settings, splits, target, logits, others, _corrupted(age), _changed(age), _acquired(age)
        )
        intervals = evaluation.calibration.as_dict()
    measured = assessment.all_tables(evaluation)
    headline = assessment.headline(evaluation, measured)
    predictions = assessment.predictions(evaluation)
    tables.write_predictions(predictions)
    tables.write_evaluation(measured)
    write_json(root / "reports/metrics.json", {"synthetic": synthetic} | headline)
    write_json(root / "reports/conformal.json", intervals)
    cost = {
        "parameters": 4_923_001, "multiply_adds": 89_530_880, "bytes": 19_724_852,
        "device": "A processor", "cpu": "AVX2", "threads": 2, "latency_ms": 8.9,
        "throughput": 360.0, "img_size": 64,
    }  # fmt: skip
    write_json(root / "reports/cost.json", cost)
    return predictions


def _write_external(
    target: targets.Target | None, home: pd.DataFrame, random: np.random.Generator
) -> None:
    """Two sources, one of ages and one of bands, whose faces look older than those at home."""
    tables.write_external_names(["family", "streets"] if target else [])
    if not target:
        return
    settings = params.load(params.EvaluateParams)
    how = settings.groupings["age_group"].boundaries, 100, 0
    at_home = home["age"].to_numpy(dtype=float), home["predicted"].to_numpy(dtype=float), 0.9
    calibration = conformal.Calibration.fit(*at_home)
    age = random.integers(0, 80, 120).astype(float)
    for name, banded in {"family": False, "streets": True}.items():
        logits = _logits(target, _predicted(age, random) + 4)
        table = pd.DataFrame({"age": age, "gender": np.arange(120) % 2, "race": None})
        table = table.assign(cluster=table.index.astype(str), age_low=np.nan, age_high=np.nan)
        if banded:
            table = table.assign(age=np.nan, age_low=age // 20 * 20, age_high=age // 20 * 20 + 19)
        table["predicted"] = target.age(logits).numpy().astype(float)
        content = {
            "source": f"{name}.zip", "layout": "csv", "found": 130,
            "rejected": {"not an image": 3, "no face found": 4},
            "shared": None if banded else {"exact": 2, "near": 1},
        }  # fmt: skip
        content |= external.measure(table, home, calibration, *how)
        content["recalibrated"] = external.recalibrated(table, calibration, 0.9, 40, *how)
        content["tables"] = external.tables(table, logits, target, calibration, settings)
        write_json(tables.EXTERNAL / f"{name}.json", content)


def _logits(target: targets.Target, ages: np.ndarray) -> torch.Tensor:
    """Logits that stand for these ages."""
    wanted = torch.tensor(ages, dtype=torch.float32)
    if isinstance(target, targets.Distribution):
        years = torch.arange(target.first, target.last + 1)
        return -0.5 * ((years - wanted[:, None]) / 6) ** 2
    return wanted[:, None]


def _predicted(age: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.maximum(0, 0.85 * age + 5 + random.normal(0, 2 + 0.08 * age))


def _corrupted(age: np.ndarray) -> robustness.Corrupted:
    """Predictions that are off by more, the later the corruption and the greater its strength."""
    predicted = {robustness.CLEAN: age + 0.2}
    for harm, name in enumerate(CORRUPTIONS):
        predicted |= {(name, strength): age + strength * harm for strength in (1, 2, 3)}
    return robustness.Corrupted(age, predicted)


def _changed(age: np.ndarray) -> repeatability.Changed:
    """Every second face; the later the change, the more it adds."""
    rows = np.arange(0, len(age), 2)
    predicted = {name: age[rows] + more for more, name in enumerate(repeatability.CHANGES)}
    return repeatability.Changed(rows, predicted)


def _acquired(age: np.ndarray) -> acquisition.Acquired:
    """All faces were looked for, and all but the first of more than one are found."""
    rows = np.arange(len(age))
    return acquisition.Acquired(rows, (rows > 0) | (len(age) == 1))


def _write_saliency(predictions: pd.DataFrame | None) -> None:
    """A spot that wanders, on six of the worst and six typical faces."""
    if predictions is None:
        tables.write_saliency([])
        return
    shown = selection.worst_and_typical(predictions, 6)
    rows: list[dict[str, object]] = [
        {"face": face, "kind": kind, "attribution": _spot(number % 6)}
        for number, (face, kind) in enumerate(zip(shown["face"], shown["kind"], strict=True))
    ]
    tables.write_saliency(rows)


def _spot(number: int) -> bytes:
    image = Image.new("L", (48, 48))
    ImageDraw.Draw(image).ellipse((6 * number, 12, 6 * number + 12, 24), fill=255)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
