"""The folder `models/`: weights and the JSON that rebuilds the network; loading unpickles nothing.

model.safetensors holds the tensors of each member, numbered from 0: `members.0.backbone.*`, in the
key names of timm, and `members.0.head.*`. model.json says which timm model, which input and how
logits become ages, which is all that is needed to rebuild the model without this repository.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from faceage import targets
from faceage.networks import Architecture, Model, build
from faceage.outputs import whole_folder
from faceage.stage import UserError
from faceage.targets import Target

FOLDER = Path("models")
RETRAIN = "train it again: dvc repro -f train"


def save(
    weights: list[dict[str, torch.Tensor]],
    architecture: Architecture,
    target: Target,
    about: dict[str, Any],
) -> None:
    """Write the folder: weights of each member, and `about` in the JSON as it is."""
    content = {"architecture": architecture.as_dict(), "target": targets.as_dict(target)} | about
    tensors = {
        f"members.{member}.{name}": tensor.contiguous()
        for member, named in enumerate(weights)
        for name, tensor in named.items()
    }
    with whole_folder(FOLDER) as folder:
        save_file(tensors, folder / "model.safetensors")
        (folder / "model.json").write_text(json.dumps(content, indent=2) + "\n")


def describe(folder: Path = FOLDER) -> dict[str, Any]:
    """Content of model.json.

    Raises
    ------
    UserError
        If there is none or it cannot be read.
    """
    path = folder / "model.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(
            f"there is no model at {folder}: {path.name} is missing; {RETRAIN}"
        ) from None
    except ValueError:
        raise UserError(f"{path} is damaged; {RETRAIN}") from None
    return content


def load(folder: Path = FOLDER) -> tuple[Model, Target]:
    """Rebuild the model, in evaluation mode, and what decodes its logits.

    Raises
    ------
    UserError
        If a file is missing, damaged or of another model.
    """
    content = describe(folder)
    path = folder / "model.safetensors"
    try:
        architecture = Architecture(**content["architecture"])
        target = targets.restore(content["target"])
        model = Model([build(architecture) for _ in range(architecture.members)])
        model.load_state_dict(load_file(path))
    except (KeyError, TypeError, RuntimeError, OSError, SafetensorError) as error:
        raise UserError(f"{folder} holds no whole model ({error}); {RETRAIN}") from None
    return model.eval(), target
