"""Optimisers and schedulers by name, and which layers of a network learn how fast."""

import inspect
from typing import Any

from timm.optim import create_optimizer_v2, list_optimizers, param_groups_layer_decay
from timm.scheduler import create_scheduler_v2
from torch import Tensor, nn, optim

from faceage.core.script import UserError
from faceage.core.settings import Scheduler, Train
from faceage.networks.age_network import AgeNetwork

# timm's schedulers begin the warm-up at, and end at, this share of the highest rate.
LOW_RATE = 0.01

# timm's plateau forgets how long it has waited when a training goes on from a checkpoint; torch's
# ReduceLROnPlateau does not.
TIMM_SCHEDULERS = ("cosine", "tanh", "step", "multistep", "poly")

# Those that torch can compute in one pass over the parameters; other passes take three times as
# long, a fiftieth of a small network's step on a CPU.
FUSED = ("adam", "adamw", "sgd")


def make_optimizer(module: nn.Module, settings: Train, lr: float) -> optim.Optimizer:
    """The optimiser of `train.optimizer` over the parameters that learn.

    Raises
    ------
    UserError
        If timm knows no optimiser of that name, or the backbone has no order of layers.
    """
    if settings.optimizer not in list_optimizers():
        raise UserError(
            f"train.optimizer: timm knows no {settings.optimizer!r}; see"
            " timm.optim.list_optimizers()"
        )
    decays = settings.layer_decay < 1 and isinstance(module, AgeNetwork)
    parameters = _decayed(module, settings, lr) if decays else module
    options = {"fused": True} if settings.optimizer in FUSED else {}
    return create_optimizer_v2(
        parameters, settings.optimizer, lr=lr, weight_decay=settings.weight_decay, **options
    )


def _decayed(network: nn.Module, settings: Train, lr: float) -> list[dict[str, Any]]:
    """Parameter groups whose rate falls by a factor a layer, from the head downwards."""
    assert isinstance(network, AgeNetwork)
    try:
        groups = param_groups_layer_decay(
            network.backbone, settings.weight_decay, layer_decay=settings.layer_decay
        )
    except (AttributeError, AssertionError):
        raise UserError(
            f"train.layer_decay: timm knows no order of layers of {network.architecture.model};"
            " set it to 1"
        ) from None
    for group in groups:
        # Schedulers of torch know nothing of timm's `lr_scale`.
        group["lr"] = lr * group.pop("lr_scale")
    return [*groups, {"params": list(network.head.parameters())}]


def make_scheduler(optimizer: optim.Optimizer, settings: Train, epochs: int, steps: int) -> Any:
    """The scheduler of `train.scheduler`, of timm or of torch.

    Parameters
    ----------
    epochs : of the phase; steps: batches in each

    Raises
    ------
    UserError
        If neither library has a scheduler of that name, or it does not take these arguments.
    """
    name = settings.scheduler.name
    try:
        if name in TIMM_SCHEDULERS:
            return _of_timm(optimizer, settings, epochs, steps)
        return _of_torch(optimizer, settings.scheduler)
    except (TypeError, ValueError) as error:
        raise UserError(f"train.scheduler.args: {name} does not take them ({error})") from None


def before_step(scheduler: Any, done: int) -> None:
    """Set the rate for the step after `done` steps of the phase, which timm's schedulers do."""
    if not isinstance(scheduler, optim.lr_scheduler.LRScheduler):
        scheduler.step_update(done)


def learn(loss: Tensor, optimizer: optim.Optimizer, module: nn.Module, clip_grad: float) -> float:
    """Take a step down the gradient of the loss, its norm clipped; return the loss."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(module.parameters(), clip_grad)
    optimizer.step()
    return float(loss.detach())


def after_epoch(scheduler: Any, val_loss: float) -> None:
    """Take in that an epoch of the phase ended with this loss, which torch's schedulers do."""
    if isinstance(scheduler, optim.lr_scheduler.ReduceLROnPlateau):
        scheduler.step(val_loss)
    elif isinstance(scheduler, optim.lr_scheduler.LRScheduler):
        scheduler.step()


def _of_timm(optimizer: optim.Optimizer, settings: Train, epochs: int, steps: int) -> Any:
    low = LOW_RATE * max(group["lr"] for group in optimizer.param_groups)
    arguments = {
        "num_epochs": epochs,
        "warmup_epochs": settings.warmup_epochs,
        "warmup_lr": low,
        "min_lr": low,
        "step_on_epochs": False,
        "updates_per_epoch": steps,
    }
    scheduler, _ = create_scheduler_v2(
        optimizer, settings.scheduler.name, **arguments | settings.scheduler.args
    )
    return scheduler


def _of_torch(optimizer: optim.Optimizer, settings: Scheduler) -> Any:
    kind = getattr(optim.lr_scheduler, settings.name, None)
    if not (inspect.isclass(kind) and issubclass(kind, optim.lr_scheduler.LRScheduler)):
        raise UserError(
            f"train.scheduler.name: {settings.name!r} is neither of timm"
            f" ({', '.join(TIMM_SCHEDULERS)}) nor a class of torch.optim.lr_scheduler"
        )
    return kind(optimizer, **settings.args)
