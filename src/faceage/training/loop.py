"""The training of one network, in the order in which it happens.

Data, then for each phase its set-up and its epochs: batches and steps, validation of the averaged
weights, the best of them kept, a checkpoint.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import Generator, Tensor

from faceage.core.progress import bar
from faceage.core.script import UserError
from faceage.core.settings import Phase, Train
from faceage.networks import devices
from faceage.networks.age_network import AgeNetwork
from faceage.networks.faces import normalise
from faceage.networks.forward import extract_features, predict
from faceage.networks.target import Labels, Target, distance_to
from faceage.training import weighting
from faceage.training.checkpoints import Checkpoint
from faceage.training.dataset import FaceDataset, batches
from faceage.training.mixing import mix, mixed_loss
from faceage.training.optimizers import (
    after_epoch,
    before_step,
    learn,
    make_optimizer,
    make_scheduler,
)
from faceage.training.phases import freeze, set_training
from faceage.training.processes import Processes
from faceage.training.transforms import augment, make_transforms
from faceage.training.whole_batch import Part, whole

State = dict[str, Any]

# Times the mean loss of the first epoch: no learning rate that works comes near it.
LARGEST_LOSS = 1000
SHOWN = 3  # faces named in a message


class Diverged(Exception):
    """The loss is no number or out of all proportion; the message says in which step."""


@dataclass(frozen=True)
class Epoch:
    """One row of reports/history.csv. Losses are means over faces; `val_mae` is in years.

    phase, epoch: from 1; epochs are counted through the phases. val_accuracy: share of the faces
    put into the right class, or for targets that learn ages into the right age group. Of a face
    with a band the error is its distance to it, and each group that the band touches is right.
    """

    phase: int
    epoch: int
    lr: float
    train_loss: float
    val_loss: float
    val_mae: float
    val_accuracy: float


@dataclass(frozen=True)
class Fitted:
    """The best averaged weights of the last phase, their epoch, and how the training got there."""

    weights: dict[str, Tensor]
    best: Epoch
    history: list[Epoch]


class Trainer:
    """Trains one network; every random choice comes from its seed and the epoch's number.

    So a training that goes on from a checkpoint makes the choices of one that was never
    interrupted. Where several processes train it, each has a Trainer and takes a part of every
    batch; all of them know the same and decide the same, and the first one writes.

    Parameters
    ----------
    boundaries : of the age groups that the accuracy of predicted ages goes by
    processes : those that train this network together
    """

    def __init__(
        self,
        network: AgeNetwork,
        target: Target,
        settings: Train,
        train: FaceDataset,
        val: FaceDataset,
        boundaries: list[int],
        seed: int,
        processes: Processes | None = None,
    ) -> None:
        self.network, self.target, self.settings, self.seed = network, target, settings, seed
        self.processes = processes or Processes()
        self.train, self.val = train, val
        self.encoded, self.val_encoded = target.encode(train.labels), target.encode(val.labels)
        self.boundaries = torch.tensor(boundaries, dtype=torch.float32)
        self.architecture = network.architecture  # of the model; that of a phase may be smaller
        self.device = next(network.parameters()).device
        self.dtype = devices.arithmetic(settings.precision, self.device)
        self.weights = weighting.of_faces(train, target, settings)
        self.rarity = weighting.rarity_of(train.labels, target, settings)
        self.steps = len(batches(torch.arange(len(train)), settings.batch_size))
        self.history: list[Epoch] = []
        self.best_weights: dict[str, Tensor] = {}

    def fit(
        self,
        checkpoint: Checkpoint,
        run_id: str | None,
        report: Callable[[Epoch, dict[str, float]], None],
    ) -> Fitted:
        """Train through all phases, each until its epochs are done or nothing better comes.

        Goes on from `checkpoint` if it holds a state; `run_id`, the tracking run, is kept with it.
        `report` gets each finished epoch and its speed: seconds, faces_per_second. What is kept
        says nothing of the processes: others, of another number, go on from it.
        """
        first = self.processes.is_first
        state = self.processes.same(checkpoint.load() if first else None)
        if state:
            self.history = [Epoch(**row) for row in state["history"]]
            self.best_weights = state["best"]
            if first:
                print(f"going on after {_reached(state)} of an interrupted training")
        begun = state["begun"] if state else None
        for number, phase in enumerate(self.settings.phases, start=1):
            reached = state["phase"] if state else 0
            if reached > number:
                continue
            self.start_phase(phase, state if reached == number else None)
            while not self._is_over(number, phase):
                start = time.perf_counter()
                of_phase = len(self._epochs_of(number)) + 1
                learned = begun["faces"] if begun else 0

                def keep(within: State, number: int = number) -> None:
                    checkpoint.save(self._state(number) | {"run_id": run_id, "begun": within})

                try:
                    train_loss = self.train_epoch(len(self.history) + 1, of_phase, begun, keep)
                except Diverged as diverged:
                    raise UserError(f"train: {diverged}; {self._way_out(checkpoint)}") from None
                begun = None
                seconds = time.perf_counter() - start
                lr = max(group["lr"] for group in self.optimizer.param_groups)
                # The first's, for what is decided by them is to be decided alike in all processes.
                measured = self.processes.same((train_loss, *self.validate()))
                epoch = Epoch(number, len(self.history) + 1, lr, *measured)
                after_epoch(self.scheduler, epoch.val_loss)
                self.history.append(epoch)
                if self._best(self._epochs_of(number)) is epoch:
                    self.best_weights = self._averaged()
                if first:
                    checkpoint.save(self._state(number) | {"run_id": run_id, "begun": None})
                    speed = (len(self.train) - learned) / seconds
                    report(epoch, {"seconds": seconds, "faces_per_second": speed})
        last = self._epochs_of(len(self.settings.phases))
        return Fitted(self.best_weights, self._best(last), self.history)

    def start_phase(self, phase: Phase, state: State | None = None) -> None:
        """Choose what learns, and make its inputs, optimiser, scheduler and averaged weights.

        It starts from the best averaged weights of the phase before, those that a training without
        it would have ended with (benchmarks/phase_start.md: on drawn faces neither better nor worse
        than the last weights by more than seeds differ), and chooses a best of its own:
        a phase on other images or labels may end with another error than one that was easier.

        Parameters
        ----------
        state : of an interrupted training within this phase, to go on from
        """
        if state:
            self.network.load_state_dict(state["network"])
        elif self.best_weights:
            self.network.load_state_dict(self.best_weights)
        settings, own = self.settings, self.architecture
        self.network.architecture = replace(own, img_size=phase.img_size or own.img_size)
        self.module = freeze(self.network, phase)
        chosen = settings.augment if phase.augment is None else phase.augment
        self.transforms = make_transforms(chosen)
        self.mixes = bool(settings.mixup or settings.cutmix) and phase.layers != "head"
        self.optimizer = make_optimizer(self.module, settings, phase.lr or settings.lr)
        epochs = phase.epochs or settings.epochs
        self.scheduler = make_scheduler(self.optimizer, settings, epochs, self.steps)
        self.features: Tensor | None = None
        self.val_features: Tensor | None = None
        if phase.layers == "head":
            # What the frozen backbone makes of an image is always the same. Without augmentation it
            # is computed once, which takes a small part of the time and ends with the same head.
            self.features = self._features(self.train)
            self.val_features = self._features(self.val)
        self.parallel = self.processes.wrap(self.module)
        self.average = ModelEmaV3(self.module, decay=settings.ema_decay, use_warmup=True)
        if state:
            self.optimizer.load_state_dict(state["optimizer"])
            self.scheduler.load_state_dict(state["scheduler"])
            self.average.module.load_state_dict(state["average"])

    def _features(self, dataset: FaceDataset) -> Tensor:
        backbone, architecture = self.network.backbone, self.network.architecture
        part = self.processes.part(len(dataset))
        found = extract_features(backbone, architecture, dataset.within(part.rows))
        found = self.processes.gather(found, part)
        # A copy, because gradients may not flow past what was made in inference mode.
        return found.to(self.device).clone()

    def train_epoch(
        self,
        number: int,
        of_phase: int,
        begun: State | None = None,
        keep: Callable[[State], None] = lambda _: None,
    ) -> float:
        """Take every training face once, in batches; return the mean loss.

        Parameters
        ----------
        number, of_phase : of the epoch in the training and in its phase, from 1
        begun : what `keep` got last, of an epoch that was interrupted, to go on from
        keep : called every few minutes of the epoch
        """
        # The seed of an epoch also drives dropout, which draws from the global generator.
        torch.manual_seed(self.seed * 1_000_003 + number)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        set_training(self.module)
        done, total, faces = 0, 0.0, 0
        processes = begun["processes"] if begun else self.processes.count
        order = self._order(generator, processes)
        if begun:
            done, total, faces = begun["steps"], begun["total"], begun["faces"]
            devices.set_dropout_state(begun["dropout"], self.device)
            generator.set_state(begun["augmentation"])
        left = batches(order, self.settings.batch_size)[done:]
        self._read_ahead(left)
        kept = time.monotonic()
        progress = bar(left, f"epoch {number}", "step")
        for step, rows in enumerate(progress, start=(of_phase - 1) * self.steps + done):
            done = step % self.steps + 1
            before_step(self.scheduler, step)
            loss = self.step(rows, generator)
            if not math.isfinite(loss) or loss > self._largest_loss():
                raise Diverged(self._where(loss, rows, number, done))
            total += loss * len(rows)
            self.average.update(self.module, step=step)
            faces += len(rows)
            progress.set_postfix(loss=f"{total / faces:.4f}", refresh=False)
            minutes = (time.monotonic() - kept) / 60
            if self.processes.is_first and minutes >= self.settings.checkpoint_minutes:
                keep(
                    {
                        "steps": done,
                        "total": total,
                        "faces": faces,
                        "processes": processes,
                        "dropout": devices.dropout_state(self.device),
                        "augmentation": generator.get_state(),
                    }
                )
                kept = time.monotonic()
        return total / faces

    def _order(self, generator: Generator, processes: int = 1) -> Tensor:
        chances = self.rarity if self.settings.reweight == "sampler" else None
        return self.train.order(generator, self.settings.batch_size, chances, processes)

    def _read_ahead(self, coming: list[Tensor]) -> None:
        """Announce what `_inputs` will ask for."""
        if self.features is None:
            own = whole if self.mixes else self.processes.part
            self.train.read_ahead([rows[own(len(rows)).rows] for rows in coming])

    def step(self, rows: Tensor, generator: Generator) -> float:
        """Learn from one batch; return its mean loss."""
        part, encoded = self.processes.part(len(rows)), self.encoded[rows].to(self.device)
        partner, share = None, 1.0
        if self.mixes:
            # Each process needs the partners of its faces, which may be any of the batch.
            mixup, cutmix = self.settings.mixup, self.settings.cutmix
            images = self._inputs(rows, whole(len(rows)), generator)
            images, partner, share = mix(images, mixup, cutmix, generator)
            inputs = images[part.rows]
        else:
            inputs = self._inputs(rows, part, generator)
        with devices.training_arithmetic(self.dtype, self.device), self.processes.as_one(part):
            logits = self.parallel(inputs)
        logits = self.processes.gather(logits, part)

        def losses(labels: Tensor) -> Tensor:
            return self.target.losses(logits.float(), labels)

        each = losses(encoded)
        if partner is not None:
            each = mixed_loss(losses, encoded, partner, share)
        loss = (each * self.weights[rows].to(self.device)).mean()
        return learn(loss, self.optimizer, self.module, self.settings.clip_grad)

    def _largest_loss(self) -> float:
        return LARGEST_LOSS * self.history[0].train_loss if self.history else math.inf

    def _where(self, loss: float, rows: Tensor, epoch: int, step: int) -> str:
        shown = ", ".join(self.train.names[row] for row in rows[:SHOWN].tolist())
        return (
            f"the loss became {loss:g} in step {step} of {self.steps} of epoch {epoch}, whose"
            f" {len(rows)} faces begin with {shown}"
        )

    def _way_out(self, checkpoint: Checkpoint) -> str:
        """What is left of a training that diverged, and what to change."""
        change = f"try a lower train.lr (now {self.settings.lr:g}) or train.precision=float32"
        if not self.best_weights:
            return change
        path = checkpoint.keep(self.best_weights)
        epoch = self._best(self._epochs_of(self.history[-1].phase)).epoch
        return f"the best weights, of epoch {epoch}, are in {path} (-S weights={path}); {change}"

    def _inputs(self, rows: Tensor, part: Part, generator: Generator) -> Tensor:
        """Features of a part of a batch where only the head learns, else its augmented images."""
        if self.features is not None:
            return self.features[rows[part.rows]]
        architecture = self.network.architecture
        images = self.train.images(rows[part.rows], architecture.img_size, self.device)
        images = augment(images, self.transforms, generator, part)
        return normalise(images, architecture.mean, architecture.std)

    def validate(self) -> tuple[float, float, float]:
        """Mean loss, MAE in years and accuracy of the averaged weights."""
        if self.val_features is not None:
            with torch.inference_mode():
                logits = self.average.module.eval()(self.val_features).float().cpu()
        else:
            part = self.processes.part(len(self.val))
            logits = predict(self.average.module, self.val.within(part.rows), self.dtype)
            logits = self.processes.gather(logits, part)
        age, learned = self.target.age(logits), self.target.classes(logits)
        bands = self.val.labels.bands
        if learned:
            right = distance_to(self.val_encoded, learned.numbers) == 0
        else:
            right = distance_to(self._age_group(bands), self._age_group(age)) == 0
        loss = self.target.losses(logits, self.val_encoded).mean()
        mae = distance_to(bands, age).abs().mean()
        return float(loss), float(mae), float(right.float().mean())

    def _age_group(self, age: Tensor) -> Tensor:
        return torch.bucketize(age.floor(), self.boundaries, right=True)

    def _best(self, epochs: list[Epoch]) -> Epoch:
        """The best by `train.monitor`, of equals the earliest."""
        if self.settings.monitor == "mae":
            return min(epochs, key=lambda epoch: epoch.val_mae)
        return max(epochs, key=lambda epoch: epoch.val_accuracy)

    def _epochs_of(self, number: int) -> list[Epoch]:
        """Finished epochs of a phase."""
        return [epoch for epoch in self.history if epoch.phase == number]

    def _is_over(self, number: int, phase: Phase) -> bool:
        """Whether the phase has had its epochs, or `patience` of them without a better one."""
        done = self._epochs_of(number)
        if not done:
            return False
        waited = done[-1].epoch - self._best(done).epoch
        return (
            len(done) >= (phase.epochs or self.settings.epochs) or waited >= self.settings.patience
        )

    def _averaged(self) -> dict[str, Tensor]:
        """The averaged weights of the whole network, on the CPU."""
        prefix = "" if self.module is self.network else "head."
        average = {prefix + name: t for name, t in self.average.module.state_dict().items()}
        whole = self.network.state_dict() | average
        return {name: tensor.cpu().clone() for name, tensor in whole.items()}

    def _state(self, phase: int) -> State:
        """Everything that the next step depends on, but for where in the epoch it is."""
        return {
            "phase": phase,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "average": self.average.module.state_dict(),
            "best": self.best_weights,
            "history": [vars(epoch) for epoch in self.history],
        }


def _reached(state: State) -> str:
    """How far a checkpoint is, in words."""
    epochs = len(state["history"])
    if not state["begun"]:
        return f"epoch {epochs}"
    return f"step {state['begun']['steps']} of epoch {epochs + 1}"


def check_monitor(labels: Labels, settings: Train) -> None:
    """Raise a `UserError` where the best epoch would be chosen by an error that nobody knows."""
    if settings.monitor == "mae" and math.isnan(float(labels.age.sum())):
        raise UserError(
            "train.monitor: without ages there is no mae to choose the best epoch by; set it to"
            " accuracy"
        )
