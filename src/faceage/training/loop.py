"""The training loop: phases of epochs of batches, averaged weights, the best of them kept."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from faceage.core.progress import bar
from faceage.core.script import UserError
from faceage.core.settings import Phase, Train
from faceage.networks import devices
from faceage.networks.age_network import AgeNetwork
from faceage.networks.losses import rarity
from faceage.networks.targets import Labels, Target
from faceage.training import phases
from faceage.training.checkpoints import Checkpoint
from faceage.training.mixing import mix, mixed_loss
from faceage.training.optimizers import Schedule, make_optimizer

State = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """Faces of one part of the split: uint8 (n, side, side, 3) and their labels."""

    pixels: Tensor
    labels: Labels


@dataclass(frozen=True)
class Task:
    """What is to be learned, how, and from which faces.

    boundaries: of the age groups that the accuracy of estimated ages goes by.
    """

    target: Target
    settings: Train
    train: Part
    val: Part
    boundaries: list[int]


@dataclass(frozen=True)
class Epoch:
    """One row of reports/history.csv. Losses are means; `val_mae` is in years.

    phase, epoch: from 1; epochs are counted through the phases. val_accuracy: share of the faces
    put into the right class, or for targets that learn ages into the right age group.
    """

    phase: int
    epoch: int
    lr: float
    train_loss: float
    val_loss: float
    val_mae: float
    val_accuracy: float

    def better(self, other: "Epoch", monitor: str) -> bool:
        """Whether this one is better than an earlier one by `mae` or `accuracy`."""
        if monitor == "mae":
            return self.val_mae < other.val_mae
        return self.val_accuracy > other.val_accuracy


class PhaseTraining:
    """A network whose layers of one phase learn, its optimiser and its averaged weights.

    Every random choice of an epoch comes from (seed, epoch), so that a training that goes on from
    a checkpoint makes the choices of one that was never interrupted.
    """

    def __init__(self, network: AgeNetwork, task: Task, phase: Phase, seed: int) -> None:
        target, settings, train, val = task.target, task.settings, task.train, task.val
        self.network, self.target, self.settings, self.seed = network, target, settings, seed
        self.boundaries = torch.tensor(task.boundaries, dtype=torch.float32)
        self.device = next(network.parameters()).device
        self.dtype = devices.arithmetic(settings.precision, self.device, network)
        self.module = phases.freeze(network, phase)
        self.train_inputs = phases.inputs_of(network, phase, train.pixels, settings)
        self.val_inputs = phases.inputs_of(network, phase, val.pixels, settings)
        self.encoded, self.val = target.encode(train.labels), val.labels
        self.mixes = bool(settings.mixup or settings.cutmix) and phase.layers != "head"
        self.steps = max(1, len(train.labels) // settings.batch_size)
        self.weights = _rarity(train.labels, target, settings)
        self.optimizer = make_optimizer(self.module, settings, phase.lr or settings.lr)
        epochs = phase.epochs or settings.epochs
        self.schedule = Schedule(self.optimizer, settings, epochs, self.steps)
        self.average = ModelEmaV3(self.module, decay=settings.ema_decay, use_warmup=True)

    def state(self) -> State:
        """Everything that the next epoch depends on."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": self.average.module.state_dict(),
        }

    def restore(self, state: State) -> None:
        """Go on from a `state`."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.average.module.load_state_dict(state["average"])

    def averaged(self) -> dict[str, Tensor]:
        """The averaged weights of the whole network, on the CPU."""
        prefix = "" if self.module is self.network else "head."
        average = {prefix + name: t for name, t in self.average.module.state_dict().items()}
        whole = self.network.state_dict() | average
        return {name: tensor.cpu().clone() for name, tensor in whole.items()}

    def epoch(self, number: int, of_phase: int) -> float:
        """Take every training face once, in batches; return the mean loss.

        number: of the epoch in the training, of_phase: in its phase, both from 1.
        """
        # The seed of an epoch also drives dropout, which draws from the global generator.
        torch.manual_seed(self.seed * 1_000_003 + number)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        order = self._order(generator)
        phases.set_training(self.module)
        total = 0.0
        progress = bar(range(self.steps), f"epoch {number}", "step")
        for step in progress:
            rows = order[step * self.settings.batch_size : (step + 1) * self.settings.batch_size]
            inputs = self.train_inputs.batch(rows, generator)
            done = (of_phase - 1) * self.steps + step
            self.schedule.before_step(done)
            loss = self._step(inputs, rows, generator)
            self.average.update(self.module, step=done)
            total += loss
            progress.set_postfix(loss=f"{total / (step + 1):.4f}", refresh=False)
        return total / self.steps

    def validate(self) -> tuple[float, float, float]:
        """Mean loss, MAE in years and accuracy of the averaged weights."""
        logits = self.val_inputs.predict(self.average.module, self.dtype)
        loss = self.target.losses(logits, self.target.encode(self.val)).mean()
        age, learned = self.target.age(logits), self.target.classes(logits)
        if learned:
            right = learned[1] == self.target.encode(self.val)[:, 0]
        else:
            right = self._group(age) == self._group(self.val.age)
        return float(loss), float((age - self.val.age).abs().mean()), float(right.float().mean())

    def _group(self, age: Tensor) -> Tensor:
        return torch.bucketize(age.floor(), self.boundaries, right=True)

    def _order(self, generator: torch.Generator) -> Tensor:
        if self.settings.reweight == "sampler":
            count = len(self.weights)
            return torch.multinomial(self.weights, count, replacement=True, generator=generator)
        return torch.randperm(len(self.weights), generator=generator)

    def _step(self, inputs: Tensor, rows: Tensor, generator: torch.Generator) -> float:
        encoded = self.encoded[rows].to(self.device)
        partner, share = None, 1.0
        if self.mixes:
            mixup, cutmix = self.settings.mixup, self.settings.cutmix
            inputs, partner, share = mix(inputs, mixup, cutmix, generator)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits = self.module(inputs)

        def losses(labels: Tensor) -> Tensor:
            return self.target.losses(logits.float(), labels)

        each = losses(encoded)
        if partner is not None:
            each = mixed_loss(losses, encoded, partner, share)
        if self.settings.reweight == "loss":
            each = each * self.weights[rows].to(self.device)
        loss = each.mean()
        if not torch.isfinite(loss):
            raise UserError(
                f"train: the loss became {loss.item()}; try a lower train.lr (now"
                f" {self.settings.lr:g}) or train.precision=float32"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), self.settings.clip_grad)
        self.optimizer.step()
        return float(loss.detach())


def _rarity(labels: Labels, target: Target, settings: Train) -> Tensor:
    """Weight of each training face: by how rare its age is, or the class that is learned of it."""
    if settings.reweight == "none":
        return torch.ones(len(labels))
    learns_classes = target.classes(torch.zeros(1, target.outputs)) is not None
    values = target.encode(labels)[:, 0] if learns_classes else labels.age.round()
    years = 0.0 if learns_classes else settings.lds_sigma
    weights = rarity(values.numpy().astype(int), settings.reweight_power, years)
    return torch.tensor(weights.astype(np.float32))


@dataclass(frozen=True)
class Fitted:
    """The best averaged weights, and how the training got there."""

    weights: dict[str, Tensor]
    history: list[Epoch]
    _best: Epoch | None = None

    @property
    def best(self) -> Epoch:
        """The epoch that the weights come from, the earliest of equals."""
        assert self._best
        return self._best

    def after(
        self, epoch: Epoch, monitor: str, weights: Callable[[], dict[str, Tensor]]
    ) -> "Fitted":
        """One epoch on; of equally good epochs the earliest is kept."""
        history = [*self.history, epoch]
        if self._best is None or epoch.better(self._best, monitor):
            return Fitted(weights(), history, epoch)
        return Fitted(self.weights, history, self._best)


def fit(
    network: AgeNetwork,
    task: Task,
    seed: int,
    checkpoint: Checkpoint,
    run_id: str | None,
    after_epoch: Callable[[Epoch, dict[str, float]], None],
) -> Fitted:
    """Train through all phases, each until its epochs are done or nothing better comes.

    Goes on from `checkpoint` if it holds a state; `run_id`, the tracking run, is kept with it.
    `after_epoch` gets each finished epoch and its speed: seconds, faces_per_second.
    """
    settings = task.settings
    fitted, state = Fitted({}, []), checkpoint.load()
    if state:
        history = [Epoch(**row) for row in state["history"]]
        fitted = Fitted(state["best"], history, history[state["best_epoch"] - 1])
        network.load_state_dict(state["network"])  # which the features of a phase come from
        print(f"going on after epoch {len(history)} of an interrupted training")

    for number, phase in enumerate(settings.phases, start=1):
        if fitted.history and fitted.history[-1].phase > number:
            continue
        training = PhaseTraining(network, task, phase, seed)
        if state and fitted.history[-1].phase == number:
            training.restore(state)
        while not _is_over(fitted, number, phase, settings):
            start = time.perf_counter()
            of_phase = sum(epoch.phase == number for epoch in fitted.history) + 1
            train_loss = training.epoch(len(fitted.history) + 1, of_phase)
            seconds = time.perf_counter() - start
            lr = max(group["lr"] for group in training.optimizer.param_groups)
            measured = training.validate()
            training.schedule.after_epoch(measured[0])
            epoch = Epoch(number, len(fitted.history) + 1, lr, train_loss, *measured)
            fitted = fitted.after(epoch, settings.monitor, training.averaged)
            checkpoint.save(training.state() | _kept(fitted) | {"run_id": run_id})
            faces = training.steps * settings.batch_size
            after_epoch(epoch, {"seconds": seconds, "faces_per_second": faces / seconds})
    return fitted


def _is_over(fitted: Fitted, number: int, phase: Phase, settings: Train) -> bool:
    """Whether the phase has had its epochs, or `patience` of them without a better one."""
    done = [epoch for epoch in fitted.history if epoch.phase == number]
    if len(done) >= (phase.epochs or settings.epochs):
        return True
    best: Epoch | None = None
    for epoch in done:
        if best is None or epoch.better(best, settings.monitor):
            best = epoch
    return best is not None and done[-1].epoch - best.epoch >= settings.patience


def _kept(fitted: Fitted) -> State:
    return {
        "best": fitted.weights,
        "best_epoch": fitted.best.epoch,
        "history": [vars(epoch) for epoch in fitted.history],
    }


def check_monitor(labels: Labels, settings: Train) -> None:
    """Raise a `UserError` where the best epoch would be chosen by an error that nobody knows."""
    if settings.monitor == "mae" and math.isnan(float(labels.age.sum())):
        raise UserError(
            "train.monitor: without ages there is no mae to choose the best epoch by; set it to"
            " accuracy"
        )
