"""Stage `train`: fine-tune a timm backbone with an age head, keep the best averaged weights.

    python src/train.py

Reads  data/faces.parquet, data/split.csv (the parts train and val), data/doubts.csv, weights
Writes models/, reports/history.csv; logs to MLflow
Killed at any moment and started again, it goes on from the last finished epoch.
"""

import hashlib
import math
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch

from faceage import repository, tables, tracking
from faceage.learning import devices, faces, networks, saved_model, targets
from faceage.learning.checkpoints import Checkpoint, fingerprint
from faceage.learning.training import Epoch, Fitted, Part, Task, check_monitor, fit
from faceage.outputs import write_csv
from faceage.params import TrainParams, as_dict, load
from faceage.settings import Train
from faceage.stage import UserError, run


def main() -> None:
    """Decode the faces, train each member, save them as one model."""
    params = load(TrainParams)
    settings = params.train
    networks.require(params.model)
    device = devices.pick()
    key = fingerprint("train", params)
    interrupted = Checkpoint(key).load() or {}
    with tracking.open_run(params.tracking, key, interrupted.get("run_id")) as tracked:
        train, val, synthetic = read_faces(params)
        check_monitor(train.labels, settings)
        target = targets.fit(train.labels, params.target, params.groupings)
        task = Task(target, settings, train, val, params.groupings["group"].boundaries)
        architecture = networks.resolve(params.model, settings, params.target, target.outputs)
        resolved = architecture.as_dict() | {"device": str(device)}
        tracked.log_params(as_dict(params) | {"resolved": resolved})
        print(f"{params.model} at {architecture.px} px on {device}, target {params.target.name}")

        members = []
        for member in range(1, settings.members + 1):
            seed = params.seed + member - 1
            torch.manual_seed(seed)
            network = networks.build(architecture, params.weights).to(device)
            checkpoint = Checkpoint(key, member)
            after_epoch = partial(report_epoch, tracked, settings, member)
            members.append(fit(network, task, seed, checkpoint, tracked.run_id, after_epoch))

        about = {
            "training": as_dict(params)
            | {
                "weights": describe_weights(params.weights),
                "faces": len(train.labels),
                "best_epochs": [member.best.epoch for member in members],
                "val_mae": [member.best.val_mae for member in members],
            },
            "synthetic": synthetic,
            "side": train.pixels.shape[1],
            "data": {path.name: digest(path) for path in (tables.FACES, tables.SPLIT)},
            "fingerprint": key,
            "versions": {name: version(name) for name in ("torch", "timm", "safetensors")},
        }
        saved_model.save([member.weights for member in members], architecture, target, about)
        write_csv("reports/history.csv", history(members))
    Checkpoint(key).clear()


def read_faces(params: TrainParams) -> tuple[Part, Part, bool]:
    """Decode the parts train and val; say whether any of their faces is synthetic."""
    parts = tables.read_parts()
    parts["train"] = without_doubted(parts["train"], params.train.leave_out)
    if len(parts["train"]) < 2:
        raise UserError("train: the part train has fewer than 2 faces; add faces to data.source")
    side = faces.stored_side(pd.concat(parts.values()))
    classes = params.groupings[params.target.groups].names
    decoded = []
    for name in ("train", "val"):
        table = parts[name]
        pixels = faces.decode(table, tables.image_bytes(table["face"]), side)
        decoded.append(Part(pixels, targets.labels(table, classes)))
    return decoded[0], decoded[1], bool(parts["train"]["synthetic"].any())


def without_doubted(train: pd.DataFrame, share: float) -> pd.DataFrame:
    """The training faces but for a share of them, those whose labels are doubted most."""
    if not share:
        return train
    ranked = tables.read_doubts()["face"]
    doubted = ranked[ranked.isin(train["face"])].head(round(share * len(train)))
    return train[~train["face"].isin(doubted)].reset_index(drop=True)


def report_epoch(
    tracked: tracking.Run, settings: Train, member: int, epoch: Epoch, speed: dict[str, float]
) -> None:
    """Print an epoch as a line and log it; of an ensemble under the member's name."""
    mae = "" if math.isnan(epoch.val_mae) else f"  val MAE {epoch.val_mae:.2f} years"
    of_members = f"member {member}/{settings.members}  " if settings.members > 1 else ""
    print(
        f"{of_members}epoch {epoch.epoch:3}/{epochs(settings)}  train loss {epoch.train_loss:.4f}"
        f"  val loss {epoch.val_loss:.4f}{mae}  accuracy {epoch.val_accuracy:.1%}"
        f"  {speed['seconds']:.0f} s",
        flush=True,
    )
    measured = {k: v for k, v in vars(epoch).items() if not math.isnan(v)} | speed
    named = {f"member{member}": measured} if settings.members > 1 else measured
    tracked.log_metrics(named, step=epoch.epoch)


def epochs(settings: Train) -> int:
    """Epochs of all phases, at most."""
    return sum(phase.epochs or settings.epochs for phase in settings.phases)


def history(members: list[Fitted]) -> pd.DataFrame:
    """One row an epoch of each member."""
    return pd.DataFrame(
        {"member": number} | vars(epoch)
        for number, member in enumerate(members, start=1)
        for epoch in member.history
    )


def describe_weights(weights: str) -> str:
    """Name the weights; a file by its name and the hash of its content."""
    path = repository.root() / weights
    if not path.is_file():
        return weights
    return f"{path.name} (sha256 {digest(path)[:16]})"


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    run(main)
