"""The published recipes with their own backbones, for which no ImageNet weights are at hand.

    python benchmarks/own_backbones.py UTKFace.tar FOLDER [RUN ...]

Each run of own_backbones.yaml: the backbone learns the features of pretrained/ on the training
faces, or starts from scratch, then comes the recipe at its own image size. The model in the box has
learned from the same training faces, and from no others. Works in FOLDER, a folder for each run and
each pre-training, logs nothing to MLflow. Stop it at any moment and start it again: what is done
stays, a training that was killed goes on from its last epoch. Writes own_backbones.json and the
table of recipes.md; without RUN all runs are done, with names only these.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import pandas as pd
import torch
import yaml
from recipes import replaced
from speed_work import ROOT, environment, link_code, write_params

from faceage.core.outputs import write_json
from faceage.core.script import UserError, run
from faceage.networks import saved_model

HERE = Path(__file__).resolve().parent
RATE, BATCH = 0.001, 32  # of the pre-training
SECONDS = "seconds.json"  # in a folder: what each of the scripts that ran there took


def main() -> None:
    """Ingest once, then pre-train, train and evaluate each run; write the page."""
    runs: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "own_backbones.yaml").read_text())
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("utkface", type=Path, help="UTKFace's archive")
    parser.add_argument("folder", type=Path, help="where to work")
    parser.add_argument("runs", nargs="*", metavar="RUN", help="those to do (all)")
    asked = parser.parse_args()
    if not asked.utkface.is_file():
        raise UserError(f"there is no file {asked.utkface}")
    if unknown := set(asked.runs) - set(runs):
        raise UserError(f"{HERE / 'own_backbones.yaml'} has no {', '.join(sorted(unknown))}")
    source = {"data": {"source": str(asked.utkface.resolve()), "layout": "utkface"}}
    data = prepared(asked.folder.resolve() / "split", source)
    page = HERE / "own_backbones.json"
    for name in asked.runs or runs:
        row = measured(asked.folder.resolve() / name, runs[name], data, source)
        rows = json.loads(page.read_text()) | {name: row}  # now: another process may have added one
        rows = {known: rows[known] for known in runs if known in rows}
        write_json(page, rows)
        text = (HERE / "recipes.md").read_text()
        (HERE / "recipes.md").write_text(replaced(text, "own backbones", table(rows)))
    print(table(rows))


def prepared(folder: Path, source: dict[str, Any]) -> Path:
    """The folder data/ with UTKFace's faces and their split."""
    if not (folder / "data/split.csv").is_file():
        link_code(folder)
        write_params(folder, source, recipe=None)
        for stage in ("ingest", "split"):
            script(folder, f"src/{stage}.py")
    return folder / "data"


def measured(
    folder: Path, asked: dict[str, Any], data: Path, source: dict[str, Any]
) -> dict[str, Any]:
    """Pre-train, train, evaluate; the row of the run."""
    recipe = yaml.safe_load((ROOT / f"recipes/{asked['recipe']}.yaml").read_text())
    weights, seconds = "none", 0.0
    if how := asked["pretraining"]:
        weights, seconds = pretrained(folder.parent, recipe["model"], how, data, source)
    use(folder, data)
    change: dict[str, Any] = {
        "weights": weights,
        "train": {"precision": "auto"},
        "evaluate": {"robustness_faces": 50},
    }
    for dotted, value in asked["change"].items():
        section, key = dotted.split(".")
        change[section] |= {key: value}
    write_params(folder, source | change, asked["recipe"])
    if not saved_model.is_there(folder / "models"):
        script(folder, "src/train.py")
    script(folder, "src/evaluate.py")
    return outcome(folder, asked, seconds)


