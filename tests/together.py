"""Small trainings and batches, computed by one process or, as a script, by each of several."""

import json
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from test_training import new_trainer, some_faces
from timm.layers import BatchNormAct2d, DropPath
from torch import Tensor, nn

from faceage.core import params
from faceage.core.script import run
from faceage.networks import faces, forward
from faceage.training import loop
from faceage.training.checkpoints import Checkpoint
from faceage.training.launch import launched
from faceage.training.processes import Processes

FACES = 21  # in batches of 8, 8 and 5
HALF = 2  # epochs after which a checkpoint is set aside
OTHERS = {"one": "two", "two": "one"}


def in_double() -> None:
    """Have trainings of this process computed in float64.

    The order in which sums are rounded differs with the number of processes, and a training makes
    more of it with each step; in float64 what is left at its end is below what is compared.
    """

    def normalise(*arguments: Any) -> Tensor:
        return faces.normalise(*arguments).double()

    def extract_features(*arguments: Any) -> Tensor:
        return forward.extract_features(*arguments).double()

    setattr(loop, "extract_features", extract_features)  # noqa: B010 (mypy allows no other way)
    setattr(loop, "normalise", normalise)  # noqa: B010
    setattr(forward, "normalise", normalise)  # noqa: B010


def histories(processes: Processes, name: str) -> list[list[dict[str, Any]]]:
    """Train as params.yaml says, and go on from what others set aside, if they have.

    Parameters
    ----------
    name : of the checkpoints, one or two
    """
    settings = params.load(params.TrainParams)

    def set_aside(checkpoint: Checkpoint, epoch: loop.Epoch, speed: dict[str, float]) -> None:
        if epoch.epoch == HALF:
            shutil.copy(checkpoint.path, f"{name}.pt")

    def fit(checkpoint: Checkpoint) -> list[dict[str, Any]]:
        trainer = new_trainer(settings, some_faces(FACES), processes=processes)
        trainer.network.double()
        fitted = trainer.fit(checkpoint, None, partial(set_aside, checkpoint))
        return [vars(epoch) for epoch in fitted.history]

    found = [fit(Checkpoint(name))]
    half = Path(f"{OTHERS[name]}.pt")
    if half.exists():
        gone_on = Checkpoint(f"{name} after {OTHERS[name]}")
        if processes.is_first:
            gone_on.folder.mkdir(parents=True)
            shutil.copy(half, gone_on.path)
        found.append(fit(gone_on))
    return found


class Norms(nn.Module):
    """Every kind of layer that is not by itself with each face."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, 3),
            nn.BatchNorm2d(6),
            DropPath(0.4),
            nn.Conv2d(6, 4, 3),
            BatchNormAct2d(4),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.BatchNorm1d(64, affine=False),
            nn.Linear(64, 2),
            nn.Dropout(0.5),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Of float (n, 3, 8, 8)."""
        found: Tensor = self.layers(images)
        return found


def step_of_norms(processes: Processes, count: int) -> dict[str, Tensor]:
    """Logits of a batch, its gradients, and the statistics that it leaves."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, 8, 8, generator=generator, dtype=torch.float64)
    images = images.contiguous(memory_format=torch.channels_last)
    part = processes.part(count)
    own = images[part.rows].requires_grad_()
    network = Norms().double()
    wrapped = processes.wrap(network)
    torch.manual_seed(4)
    with processes.as_one(part):
        logits = wrapped(own)
    logits = processes.gather(logits, part)
    (logits * torch.arange(2 * count).view(count, 2)).square().mean().backward()
    assert own.grad is not None
    # Taken from the mean over processes, as those of the weights are.
    of_images = processes.gather(own.grad / (1 if part.is_whole else processes.count), part)
    gradients = {
        f"gradient of {name}": parameter.grad
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }
    found = {"logits": logits.detach(), "gradient of images": of_images, **gradients}
    return found | dict(network.named_buffers())


def main(processes: Processes) -> None:
    """Write what several processes find into each of the folders given, which has a params.yaml."""
    in_double()
    for folder in sys.argv[1:]:
        os.chdir(folder)
        found = histories(processes, "two")
        if processes.is_first:
            Path("two.json").write_text(json.dumps(found))
    steps = {count: step_of_norms(processes, count) for count in (7, 2)}
    if processes.is_first:
        torch.save(steps, "steps.pt")
    print(f"process {processes.rank} of {processes.count}, environment {os.environ['RANK']}")


if __name__ == "__main__":
    run(partial(launched, main))
