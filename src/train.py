"""Stage `train`: fine-tune a timm backbone with an age head, keep the best averaged weights.

    python src/train.py

Reads  data/faces.parquet, data/split.csv (the parts train and val), weights
Writes models/, reports/history.csv; logs to MLflow
Killed at any moment and started again, it goes on from the last finished epoch.
"""

import hashlib
from importlib.metadata import version

import pandas as pd
import torch

from faceage import devices, faces, networks, pyfunc, repository, saved_model, tables, tracking
from faceage.checkpoints import Checkpoint, fingerprint
from faceage.outputs import write_csv
from faceage.params import TrainParams, load
from faceage.stage import UserError, run
from faceage.targets import Regression
from faceage.training import Epoch, Part, Training, fit

# What a copy of the model needs at least to run elsewhere.
MODEL_REQUIREMENTS = ("torch", "torchvision", "timm", "safetensors", "pillow", "pandas", "psutil")


def main() -> None:
    """Build the network, decode the faces, train, save."""
    params = load(TrainParams)
    settings = params.train
    device = devices.pick()
    torch.manual_seed(params.seed)
    architecture = networks.resolve(params.model, settings.px, settings.dropout, Regression.outputs)
    network = networks.build(architecture, params.weights).to(device)

    key = fingerprint("train", params)
    checkpoint = Checkpoint(key)
    interrupted = checkpoint.load() or {}
    with tracking.open_run(params.tracking, key, interrupted.get("run_id")) as tracked:
        train, val, synthetic = read_faces()
        target = Regression.fit(train.ages, settings.loss_beta)
        steps = max(1, len(train.ages) // settings.batch_size)
        training = Training(network, target, settings, params.seed, steps)
        resolved = architecture.as_dict() | {
            "device": str(device),
            "precision": str(training.dtype),
        }
        tracked.log_params(vars(params) | {"train": settings.model_dump(), "resolved": resolved})
        print(
            f"{params.model} at {architecture.px} px on {device} in {training.dtype}, {steps} steps"
        )

        def after_epoch(epoch: Epoch, speed: dict[str, float]) -> None:
            print(
                f"epoch {epoch.epoch:3}/{settings.epochs}  train loss {epoch.train_loss:.4f}"
                f"  val loss {epoch.val_loss:.4f}  val MAE {epoch.val_mae:.2f} years"
                f"  {speed['seconds']:.0f} s",
                flush=True,
            )
            tracked.log_metrics(vars(epoch) | speed, step=epoch.epoch)

        fitted = fit(training, train, val, checkpoint, tracked.run_id, after_epoch)
        about = {
            "training": {
                "seed": params.seed,
                "weights": describe_weights(params.weights),
                "faces": len(train.ages),
                "val_mae": fitted.best.val_mae,
                "best_epoch": fitted.best.epoch,
                "epochs_run": len(fitted.history),
                **settings.model_dump(),
            },
            "synthetic": synthetic,
            "fingerprint": key,
            "versions": {name: version(name) for name in ("torch", "timm", "safetensors")},
        }
        saved_model.save(fitted.weights, architecture, target, about)
        write_csv("reports/history.csv", pd.DataFrame(vars(row) for row in fitted.history))
        requirements = [f"{name}=={version(name)}" for name in MODEL_REQUIREMENTS]
        print("logging the model", flush=True)
        pyfunc.log(tracked, saved_model.FOLDER, requirements)
    checkpoint.clear()


def read_faces() -> tuple[Part, Part, bool]:
    """Decode the parts train and val; say whether any of their faces is synthetic."""
    parts = tables.read_parts()
    if len(parts["train"]) < 2:
        raise UserError("train: the part train has fewer than 2 faces; add faces to data.source")
    side = faces.stored_side(pd.concat(parts.values()))
    decoded = []
    for name in ("train", "val"):
        table = parts[name]
        pixels = faces.decode(table, tables.image_bytes(table["face"]), side)
        decoded.append(Part(pixels, torch.tensor(table["age"].to_numpy(), dtype=torch.float32)))
    return decoded[0], decoded[1], bool(parts["train"]["synthetic"].any())


def describe_weights(weights: str) -> str:
    """Name the weights; a file by its name and the hash of its content."""
    path = repository.root() / weights
    if not path.is_file():
        return weights
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{path.name} (sha256 {digest[:16]})"


if __name__ == "__main__":
    run(main)