def pretrained(
    place: Path, model: str, how: dict[str, int], data: Path, source: dict[str, Any]
) -> tuple[str, float]:
    """The file with the weights of a backbone that has learned from the teacher; its seconds.

    In a folder of its own in `place`: recipes of one backbone share it.
    """
    folder = place / f"{model}-{how['epochs']}-epochs-{how['img_size']}-px"
    use(folder, data)
    weights = folder / f"data/weights/{model}.safetensors"
    if not weights.is_file():
        train = {"img_size": how["img_size"], "precision": "auto"}
        start = {"model": model, "weights": "none", "train": train}
        write_params(folder, source | start, recipe=None)
        asked = {"epochs": how["epochs"], "batch-size": BATCH, "lr": RATE}
        options = [part for key, value in asked.items() for part in (f"--{key}", f"{value}")]
        script(folder, "src/pretrain.py", "--teacher", str(ROOT / "pretrained"), *options)
    return str(weights), json.loads((folder / SECONDS).read_text())["src/pretrain.py"]


def use(folder: Path, data: Path) -> None:
    """A folder to work in with our code, the faces and their split."""
    link_code(folder)
    (folder / "data").mkdir(exist_ok=True)
    for name in ("faces.parquet", "split.csv"):
        if not (folder / "data" / name).exists():
            (folder / "data" / name).symlink_to(data / name)


def script(folder: Path, *command: str) -> None:
    """Run a script of ours to its end; what it took is added to what it took before."""
    begun = time.perf_counter()
    try:
        subprocess.run([sys.executable, *command], cwd=folder, env=environment(), check=True)
    except subprocess.CalledProcessError as error:
        raise UserError(f"{command[0]} of {folder.name} ended with {error.returncode}") from None
    finally:
        path = folder / SECONDS
        taken = json.loads(path.read_text()) if path.is_file() else {}
        taken[command[0]] = taken.get(command[0], 0.0) + time.perf_counter() - begun
        path.write_text(json.dumps(taken))


def outcome(folder: Path, asked: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What is known of a run that is over, whose pre-training took so many seconds."""
    test = json.loads((folder / "reports/metrics.json").read_text())["test"]
    scores = json.loads((folder / "reports/tables/classification.json").read_text())
    seconds += json.loads((folder / SECONDS).read_text())["src/train.py"]
    history = pd.read_csv(folder / "reports/history.csv")
    about = saved_model.describe(folder / "models")
    return {
        "recipe": asked["recipe"],
        "backbone": about["architecture"]["model"],
        "img_size": about["architecture"]["img_size"],
        "pretraining": asked["pretraining"],
        "epochs": len(history),
        "minutes": seconds / 60,
        "threads": torch.get_num_threads(),
        **{key: test.get(key) for key in ("n", "mae", "mae_low", "mae_high", "cs5", "cs10")},
        "accuracy": {score["grouping"]: score["accuracy"] for score in scores},
        "val_mae": about["training"]["val_mae"][0],
        "wanted": asked["wanted"],
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The runs in Markdown, the stand-in's error beside each."""
    stand_ins = json.loads((HERE / "recipes.json").read_text())
    head = [
        "| recipe | backbone | px | starts from | epochs | minutes, threads | MAE, years |"
        " within 5 | within 10 | 4 groups | 3 groups | stand-in's MAE | wanted |",
        "|---|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    return "\n".join([*head, *(_cells(row, stand_ins[row["recipe"]]) for row in rows.values())])


def _cells(row: dict[str, Any], stand_in: dict[str, Any]) -> str:
    start = "scratch"
    if before := row["pretraining"]:
        start = f"features of the box, {before['epochs']} epochs at {before['img_size']} px"
    mae = f"{row['mae']:.2f} ({row['mae_low']:.2f} to {row['mae_high']:.2f})" if row["mae"] else ""
    shares = [
        *(row[key] for key in ("cs5", "cs10")),
        *(row["accuracy"].get(name) for name in ("age_group", "life_stage")),
    ]
    cells = [
        f"`{row['recipe']}`",
        *(str(row[key]) for key in ("backbone", "img_size")),
        start,
        str(row["epochs"]),
        f"{row['minutes']:.0f}, {row['threads']}",
        mae,
        *(f"{share:.1%}" if share else "" for share in shares),
        f"{stand_in['mae']:.2f}" if stand_in["mae"] else "",
        row["wanted"],
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    run(main)
