"""How a backbone is pre-trained, whatever it learns: its epochs, its checkpoints, its file."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Generator, Tensor, nn

from faceage.core.outputs import atomic_write
from faceage.core.progress import bar
from faceage.core.script import UserError
from faceage.core.settings import Train
from faceage.networks import devices
from faceage.networks.age_network import BackboneArchitecture
from faceage.networks.faces import normalise, to_input
from faceage.training.checkpoints import Checkpoint
from faceage.training.optimizers import (
    after_epoch,
    before_step,
    learn,
    make_optimizer,
    make_scheduler,
)
from faceage.training.transforms import Transform, augment


class Objective(ABC):
    """What a backbone learns.

    projection: from its features to what they are compared by; transforms: what makes a view of a
    face; views: how many of each face are looked at in a step.
    """

    projection: nn.Module
    transforms: list[Transform]
    views: int

    @abstractmethod
    def loss(self, projected: Tensor, rows: Tensor) -> Tensor:
        """What is to become small.

        Parameters
        ----------
        projected : float (views * n, k), first one view of each face, then the next
        rows : numbers of the faces (n,)
        """


class Pretrainer:
    """Pre-trains one backbone; every random choice comes from `seed` and the epoch's number.

    Parameters
    ----------
    backbone : of `age_network.build_backbone`, on the device where it learns
    settings : epochs, batch_size, lr, optimizer, scheduler and what belongs to them
    pixels : uint8 (faces, side, side, 3), two at least
    """

    def __init__(
        self,
        backbone: nn.Module,
        objective: Objective,
        architecture: BackboneArchitecture,
        settings: Train,
        pixels: Tensor,
        seed: int,
    ) -> None:
        self.objective, self.architecture = objective, architecture
        self.settings, self.pixels, self.seed = settings, pixels, seed
        self.device = next(backbone.parameters()).device
        self.dtype = devices.arithmetic(settings.precision, self.device)
        self.network = nn.Sequential(backbone, objective.projection.to(self.device))
        self.optimizer = make_optimizer(self.network, settings, settings.lr)
        self.steps = max(1, len(pixels) // settings.batch_size)
        self.scheduler = make_scheduler(self.optimizer, settings, settings.epochs, self.steps)
        self.losses: list[float] = []  # the mean of each epoch

    def fit(
        self,
        checkpoint: Checkpoint,
        run_id: str | None,
        report: Callable[[int, float, float], None],
    ) -> None:
        """Train until all epochs are done, going on from `checkpoint` if it holds a state.

        `run_id`, the tracking run, is kept with it; `report` gets each finished epoch's number,
        mean loss and seconds.
        """
        state = checkpoint.load()
        if state:
            self._restore(state)
            print(f"going on after epoch {len(self.losses)} of an interrupted pre-training")
        while len(self.losses) < self.settings.epochs:
            start = time.perf_counter()
            self.losses.append(self.train_epoch(len(self.losses) + 1))
            after_epoch(self.scheduler, self.losses[-1])
            checkpoint.save(self._state() | {"run_id": run_id})
            report(len(self.losses), self.losses[-1], time.perf_counter() - start)

    def train_epoch(self, number: int) -> float:
        """Take every face once, but for a last, smaller batch; return the mean loss."""
        # The seed of an epoch also drives dropout, which draws from the global generator.
        torch.manual_seed(self.seed * 1_000_003 + number)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        self.network.train()
        order = torch.randperm(len(self.pixels), generator=generator)
        progress = bar(
            order.split(self.settings.batch_size)[: self.steps], f"epoch {number}", "step"
        )
        total = 0.0
        for step, rows in enumerate(progress, start=1):
            before_step(self.scheduler, (number - 1) * self.steps + step - 1)
            loss = self.step(rows, generator)
            if not math.isfinite(loss):
                raise UserError(
                    f"the loss became {loss:g} in step {step} of {self.steps} of epoch {number};"
                    f" try a lower --lr (now {self.settings.lr:g})"
                )
            total += loss
            progress.set_postfix(loss=f"{total / step:.4f}", refresh=False)
        return total / self.steps

    def step(self, rows: Tensor, generator: Generator) -> float:
        """Learn from views of each face of a batch; return the loss."""
        images = to_input(self.pixels, self.architecture.img_size, self.device, rows)
        transforms, count = self.objective.transforms, self.objective.views
        views = [augment(images.clone(), transforms, generator) for _ in range(count)]
        inputs = normalise(torch.cat(views), self.architecture.mean, self.architecture.std)
        with devices.training_arithmetic(self.dtype, self.device):
            projected = self.network(inputs)
        loss = self.objective.loss(projected.float(), rows)
        return learn(loss, self.optimizer, self.network, self.settings.clip_grad)

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "losses": self.losses,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.losses = state["losses"]


def save(backbone: nn.Module, path: Path, about: dict[str, object]) -> None:
    """Write a backbone's weights in timm's key names, and `about` as the file's metadata, as text.

    `safetensors.safe_open(path, "pt").metadata()` reads it.
    """
    tensors = {name: tensor.cpu().contiguous() for name, tensor in backbone.state_dict().items()}
    with atomic_write(path) as part:
        save_file(tensors, part, {name: str(value) for name, value in about.items()})
