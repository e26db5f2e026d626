"""Every recipe on all of UTKFace under one budget of time, through the DVC queue.

    python benchmarks/layouts.py UTKFace.tar FOLDER
    python benchmarks/recipes.py UTKFace.tar FOLDER WEIGHTS [RECIPE ...]

WEIGHTS is a folder of ImageNet weights, named as timm names the backbones; for a backbone that has
none there, tf_efficientnet_lite0 stands in. Queues what this commit has no experiment of yet, works
the queue off, writes benchmarks/recipes.json and the tables of recipes.md. Stop it at any moment
and start it again: what is done stays, a training that was killed goes on from its last epoch. With
names of recipes only these are measured, and the other rows stay. benchmarks/recipes.yaml has the
budget.
"""

import argparse
import io
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import mlflow
import pandas as pd
import yaml

from faceage.core import repository
from faceage.core.script import UserError, run
from faceage.experiments import queue, runs

HERE = Path(__file__).parent
STAND_IN = "tf_efficientnet_lite0"
# Robustness is not in the table, and the corruption of 1,000 faces takes minutes.
ALL = ["-S", "evaluate.robustness_faces=50"]
# The short run of a backbone whose weights are not at hand: from scratch, on the built-in sample.
SHORT = {
    **{"weights": "none", "data.layout": "auto", "sample.faces": 600},
    **{"train.img_size": 64, "train.epochs": 3},
}
OWN = "-own-backbone"


def main() -> None:
    """Queue, wait, collect."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("utkface", type=Path, help="UTKFace's archive")
    parser.add_argument("layouts", type=Path, help="folder with age_folders.tar and csv.tar")
    parser.add_argument("weights", type=Path, help=f"folder with {STAND_IN}.safetensors and others")
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="recipes to measure (all)")
    asked = parser.parse_args()
    sources = {
        "utkface": asked.utkface,
        "age_folders": asked.layouts / "age_folders.tar",
        "csv": asked.layouts / "csv.tar",
    }
    for path in (*sources.values(), asked.weights / f"{STAND_IN}.safetensors"):
        if not path.is_file():
            raise UserError(f"there is no file {path}")

    budget: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "recipes.yaml").read_text())
    if unknown := set(asked.recipes) - set(budget):
        raise UserError(f"{HERE / 'recipes.yaml'} has no {', '.join(sorted(unknown))}")
    chosen = {name: budget[name] for name in asked.recipes or budget}
    wanted, short = {}, {}
    for name, entry in chosen.items():
        change = {"data.source": sources[entry["faces"]].resolve()} | entry["change"]
        recipe = _recipe(name)
        if recipe.get("weights") == "imagenet":
            own = asked.weights / f"{recipe['model']}.safetensors"
            weights = own if own.is_file() else own.with_stem(STAND_IN)
            change |= {"model": weights.stem, "weights": weights.resolve()}
            if weights != own:
                short[name + OWN] = [*_options(SHORT), "train"]
        wanted[name] = [*ALL, *_options(change)]

    queue.work_off({name: command(name, options) for name, options in (wanted | short).items()})
    found = {name: measured(name, chosen) for name in chosen}
    before = json.loads((HERE / "recipes.json").read_text())
    rows = {name: found.get(name) or before[name] for name in budget}
    (HERE / "recipes.json").write_text(json.dumps(rows, indent=2) + "\n")
    page = HERE / "recipes.md"
    text = page.read_text()
    for name, table in (("results", results(rows)), ("backbones", backbones(rows))):
        text = replaced(text, name, table)
        print(table, end="\n\n")
    page.write_text(text)


def command(name: str, options: list[str]) -> list[str]:
    """What queues a recipe under a name; the name that comes last wins."""
    recipe = name.removesuffix(OWN)
    return [sys.executable, "src/recipe.py", recipe, "-n", name, "--queue", *options]


def _recipe(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load(Path(f"recipes/{name}.yaml").read_text()))


def _options(change: dict[str, Any]) -> list[str]:
    return [part for key, value in change.items() for part in ("-S", f"{key}={value}")]


def measured(name: str, budget: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The row of a recipe, from its experiment's commit and its MLflow run."""
    commit = runs.find_commit(name)
    params = yaml.safe_load(_file(commit, "params.yaml"))
    test = json.loads(_file(commit, "reports/metrics.json"))["test"]
    scores = json.loads(_file(commit, "reports/tables/classification.json"))
    accuracy = {row["grouping"]: row["accuracy"] for row in scores}
    history = pd.read_csv(io.StringIO(_file(commit, "reports/history.csv")))
    minutes, trained_as = _training(name, commit, budget)
    own = _recipe(name)["model"]
    row = {
        "target": params["target"]["name"],
        "backbone": params["model"],
        "weights": "none" if params["weights"] == "none" else "ImageNet-1k",
        "stands_in_for": own if params["model"] != own else None,
        "img_size": params["train"]["img_size"],
        "epochs": len(history),
        "minutes": minutes,
        "same_run_as": trained_as if trained_as != name else None,
        "n": test["n"],
        "mae": test.get("mae"),
        "mae_low": test.get("mae_low"),
        "mae_high": test.get("mae_high"),
        "rmse": test.get("rmse"),
        "cs5": test.get("cs5"),
        "cs10": test.get("cs10"),
        "accuracy_4_groups": accuracy.get("age_group"),
        "accuracy_3_groups": accuracy.get("life_stage"),
        "val_mae": None if history["val_mae"].isna().all() else history["val_mae"].min(),
        "published": budget[name]["published"],
        "own_backbone": None,
    }
    if row["stands_in_for"]:
        short = pd.read_csv(io.StringIO(_file(runs.find_commit(name + OWN), "reports/history.csv")))
        row["own_backbone"] = [
            {"epochs": len(phase), "first_loss": phase.iloc[0], "last_loss": phase.iloc[-1]}
            for _, phase in short.groupby("phase")["train_loss"]
        ]
    return row


