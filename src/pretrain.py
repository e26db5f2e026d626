"""Pre-train the backbone of params.yaml on the training faces, by SimCLR or from a teacher.

    python src/pretrain.py [--epochs 50] [--batch-size 128] [--lr 0.001] [--img-size 112] [--out F]
    python src/pretrain.py --teacher pretrained [--epochs 10] [--batch-size 32] ...

Reads  data/faces.parquet, of it the faces that train.split calls train, without their ages;
       weights, to start from; the folder of a model, --teacher, which may have another backbone
Writes data/weights/MODEL.safetensors, for `weights` in params.yaml; logs to MLflow
What the options don't say is that of `train`: optimizer, weight_decay, scheduler, warmup_epochs,
clip_grad, precision, with a teacher also augment. Killed at any moment and started again, it goes
on from the last finished epoch; the teacher looks at the faces once.
"""

import argparse
from pathlib import Path


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=50, metavar="N", help="passes over the faces")
    parser.add_argument("--batch-size", type=int, default=128, metavar="N", help="faces in a step")
    parser.add_argument(
        "--lr", type=float, default=0.001, metavar="LR", help="highest learning rate"
    )
    parser.add_argument("--img-size", type=int, metavar="PX", help="instead of train.img_size")
    parser.add_argument(
        "--teacher", type=Path, metavar="FOLDER", help="a model whose features are to be learned"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="instead of data/weights/MODEL.safetensors"
    )
    return parser.parse_args()


if __name__ == "__main__":
    arguments()  # --help and mistakes are answered before the imports below, which take seconds

import sys
from dataclasses import replace
from importlib.metadata import version

import pandas as pd
import torch
from pydantic import ValidationError

from faceage.core import tables
from faceage.core.faults import in_words
from faceage.core.hashing import sha256
from faceage.core.params import TrackingParams, TrainParams, load
from faceage.core.script import UserError, run
from faceage.core.settings import Train
from faceage.core.shards import Shards
from faceage.networks import age_network, devices, faces, saved_model
from faceage.networks.age_network import BackboneArchitecture
from faceage.pretraining.distillation import Distillation, kept_teacher_features
from faceage.pretraining.pretrainer import Objective, Pretrainer, save
from faceage.pretraining.simclr import SimCLR
from faceage.tracking import runs
from faceage.training.checkpoints import Checkpoint, fingerprint, held

FOLDER = Path("data/weights")


def main() -> None:
    """Decode the training faces, learn from changed views of them, write the backbone's weights."""
    asked = arguments()
    params = load(TrainParams)
    params = params.model_copy(update={"train": overridden(params.train, asked)})
    settings = params.train
    architecture = resolve(params.model, age_network.input_side(params.model, settings))
    out = asked.out or FOLDER / f"{architecture.model}.safetensors"
    if out.suffix != ".safetensors":
        raise UserError(f"--out: {out} is to be a file whose name ends in .safetensors")
    table = read_table(Path(settings.split))
    teacher = describe_teacher(asked.teacher, Path(settings.split)) if asked.teacher else {}

    device = devices.pick()
    key = "-".join(["pretrain", fingerprint("train", params), *teacher.values()])
    with (
        held(key) as run_id,
        runs.open_run(load(TrackingParams).tracking, key, run_id, system_metrics=True) as tracked,
    ):
        tracked.log_input("train", "training", table, tables.FACES)
        about = describe(params, architecture, table) | teacher
        tracked.log_params({"pretrain": about})
        seen = None
        if asked.teacher:
            kept = Checkpoint(f"{key}/teacher")  # forgotten with the checkpoint that holds it
            seen = kept_teacher_features(kept, asked.teacher, table)
        torch.manual_seed(params.seed)  # here, for a teacher that looks draws numbers, too
        backbone, features = age_network.build_backbone(architecture, params.weights)
        pixels = faces.decode(
            table,
            tables.image_bytes(table["face"]),
            faces.stored_side(table),
            architecture.img_size,
        )
        print(
            f"{architecture.model} from weights {params.weights}, at {architecture.img_size} px on"
            f" {device}, {len(table)} training faces"
        )

        def report(epoch: int, loss: float, seconds: float) -> None:
            print(
                f"epoch {epoch:3}/{settings.epochs}  loss {loss:.4f}  {seconds:.0f} s", flush=True
            )
            tracked.log_metrics({"pretrain": {"loss": loss, "seconds": seconds}}, step=epoch)

        objective: Objective = (
            SimCLR(features) if seen is None else Distillation(features, settings.augment, seen)
        )
        pretrainer = Pretrainer(
            backbone.to(device), objective, architecture, settings, pixels, params.seed
        )
        pretrainer.fit(Checkpoint(key), tracked.run_id, report)
        save(backbone, out, about | {"loss": f"{pretrainer.losses[-1]:.4f}"})
    print(f"wrote {out}, {out.stat().st_size / 1e6:.1f} MB: dvc exp run -S weights={out}")


def overridden(train: Train, asked: argparse.Namespace) -> Train:
    """The section `train` with what the command line says, held to the bounds of its keys."""
    given = {key: getattr(asked, key) for key in ("epochs", "batch_size", "lr")}
    if asked.img_size is not None:
        given["img_size"] = asked.img_size
    try:
        return Train.model_validate(train.model_dump() | given)
    except ValidationError as error:
        raise UserError("; ".join(in_words(error, Train))) from None


def resolve(model: str, img_size: int) -> BackboneArchitecture:
    """The backbone for images of this side, built for it where it takes but one."""
    return replace(age_network.for_features(model, img_size), img_size=img_size)


def read_table(split: Path) -> pd.DataFrame:
    """The training faces, two at least."""
    for path in (tables.FACES, tables.SPLIT, split):
        if not path.exists():
            stage = "label_issues" if path == tables.CLEAN_SPLIT else "split"
            raise UserError(f"there is no {path} yet: `dvc repro {stage}` makes it")
    train = tables.read_splits(split)["train"]
    if len(train) < 2:
        raise UserError("the training set has fewer than 2 faces; add faces to data.source")
    return train


def describe(
    params: TrainParams, architecture: BackboneArchitecture, table: pd.DataFrame
) -> dict[str, object]:
    """How the weights were made, for the file and for MLflow."""
    settings = params.train
    return {
        "method": "simclr",
        "model": architecture.model,
        "img_size": architecture.img_size,
        "weights": params.weights,
        "faces": len(table),
        "synthetic": bool(table["synthetic"].any()),
        "seed": params.seed,
        **{key: getattr(settings, key) for key in ("epochs", "batch_size", "lr", "optimizer")},
        tables.FACES.name: Shards(tables.FACES).digest,
        Path(settings.split).name: sha256(Path(settings.split)),
        **{name: version(name) for name in ("torch", "timm", "lightly")},
    }


def describe_teacher(folder: Path, split: Path) -> dict[str, str]:
    """Which model teaches; says so where it learned with another split."""
    about = saved_model.describe(folder)
    if about.get("data", {}).get(split.name) != sha256(split):
        print(
            f"note: {folder} learned with another split than {split}: faces that it has learned"
            " from may be among those of val and test",
            file=sys.stderr,
        )
    return {"method": "distillation", "teacher": about["fingerprint"]}


if __name__ == "__main__":
    run(main)
