"""Stage `train`: fine-tune a timm backbone with an age head, keep the best averaged weights.

    python src/train.py

Reads  data/faces.parquet, data/split.csv (train and val) or data/clean_split.csv, weights
Writes models/, reports/history.csv, this one after each epoch; logs to MLflow
Killed at any moment and started again, it goes on where it last was. On a machine with
several GPUs it starts a process for each; docs/devices.md has several machines.
"""

from faceage.core.command_line import no_options

if __name__ == "__main__":
    no_options(__doc__)

import math
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch

from faceage.core import inputs, repository, tables
from faceage.core.hashing import sha256
from faceage.core.outputs import write_csv
from faceage.core.params import TrackingParams, TrainParams, load
from faceage.core.script import require_unchanged, run
from faceage.core.settings import Train
from faceage.core.shards import Shards
from faceage.networks import age_network, devices, saved_model, targets
from faceage.tracking import runs
from faceage.tracking.run import Run
from faceage.training import reading
from faceage.training.checkpoints import Checkpoint, fingerprint, held
from faceage.training.launch import launched
from faceage.training.loop import Epoch, Fitted, Trainer, check_monitor
from faceage.training.phases import check_sizes
from faceage.training.processes import Processes
from faceage.training.reading import Read


def main(processes: Processes | None = None) -> None:
    """Decode the faces, train each member, save them as one model.

    Parameters
    ----------
    processes : those that do it together, of which the first one writes and logs; None: alone
    """
    processes = processes or Processes()
    first = processes.is_first
    before = inputs.state()
    params = load(TrainParams)
    settings = params.train
    age_network.require(params.model)
    device = devices.pick()
    key = fingerprint("train", params)
    processes.agree(key)
    with (
        held(key) if first else nullcontext() as run_id,
        runs.open_run(
            load(TrackingParams).tracking and first, key, run_id, system_metrics=True
        ) as tracked,
    ):
        read = read_faces(params, tracked)
        train, val = read.train, read.val
        check_monitor(train.labels, settings)
        targets.check(params.target, settings.reweight, train.weights.tolist())
        target = targets.fit(train.labels, params.target, params.groupings)
        boundaries = params.groupings["age_group"].boundaries
        architecture = age_network.resolve(params.model, settings, params.target, target.outputs)
        check_sizes(settings.phases, architecture)
        resolved = architecture.as_dict() | {"device": str(device)}
        tracked.log_params(params.model_dump() | {"resolved": resolved})
        # A tag, for a run that goes on may do so with another number.
        tracked.set_tags({"processes": str(processes.count)})
        together = f" in {processes.count} processes" if processes.count > 1 else ""
        print(
            f"{params.model} at {architecture.img_size} px on {device}{together}, target"
            f" {params.target.name}"
        )

        members: list[Fitted] = []
        for member in range(1, settings.members + 1):
            seed = params.seed + member - 1
            torch.manual_seed(seed)
            network = age_network.build(architecture, params.weights).to(device)
            trainer = Trainer(network, target, settings, train, val, boundaries, seed, processes)
            report = partial(report_epoch, tracked, members, trainer)
            with devices.deterministic(settings.deterministic, device):
                members.append(trainer.fit(Checkpoint(key, member), tracked.run_id, report))
        if not first:
            return

        about = {
            "training": params.model_dump()
            | {
                "weights": describe_weights(params.weights),
                "faces": len(train),
                "best_epochs": [member.best.epoch for member in members],
                "val_mae": [member.best.val_mae for member in members],
            },
            "synthetic": read.synthetic,
            "side": read.side,
            "data": {
                tables.FACES.name: Shards(settings.faces).digest,
                Path(settings.split).name: sha256(Path(settings.split)),
            },
            "fingerprint": key,
            "versions": {name: version(name) for name in ("torch", "timm", "safetensors")},
        }
        saved_model.save([member.weights for member in members], architecture, target, about)
        write_history([member.history for member in members])
        require_unchanged(before)  # here: the epochs are kept for who undoes what was changed


def read_faces(params: TrainParams, tracked: Run) -> Read:
    """Decode the faces of train and val to the size that the network takes, or stream them."""
    settings = params.train
    source, split = settings.faces, Path(settings.split)
    img_size = age_network.input_side(params.model, settings)
    classes = params.groupings[params.target.grouping].names
    if settings.pixels == "stream":
        return reading.streamed(source, split, img_size, classes)
    splits = tables.read_splits(split, source)
    for name, context in (("train", "training"), ("val", "validation")):
        tracked.log_input(name, context, splits[name], Path(source))
    return reading.decoded(splits, source, img_size, classes)


def report_epoch(
    tracked: Run,
    before: list[Fitted],
    trainer: Trainer,
    epoch: Epoch,
    speed: dict[str, float],
) -> None:
    """Write the history so far for those who watch it, print the epoch as a line, log it.

    Parameters
    ----------
    before : members of an ensemble that have ended; each is logged under its own name
    """
    settings, member = trainer.settings, len(before) + 1
    write_history([*(fitted.history for fitted in before), trainer.history])
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


def write_history(members: list[list[Epoch]]) -> None:
    """Write one row an epoch of each member."""
    rows = (
        {"member": number} | vars(epoch)
        for number, epochs in enumerate(members, start=1)
        for epoch in epochs
    )
    write_csv("reports/history.csv", pd.DataFrame(rows))


def describe_weights(weights: str) -> str:
    """Name the weights; a file by its name and the hash of its content."""
    path = repository.root() / weights
    if not path.is_file():
        return weights
    return f"{path.name} (sha256 {sha256(path)[:16]})"


if __name__ == "__main__":
    run(partial(launched, main))
