"""Speed of a training step: what it is made of, what makes it faster; and the usual script's."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from speed_work import ROUNDS, Found, Work, in_turns, ratio, timed
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from usual_script import AHEAD, WORKERS, Usual, loaders

from faceage.core import tables
from faceage.core.params import TrainParams, load
from faceage.networks import age_network, devices, faces, saved_model, targets
from faceage.networks.forward import predict
from faceage.networks.target import labels
from faceage.training.dataset import FaceDataset
from faceage.training.loop import Trainer
from faceage.training.whole_batch import whole

FACES = 2048  # of the training set, which are enough for a step's time
BLOCK = 8  # steps that are timed together
WANTED_MAE = 5.0
SHOWN = 16  # kinds of operations of the profile


class Steps:
    """Steps of our training, one after the other, on faces that are decoded."""

    def __init__(self, work: Work) -> None:
        params = load(TrainParams, work.folder / "params.yaml")
        devices.pick()
        splits = tables.read_splits()
        table = splits["train"].iloc[:FACES].reset_index(drop=True)
        img_size = age_network.input_side(params.model, params.train)
        side = faces.stored_side(table)

        def decode() -> Tensor:
            return faces.decode(table, tables.image_bytes(table["face"]), side, img_size)

        self.seconds_of_decoding = timed(decode) / len(table)
        known = labels(table, params.groupings[params.target.grouping].names)
        dataset = FaceDataset(table["path"].tolist(), decode(), known, torch.ones(len(table)))
        target = targets.fit(known, params.target, params.groupings)
        self.architecture = age_network.resolve(
            params.model, params.train, params.target, target.outputs
        )
        network = age_network.build(self.architecture, params.weights)
        boundaries = params.groupings["age_group"].boundaries
        self.trainer = Trainer(
            network, target, params.train, dataset, dataset, boundaries, params.seed
        )
        self.trainer.start_phase(params.train.phases[0])
        self.faces = {name: len(part) for name, part in splits.items()}
        self.batch = params.train.batch_size
        self.generator = torch.Generator().manual_seed(0)
        self.rows = torch.arange(self.batch)

    def step(self) -> None:
        """What `train_epoch` does for a batch."""
        self.trainer.module.train()
        self.trainer.step(self.rows, self.generator)
        self.trainer.average.update(self.trainer.module, step=1)

    def inputs(self) -> Tensor:
        """The batch alone: taken from memory, changed, normalised."""
        return self.trainer._inputs(self.rows, whole(len(self.rows)), self.generator)

    def validate(self) -> None:
        """All of the dataset."""
        self.trainer.validate()


def repeated(do: Callable[[], object], times: int = BLOCK) -> Callable[[], None]:
    """The same so many times."""

    def block() -> None:
        for _ in range(times):
            do()

    return block


def of_inputs(work: Work) -> Found:
    """Share of a step that goes into its input."""
    steps = Steps(work)
    seconds = in_turns({"inputs": repeated(steps.inputs), "step": repeated(steps.step)})
    return {"share": ratio(seconds["inputs"], seconds["step"])}


def gains(work: Work) -> Found:
    """How many times as fast a step is with each of these, all else being as in the recipe."""
    steps = Steps(work)
    architecture, weights = steps.architecture, str(work.weights)
    images = steps.inputs()
    threads = torch.get_num_threads()

    def network(channels_last: bool = True) -> tuple[nn.Module, Tensor]:
        form = torch.channels_last if channels_last else torch.contiguous_format
        built = age_network.build(architecture, weights).to(memory_format=form)
        return built.train(), images.contiguous(memory_format=form)

    def way(
        module: nn.Module, batch: Tensor, dtype: torch.dtype = torch.float32
    ) -> Callable[[], None]:
        optimizer = torch.optim.AdamW(module.parameters(), lr=1e-5)

        def step() -> None:
            with devices.training_arithmetic(dtype, torch.device("cpu")):
                logits = module(batch)
            logits.float().square().mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return repeated(step)

    def on_one_thread(do: Callable[[], None]) -> Callable[[], None]:
        def block() -> None:
            torch.set_num_threads(1)
            do()
            torch.set_num_threads(threads)

        return block

    plain = way(*network())
    ways = {
        "plain": plain,
        "channels_last": way(*network(channels_last=False)),
        "threads": on_one_thread(plain),
        "bfloat16": way(*network(), dtype=torch.bfloat16),
    }
    module, batch = network()
    try:
        module.compile()
        module(batch)
        ways["compile"] = way(module, batch)
    except Exception as error:  # without a C++ compiler, and in as many ways as it has parts
        warnings.warn(f"torch.compile: {error}", stacklevel=1)
    seconds = in_turns(ways)
    found: Found = {"threads_used": threads}
    for name in ("channels_last", "threads"):  # what we have, against its lack
        found[name] = ratio(seconds[name], seconds["plain"])
    for name in ("bfloat16", "compile"):  # what we lack, against what we have
        if name in seconds:
            found[name] = ratio(seconds["plain"], seconds[name])
    return found


def profiled(work: Work) -> Found:
    """Where the time of a step goes, by kind of operation, in shares of all."""
    steps = Steps(work)
    repeated(steps.step, 3)()
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
        repeated(steps.step, 5)()
    shares: dict[str, float] = {}
    for event in seen.key_averages(group_by_input_shape=True):
        kind = kind_of(event.key, event.input_shapes)
        shares[kind] = shares.get(kind, 0.0) + event.self_cpu_time_total
    total = sum(shares.values())
    largest = sorted(shares, key=lambda kind: -shares[kind])[:SHOWN]
    return {"shares": {kind: shares[kind] / total for kind in largest}}


def kind_of(operation: str, shapes: list[Any]) -> str:
    """The name of an operation; of a convolution whether it is depthwise, pointwise or another."""
    name = operation.removeprefix("aten::")
    if "convolution" not in name:
        return name
    kernels = [shape for shape in shapes if len(shape) == 4][1 + ("backward" in name) :]
    if not kernels:
        return name
    _, channels, height, width = kernels[0]
    pointwise, depthwise = height == width == 1, channels == 1
    kind = "pointwise" if pointwise else "depthwise" if depthwise else "full"
    return f"{kind} {'backward' if 'backward' in name else 'forward'}"


def accuracy(work: Work, ours: Sequence[Path], usual: Sequence[Path]) -> Found:
    """Time to a validation MAE of 5.0 against the usual script, both with what the recipe has.

    Measured in turns: a step of each, and the validation of as many faces. Inferred: an epoch, from
    its number of steps; the time to 5.0, from the shortest of whole trainings that ended there.

    Parameters
    ----------
    ours : folders in which the recipe was trained, each for another number of epochs
    usual : histories of such trainings that usual_script.py wrote
    """
    steps = Steps(work)
    with TemporaryDirectory() as place:
        train, val = loaders(Path(place))
        other = Usual(work.weights, 1000)
        arriving = endless(train)

        def step_of_the_usual() -> None:
            other.step(*next(arriving))

        turns = {
            "ours": repeated(steps.step),
            # What the workers have made ahead while they waited is taken first, and not counted.
            "ahead": repeated(step_of_the_usual, AHEAD * WORKERS),
            "usual": repeated(step_of_the_usual),
        }
        seconds: dict[str, list[float]] = {name: [] for name in turns}
        for _ in range(1 + ROUNDS):  # the first is a warm-up
            for name, do in turns.items():
                seconds[name].append(timed(do))
        step = ratio(seconds["usual"][1:], seconds["ours"][1:])
        validation = [timed(lambda: other.mae(val)), timed(steps.validate)]
    per_face = [validation[0] / steps.faces["val"], validation[1] / FACES]
    count = -(-steps.faces["train"] // steps.batch)
    epoch = [
        seconds_ / BLOCK * count + face * steps.faces["val"]
        for seconds_, face in zip(step["seconds"], per_face, strict=True)
    ]
    found: Found = {
        "step": step,
        "epoch_seconds": {"usual": epoch[0], "ours": epoch[1]},
        "epoch": epoch[0] / epoch[1],
        "loading_seconds": steps.seconds_of_decoding * (steps.faces["train"] + steps.faces["val"]),
        "ended": {
            "usual": [ended_usual(history) for history in usual],
            "ours": [ended_ours(folder) for folder in ours],
        },
    }
    if ours and usual:
        found["to_wanted"] = {how: to_wanted(found, how) for how in ("as_used", "single_views")}
    return found


def endless(train: Any) -> Iterator[Any]:
    """Batches of one epoch after the other."""
    while True:
        yield from train


def ended_usual(history: Path) -> Found:
    """Epochs of a training by the usual script, and its validation MAE after the last, in years."""
    last = pd.read_csv(history).iloc[-1]
    mae = float(last["val_mae"])
    return {"epochs": int(last["epoch"]), "as_used": mae, "single_views": mae}


def ended_ours(folder: Path) -> Found:
    """The same of a training of ours: of its model as it is used, and of single views."""
    history = pd.read_csv(folder / "reports/history.csv")
    network, target = saved_model.load(folder / "models")
    val = tables.read_splits()["val"]
    side, img_size = faces.stored_side(val), network.architecture.img_size
    pixels = faces.decode(val, tables.image_bytes(val["face"]), side, img_size)
    predicted = target.age(predict(network, pixels, torch.float32)).numpy()
    return {
        "epochs": len(history),
        "as_used": float(np.abs(predicted - val["age"].to_numpy()).mean()),
        "single_views": float(history["val_mae"].min()),
    }


def to_wanted(found: Found, how: str) -> Found:
    """How many times as long the usual script takes to an MAE of 5.0, as used or on single views.

    reached: whether any of its trainings got there; if none did, the longest counts, and the ratio
    is one that is exceeded. ratio: None where none of ours did.
    """
    shortest: dict[str, Found] = {}
    for whose, trainings in found["ended"].items():
        there = [each for each in trainings if each[how] <= WANTED_MAE]
        epochs = itemgetter("epochs")
        chosen = min(there, key=epochs) if there else max(trainings, key=epochs)
        shortest[whose] = chosen | {"reached": bool(there)}
    seconds = {name: shortest[name]["epochs"] * found["epoch_seconds"][name] for name in shortest}
    ratio_ = seconds["usual"] / (seconds["ours"] + found["loading_seconds"])
    return shortest | {"ratio": ratio_ if shortest["ours"]["reached"] else None}