def replaced(page: str, name: str, table: str) -> str:
    """The page with the table in the place of what is between the comments of that name."""
    before, rest = page.split(f"<!-- {name} -->\n")
    _, after = rest.split(f"<!-- end of {name} -->")
    return f"{before}<!-- {name} -->\n{table}\n<!-- end of {name} -->{after}"


def results(rows: dict[str, dict[str, Any]]) -> str:
    """The table of results in Markdown."""
    head = (
        "| recipe | target | backbone | px | epochs | minutes | MAE, years | RMSE | within 5 |"
        " within 10 | 4 groups | 3 groups | published |"
    )
    lines = ["| " + " | ".join(_cells(name, row)) + " |" for name, row in rows.items()]
    return "\n".join(
        [head, "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|", *lines]
    )


def backbones(rows: dict[str, dict[str, Any]]) -> str:
    """The table of the short runs with the recipes' own backbones in Markdown."""
    lines = [
        f"| `{name}` | {row['stands_in_for']} | {'; '.join(map(_fall, row['own_backbone']))} |"
        for name, row in rows.items()
        if row["own_backbone"]
    ]
    head = "| recipe | backbone | training loss, first and last epoch of each phase |"
    return "\n".join([head, "|---|---|---|", *lines])


def _fall(phase: dict[str, Any]) -> str:
    loss = f"{phase['first_loss']:.3f} to {phase['last_loss']:.3f}"
    return f"{loss} in {phase['epochs']} epochs"


def _cells(name: str, row: dict[str, Any]) -> list[str]:
    stand_in, same = row["stands_in_for"], row["same_run_as"]
    return [
        f"[`{name}`](../recipes/{name}.yaml)",
        row["target"],
        f"{row['backbone']} for {stand_in}" if stand_in else row["backbone"],
        str(row["img_size"]),
        str(row["epochs"]),
        f"{row['minutes']:.1f}" + (f", the run of `{same}`" if same else ""),
        f"{row['mae']:.2f} ({row['mae_low']:.2f} to {row['mae_high']:.2f})" if row["mae"] else "",
        f"{row['rmse']:.2f}" if row["rmse"] else "",
        *(
            f"{row[key]:.1%}" if row[key] else ""
            for key in ("cs5", "cs10", "accuracy_4_groups", "accuracy_3_groups")
        ),
        row["published"],
    ]


def _file(commit: str, path: str) -> str:
    return repository.content_at(commit, Path(path))


def _training(name: str, commit: str, others: Iterable[str]) -> tuple[float, str]:
    """Minutes from the start of the training to its last epoch, and the run that did it.

    Of two recipes that are the same once the stand-in is in place, DVC runs one and restores the
    other from its cache.
    """
    mlflow.set_tracking_uri(f"sqlite:///{repository.root()}/mlflow.db")
    client = mlflow.MlflowClient()
    model = _model_hash(commit)
    for candidate in (name, *others):
        if _model_hash(runs.find_commit(candidate)) != model:
            continue
        found = mlflow.search_runs(
            experiment_names=["faceage"],
            filter_string=f"run_name = '{candidate}' and status = 'FINISHED'",
            output_format="list",
        )
        if found:
            epochs = client.get_metric_history(found[0].info.run_id, "seconds")
            end = max(metric.timestamp for metric in epochs)
            return round((end - found[0].info.start_time) / 60_000, 1), candidate
    raise UserError(f"mlflow.db has no run of {name}")


def _model_hash(commit: str) -> str:
    return str(repository.locked_stages(commit)["train"]["outs"][0]["md5"])


if __name__ == "__main__":
    run(main)
