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

from faceage.core import formats, sealed
from faceage.core.hashing import sha256
from faceage.core.outputs import atomic_write, rounded
from faceage.core.script import UserError
from faceage.networks import backbones, earlier_formats, targets
from faceage.networks.age_network import Architecture, Model, build
from faceage.networks.targets import Target

FOLDER = Path("models")
PRETRAINED = backbones.PRETRAINED
WEIGHTS, ABOUT, EVALUATION = "model.safetensors", "model.json", "evaluation.json"
WEIGHTS_HASH = "weights_sha256"
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
    _write(FOLDER, tensors, content)


def save_evaluation(fingerprint: str, intervals: dict[str, Any], test: dict[str, Any]) -> None:
    """Write evaluation.json.

    Parameters
    ----------
    fingerprint : of the model that was measured
    intervals : `Calibration.as_dict`, empty for a model without ages
    test : metrics on the test set, by name
    """
    content = {"fingerprint": fingerprint, "intervals": intervals, "test": test}
    _write_sealed(FOLDER / EVALUATION, rounded(content))


def is_there(folder: Path) -> bool:
    """Whether a folder holds a model, whole or not."""
    return (folder / ABOUT).is_file()


def describe(folder: Path = FOLDER) -> dict[str, Any]:
    """Content of model.json.

    Raises
    ------
    UserError
        If there is none, it is damaged, or of a later format than this program knows.
    """
    if not is_there(folder):
        raise UserError(f"there is no model at {folder}: {ABOUT} is missing; {RETRAIN}")
    content = _read(folder / ABOUT, RETRAIN)
    try:
        return earlier_formats.in_present_words(content)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{folder / ABOUT} says too little to predict with ({error!r}); {RETRAIN}"
        ) from None


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
    _check_weights(folder, content)
    try:
        architecture = Architecture(**content["architecture"])
        target = targets.restore(content["target"])
        model = Model([build(architecture) for _ in range(architecture.members)])
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (KeyError, TypeError, RuntimeError, FileNotFoundError, SafetensorError) as error:
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
    _write(destination, tensors, describe(source))
    if evaluation:
        _write_sealed(destination / EVALUATION, evaluation)


def _write(folder: Path, tensors: dict[str, torch.Tensor], content: dict[str, Any]) -> None:
    with atomic_write(folder / WEIGHTS) as part:
        save_file(tensors, part)
    _write_sealed(folder / ABOUT, content | {WEIGHTS_HASH: sha256(folder / WEIGHTS)})


def _write_sealed(path: Path, content: dict[str, Any]) -> None:
    whole = sealed.sealed({formats.KEY: formats.CURRENT} | content)
    with atomic_write(path) as part:
        part.write_text(json.dumps(whole, indent=2) + "\n")


def _check_weights(folder: Path, content: dict[str, Any]) -> None:
    """Raise `UserError` if the weights are not those that model.json was written with."""
    path, written = folder / WEIGHTS, content.get(WEIGHTS_HASH)
    if written and path.is_file() and sha256(path) != written:
        raise UserError(f"{path} is damaged, or of another model than {ABOUT} beside it; {RETRAIN}")


def _read(path: Path, remedy: str) -> dict[str, Any]:
    """A JSON object without its format and its seal, which those of the first format have not."""
    try:
        content = json.loads(path.read_text())
        if not isinstance(content, dict):
            raise sealed.Broken
        formats.require_known(content, path)
        if formats.KEY in content or sealed.KEY in content:
            content = sealed.unsealed(content)
    except (ValueError, sealed.Broken):
        raise UserError(f"{path} is damaged; {remedy}") from None
    return {key: value for key, value in content.items() if key != formats.KEY}
