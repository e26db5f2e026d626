"""The training loop: epochs of augmented batches, averaged weights, the best of them kept."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from faceage import devices
from faceage.augment import augment
from faceage.checkpoints import Checkpoint
from faceage.faces import normalise, to_input
from faceage.inference import predict
from faceage.networks import AgeNetwork
from faceage.params import Train
from faceage.progress import bar
from faceage.stage import UserError
from faceage.targets import Regression

# The cosine ends at, and the warm-up starts from, this share of the highest rate.
LOW_RATE = 0.01

State = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """Faces of one part of the split: uint8 (n, side, side, 3) and ages in years (n,)."""

    pixels: Tensor
    ages: Tensor


@dataclass(frozen=True)
class Epoch:
    """One row of reports/history.csv. Losses are means; `val_mae` is in years."""

    epoch: int
    lr: float
    train_loss: float
    val_loss: float
    val_mae: float


class Training:
    """A network, its optimiser and its averaged weights, moved on one epoch at a time.

    Every random choice of an epoch comes from (seed, epoch), so that a training that goes on from
    a checkpoint makes the choices of one that was never interrupted.
    """

    def __init__(
        self, network: AgeNetwork, target: Regression, settings: Train, seed: int, steps: int
    ) -> None:
        self.network, self.target, self.settings, self.seed = network, target, settings, seed
        self.steps = steps
        self.device = next(network.parameters()).device
        self.dtype = devices.arithmetic(settings.precision, self.device, network)
        self.optimizer = create_optimizer_v2(
            network, "adamw", lr=settings.lr, weight_decay=settings.weight_decay
        )
        self.scheduler = CosineLRScheduler(
            self.optimizer,
            t_initial=settings.epochs * steps,
            lr_min=LOW_RATE * settings.lr,
            warmup_t=round(settings.warmup_epochs * steps),
            warmup_lr_init=LOW_RATE * settings.lr,
            t_in_epochs=False,
        )
        self.average = ModelEmaV3(network, decay=settings.ema_decay, use_warmup=True)

    def state(self) -> State:
        """Everything that the next epoch depends on."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.module.state_dict(),
        }

    def restore(self, state: State) -> None:
        """Go on from a `state`."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.module.load_state_dict(state["average"])

    def epoch(self, number: int, train: Part) -> float:
        """Take every training face once, in batches; return the mean loss. `number` is 1-based."""
        # The seed of an epoch also drives dropout, which draws from the global generator.
        torch.manual_seed(self.seed * 1_000_003 + number)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        order = torch.randperm(len(train.ages), generator=generator)
        self.network.train()
        total = 0.0
        progress = bar(range(self.steps), f"epoch {number}", "step")
        for step in progress:
            rows = order[step * self.settings.batch_size : (step + 1) * self.settings.batch_size]
            images = to_input(train.pixels, self.network.architecture.px, self.device, rows)
            images = augment(images, self.settings.augment, generator)
            self.scheduler.step_update((number - 1) * self.steps + step)
            loss = self._step(images, train.ages[rows].to(self.device))
            self.average.update(self.network, step=(number - 1) * self.steps + step)
            total += loss
            progress.set_postfix(loss=f"{total / (step + 1):.4f}", refresh=False)
        return total / self.steps

    def validate(self, part: Part) -> tuple[float, float]:
        """Mean loss and MAE, in years, of the averaged weights."""
        logits = predict(self.average.module, part.pixels, self.dtype)
        error = self.target.decode(logits) - part.ages
        return float(self.target.loss(logits, part.ages)), float(error.abs().mean())

    def _step(self, images: Tensor, ages: Tensor) -> float:
        architecture = self.network.architecture
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits = self.network(normalise(images, architecture.mean, architecture.std))
        loss = self.target.loss(logits.float(), ages)
        if not torch.isfinite(loss):
            raise UserError(
                f"train: the loss became {loss.item()}; try a lower train.lr (now"
                f" {self.settings.lr:g}) or train.precision=float32"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_grad)
        self.optimizer.step()
        return float(loss.detach())


@dataclass(frozen=True)
class Fitted:
    """The best averaged weights by validation MAE, and how the training got there."""

    weights: dict[str, Tensor]
    history: list[Epoch]

    @property
    def best(self) -> Epoch:
        """The epoch that the weights come from, the earliest of equals."""
        return min(self.history, key=lambda epoch: epoch.val_mae)


def fit(
    training: Training,
    train: Part,
    val: Part,
    checkpoint: Checkpoint,
    run_id: str | None,
    after_epoch: Callable[[Epoch, dict[str, float]], None],
) -> Fitted:
    """Train until the epochs are done or `patience` of them brought nothing better.

    Goes on from `checkpoint` if it holds a state; `run_id`, the tracking run, is kept with it.
    `after_epoch` gets each finished epoch and its speed: seconds, faces_per_second.
    """
    settings = training.settings
    fitted = Fitted({}, [])
    if state := checkpoint.load():
        training.restore(state)
        fitted = Fitted(state["best"], [Epoch(**row) for row in state["history"]])
        print(f"going on after epoch {len(fitted.history)} of an interrupted training")

    while len(fitted.history) < settings.epochs and not _stalled(fitted, settings.patience):
        number, start = len(fitted.history) + 1, time.perf_counter()
        train_loss = training.epoch(number, train)
        seconds = time.perf_counter() - start
        lr = training.optimizer.param_groups[0]["lr"]
        val_loss, val_mae = training.validate(val)
        epoch = Epoch(number, lr, train_loss, val_loss, val_mae)
        weights = fitted.weights
        if not weights or val_mae < fitted.best.val_mae:
            state = training.average.module.state_dict()
            weights = {name: tensor.cpu().clone() for name, tensor in state.items()}
        fitted = Fitted(weights, [*fitted.history, epoch])
        history = [vars(row) for row in fitted.history]
        checkpoint.save(training.state() | {"best": weights, "history": history, "run_id": run_id})
        after_epoch(epoch, {"seconds": seconds, "faces_per_second": len(train.ages) / seconds})
    return fitted


def _stalled(fitted: Fitted, patience: int) -> bool:
    return bool(fitted.history) and len(fitted.history) - fitted.best.epoch >= patience
