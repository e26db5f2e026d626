"""The folder `models/`: all that a model needs to be used; loading unpickles nothing.

model.safetensors holds the tensors of each member, numbered from 0: `members.0.backbone.*`, in the
key names of timm, and `members.0.head.*`. model.json says which timm model, which input and how
logits become ages, and which data it was trained on. evaluation.json, written when the model has
been measured, has what makes intervals out of estimates, and its metrics.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from faceage.core.outputs import atomic_write, write_json
from faceage.core.script import UserError
from faceage.networks import backbones, targets
from faceage.networks.age_network import Architecture, Model, build
from faceage.networks.targets import Target

FOLDER = Path("models")
PRETRAINED = backbones.PRETRAINED
WEIGHTS, ABOUT, EVALUATION = "model.safetensors", "model.json", "evaluation.json"
RETRAIN = "train it again: dvc repro -f train"
REEVALUATE = "measure the model again: dvc repro -f evaluate"


def save(
    weights: list[dict[str, torch.Tensor]],
    architecture: Architecture,
    target: Target,
    about: dict[str, Any],
) -> None:
    """Write weights of each member, and model.json with `about` in it as it is."""
    content = {"architecture": architecture.as_dict(), "target": targets.as_dict(target)} | about
    tensors = {
        f"members.{member}.{name}": tensor.contiguous()
        for member, named in enumerate(weights)
        for name, tensor in named.items()
    }
    with atomic_write(FOLDER / WEIGHTS) as part:
        save_file(tensors, part)
    with atomic_write(FOLDER / ABOUT) as part:
        part.write_text(json.dumps(content, indent=2) + "\n")


def save_evaluation(fingerprint: str, intervals: dict[str, Any], test: dict[str, Any]) -> None:
    """Write evaluation.json.

    Parameters
    ----------
    fingerprint : of the model that was measured
    intervals : `Calibration.as_dict`, empty for a model without ages
    test : metrics on the test set, by name
    """
    content = {"fingerprint": fingerprint, "intervals": intervals, "test": test}
    write_json(FOLDER / EVALUATION, content)


def is_there(folder: Path) -> bool:
    """Whether a folder holds a model, whole or not."""
    return (folder / ABOUT).is_file()


def describe(folder: Path = FOLDER) -> dict[str, Any]:
    """Content of model.json.

    Raises
    ------
    UserError
        If there is none or it cannot be read.
    """
    if not is_there(folder):
        raise UserError(f"there is no model at {folder}: {ABOUT} is missing; {RETRAIN}")
    return _read(folder / ABOUT, RETRAIN)


def describe_evaluation(folder: Path = FOLDER) -> dict[str, Any] | None:
    """Content of evaluation.json; None for a model that was not measured.

    Raises
    ------
    UserError
        If it is damaged or of another model.
    """
    path = folder / EVALUATION
    if not path.is_file():
        return None
    content = _read(path, REEVALUATE)
    if content.get("fingerprint") != describe(folder).get("fingerprint"):
        raise UserError(f"{path} is of another model than {ABOUT} beside it; {REEVALUATE}")
    return content


def load(folder: Path = FOLDER) -> tuple[Model, Target]:
    """Rebuild the model, in evaluation mode, and what decodes its logits.

    Raises
    ------
    UserError
        If a file is missing, damaged or of another model.
    """
    content = describe(folder)
    try:
        architecture = Architecture(**content["architecture"])
        target = targets.restore(content["target"])
        model = Model([build(architecture) for _ in range(architecture.members)])
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (KeyError, TypeError, RuntimeError, OSError, SafetensorError) as error:
        raise UserError(f"{folder} holds no whole model ({error}); {RETRAIN}") from None
    return model.eval(), target


def write_half(source: Path, destination: Path) -> None:
    """Copy a model folder with its weights in half precision, which halves the file.

    Matrices and kernels alone: what norms and biases take is little, and the variances of norms
    may lie outside of what 16 bits hold. Loaded again everything is float32.

    Raises
    ------
    UserError
        If the source holds no whole model.
    """
    model, _ = load(source)
    evaluation = describe_evaluation(source)
    tensors = {
        name: (tensor.half() if tensor.ndim > 1 else tensor).contiguous()
        for name, tensor in model.state_dict().items()
    }
    destination.mkdir(parents=True, exist_ok=True)
    with atomic_write(destination / WEIGHTS) as part:
        save_file(tensors, part)
    write_json(destination / ABOUT, describe(source))
    if evaluation:
        write_json(destination / EVALUATION, evaluation)


def _read(path: Path, remedy: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (ValueError, OSError):
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged; {remedy}")
    return content
