"""What the other stages leave behind for the report, in small: for the tests of the report."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from faceage import tables
from faceage.outputs import write_csv, write_json
from faceage.utkface import GENDERS, RACES

AGE_GROUPS = [(0, "<18"), (18, "18-40"), (41, "41-60"), (61, ">60")]
SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def write(
    root: Path,
    *,
    faces: int = 240,
    test: int = 36,
    epochs: int = 5,
    synthetic: bool = True,
    genders: bool = True,
) -> None:
    """Write every input of the report under `root`, the working directory."""
    random = np.random.default_rng(0)
    rows = [_row(number, random, genders, synthetic) for number in range(faces)]
    tables.write_faces(rows)
    table = tables.read_faces()
    middle = (faces - test) * 7 // 8
    table["part"] = ["test"] * test + ["train"] * middle + ["val"] * (faces - test - middle)
    write_csv(root / tables.SPLIT, table[["face", "part"]])
    write_json(root / "reports/split.json", _split(table))
    _write_ingest(root, faces, synthetic)
    _write_model(root, table, epochs, synthetic)
    predictions = _predictions(table[table["part"] == "test"], random)
    write_csv(root / "reports/predictions.csv", predictions)
    write_csv(root / "reports/decades.csv", _decades(predictions))
    write_json(root / "reports/metrics.json", _metrics(predictions, synthetic))
    epoch = np.arange(1, epochs + 1)
    history = {
        "epoch": epoch,
        "lr": 1e-3 / epoch,
        "train_loss": 0.9 / epoch + 0.1,
        "val_loss": 0.8 / epoch + 0.15 + 0.005 * epoch,
        "val_mae": 18 / epoch**0.7 + 2 + 0.12 * epoch,
    }
    write_csv(root / "reports/history.csv", pd.DataFrame(history))


def decade(age: float) -> str:
    """Name the decade of an age."""
    start = int(age) // 10 * 10
    return f"{start:03d}-{start + 9:03d}"


def age_group(age: float) -> str:
    """Name the age group of an age."""
    return [name for first, name in AGE_GROUPS if age >= first][-1]


def _row(number: int, random: np.random.Generator, genders: bool, synthetic: bool) -> Any:
    age = int(np.clip(random.gamma(2.6, 14), 0, 104)) if number else 30
    gender, race = int(random.integers(2)), int(random.integers(5))
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
        "gender": gender if genders else None,
        "race": race if number % 40 else None,
        "group": face,
        "width": 96,
        "height": 96,
        "synthetic": synthetic,
    }


def _split(table: pd.DataFrame) -> dict[str, Any]:
    parts = {}
    for name in tables.PARTS:
        age = table.loc[table["part"] == name, "age"]
        described = {
            "mean": age.mean(), "sd": age.std(ddof=0), "median": float(age.median()),
            "min": int(age.min()), "max": int(age.max()),
        }  # fmt: skip
        share = len(age) / len(table)
        parts[name] = {"faces": len(age), "groups": len(age), "share": share, "age": described}
    bins = pd.crosstab(table["age"] // 5 * 5, table["part"]).reindex(
        columns=list(tables.PARTS), fill_value=0
    )
    named = [
        {"bin": f"{int(str(start)):03d}-{int(str(start)) + 4:03d}", **row.to_dict()}
        for start, row in bins.iterrows()
    ]
    deviation = {"bin": "000-004", "part": "val", "points": 0.4}
    return {"parts": parts, "bins": named, "largest_deviation": deviation}


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
        "synthetic": synthetic,
        "found": faces + sum(reasons.values()),
        "kept": faces,
        "rejected": reasons,
        "missing": {"gender": 0, "race": 6},
        "near_duplicates": {"groups": 24, "faces": 48},
    }
    write_json(root / "reports/ingest.json", content)


def _write_model(root: Path, table: pd.DataFrame, epochs: int, synthetic: bool) -> None:
    content = {
        "architecture": {"model": "resnet10t", "px": 64, "mean": [0.5, 0.5, 0.5], "dropout": 0.1},
        "target": {"mean": 36.2, "sd": 21.0, "beta": 1.0},
        "training": {
            "seed": 0, "weights": "none", "faces": int((table["part"] == "train").sum()),
            "val_mae": 5.0, "best_epoch": epochs, "epochs_run": epochs, "lr": 0.001,
            "augment": {"flip": 0.5, "rotate": 10.0},
        },
        "synthetic": synthetic,
        "fingerprint": "4f0c0ffee",
        "versions": {"torch": "2.9.0", "timm": "1.0.20"},
    }  # fmt: skip
    write_json(root / "models/model.json", content)


def _predictions(test: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    noise = random.normal(0, 2 + 0.08 * test["age"].to_numpy())
    predicted = np.maximum(0, 0.85 * test["age"] + 5 + noise)
    return pd.DataFrame(
        {
            "face": test["face"],
            "path": test["path"],
            "age": test["age"],
            "predicted": predicted,
            "error": predicted - test["age"],
            "gender": test["gender"].map(dict(enumerate(GENDERS))),
            "race": test["race"].map(dict(enumerate(RACES))),
            "decade": test["age"].map(decade),
            "predicted_decade": predicted.map(decade),
            "group": test["age"].map(age_group),
            "predicted_group": predicted.map(age_group),
        }
    )


def _decades(predictions: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for name, part in predictions.groupby("decade"):
        mae, spread = part["error"].abs().mean(), part["error"].abs().std(ddof=0)
        margin = 1.96 * spread / len(part) ** 0.5
        rows.append(
            {
                "decade": name, "n": len(part), "mae": mae, "mae_low": max(0.0, mae - margin),
                "mae_high": mae + margin, "bias": part["error"].mean(),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _metrics(predictions: pd.DataFrame, synthetic: bool) -> dict[str, Any]:
    size = predictions["error"].abs()
    variance = predictions["age"].var(ddof=0)
    mse = (size**2).mean()
    test = {
        "mae": size.mean(),
        "mse": mse,
        "rmse": mse**0.5,
        "r2": 1 - mse / variance if variance else float("nan"),
        "bias": predictions["error"].mean(),
        "cs5": (size <= 5).mean(),
        "group_accuracy": (predictions["group"] == predictions["predicted_group"]).mean(),
    }
    test |= {f"{key}_low": 0.9 * value for key, value in test.items()} | {
        f"{key}_high": 1.1 * value for key, value in test.items()
    }
    test |= {f"cs{years}": (size <= years).mean() for years in (1, 3, 10)}
    test |= {"n": len(predictions), "median_error": size.median()}
    baselines = {
        "median": {"mae": 17.2, "mae_low": 16.1, "mae_high": 18.4},
        "ridge": {"mae": 9.8, "mae_low": 9.2, "mae_high": 10.5},
    }
    decades = json.loads(predictions.groupby("decade")["error"].mean().to_json())
    content = {"test": test, "baselines": baselines, "decades": decades}
    return {"synthetic": synthetic, **content}
