"""The folder `models/`: weights and the JSON that rebuilds the network; loading unpickles nothing.

model.safetensors holds the tensors of `AgeNetwork`: `backbone.*`, in the key names of timm, and
`head.weight`, `head.bias`. model.json says which timm model, which input and how logits become
ages, which is all that is needed to rebuild the model without this repository.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from faceage.networks import AgeNetwork, Architecture, build
from faceage.outputs import whole_folder
from faceage.stage import UserError
from faceage.targets import Regression

FOLDER = Path("models")
RETRAIN = "train it again: dvc repro -f train"


def save(
    weights: dict[str, torch.Tensor],
    architecture: Architecture,
    target: Regression,
    about: dict[str, Any],
) -> None:
    """Write the folder; `about` is kept in the JSON as it is."""
    content = {"architecture": architecture.as_dict(), "target": target.as_dict()} | about
    with whole_folder(FOLDER) as folder:
        contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
        save_file(contiguous, folder / "model.safetensors")
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


def load(folder: Path = FOLDER) -> tuple[AgeNetwork, Regression]:
    """Rebuild the network, in evaluation mode, and what decodes its logits.

    Raises
    ------
    UserError
        If a file is missing, damaged or of another model.
    """
    content = describe(folder)
    path = folder / "model.safetensors"
    try:
        architecture = Architecture(**content["architecture"])
        target = Regression(**content["target"])
        network = build(architecture)
        network.load_state_dict(load_file(path))
    except (KeyError, TypeError, RuntimeError, OSError, SafetensorError) as error:
        raise UserError(f"{folder} holds no whole model ({error}); {RETRAIN}") from None
    return network.eval(), target
