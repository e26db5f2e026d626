"""How much the error grows when photographs are worse than those of the test set."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from faceage.core.progress import bar
from faceage.evaluation.corruptions import CORRUPTIONS, Corruption
from faceage.evaluation.metrics import Number, number
from faceage.networks import devices
from faceage.networks.age_network import Model
from faceage.networks.faces import normalise, slices, to_input
from faceage.networks.targets import Target

BATCH = 64  # larger ones are slower on a CPU: their feature maps leave its caches
CLEAN = ("none", 0)

Key = TypeVar("Key", bound=Hashable)
Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Corrupted:
    """Ages of a sample of the test faces, and what is predicted from corrupted pictures of them.

    age: true ages, in years (n,); predicted: by corruption and strength, `CLEAN` among them (n,).
    """

    age: np.ndarray
    predicted: Mapping[tuple[str, int], np.ndarray]


def sample(faces: pd.DataFrame, count: int, seed: int) -> np.ndarray:
    """Row numbers of `count` of the faces, or of all where there are fewer; the same for a seed.

    Every so many faces of a list sorted by age, gender and race: a systematic sample, with the mix
    of the whole. Among equals `seed` decides.

    Parameters
    ----------
    faces : columns `face`, `age`, `gender`, `race`, in any order
    """
    # From an order of their own: the choice is of faces and not of places in the table.
    ordered = faces.reset_index(drop=True).sort_values("face").sample(frac=1, random_state=seed)
    ordered = ordered.sort_values(["age", "gender", "race"], kind="stable")
    places = np.linspace(0, len(faces) - 1, min(count, len(faces))).round().astype(int)
    return np.sort(ordered.index.to_numpy()[places])


def predict(
    network: Model, target: Target, pixels: Tensor, age: np.ndarray, seed: int
) -> Corrupted:
    """Predict ages from every corruption of these faces, and from the clean ones.

    Computed in bfloat16 where the device has it, twice as fast; the clean faces too, so that a rise
    of the error is of the corruption.

    Parameters
    ----------
    pixels : uint8 (n, side, side, 3)
    age : years (n,)
    """
    generator = torch.Generator().manual_seed(seed)
    changes: dict[tuple[str, int], Change] = {CLEAN: lambda images: images}
    for name, (corrupt, strengths) in CORRUPTIONS.items():
        for strength, setting in enumerate(strengths, start=1):
            changes[name, strength] = _with(corrupt, setting, generator)
    dtype = devices.fast_arithmetic(next(network.parameters()).device)
    return Corrupted(age, ages_of_changed(network, target, pixels, changes, dtype))


@torch.inference_mode()
def ages_of_changed(
    network: Model,
    target: Target,
    pixels: Tensor,
    changes: Mapping[Key, Change],
    dtype: torch.dtype,
) -> dict[Key, np.ndarray]:
    """Predict ages, in years (n,), from every change of these faces.

    Parameters
    ----------
    pixels : uint8 (n, side, side, 3)
    changes : by name; images in and out, float (n, 3, size, size) in 0..1
    """
    architecture = network.architecture
    device = next(network.parameters()).device

    def ages(images: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            logits = network(normalise(images, architecture.mean, architecture.std))
        return target.age(logits.float().cpu())

    batches: dict[Key, list[Tensor]] = {name: [] for name in changes}
    for rows in bar(list(slices(len(pixels), BATCH)), "change", "batch"):
        images = to_input(pixels, architecture.img_size, device, rows)
        for name, change in changes.items():
            batches[name].append(ages(change(images)))
    return {name: torch.cat(parts).numpy() for name, parts in batches.items()}


def by_corruption(corrupted: Corrupted | None) -> pd.DataFrame:
    """MAE, and its rise over that of the clean faces, in years: table `robustness`.

    Without rows where nothing was corrupted.
    """
    if corrupted is None:
        return pd.DataFrame()
    mae = {key: np.abs(ages - corrupted.age).mean() for key, ages in corrupted.predicted.items()}
    clean = mae.pop(CLEAN)
    return pd.DataFrame(
        {
            "corruption": name,
            "strength": strength,
            "mae": value,
            "rise": value - clean,
            "n": len(corrupted.age),
        }
        for (name, strength), value in mae.items()
    )


def summary(corruptions: pd.DataFrame) -> dict[str, Number]:
    """Mean rise over all corruptions and strengths, in years, and the faces that it is from."""
    return {"mean_rise": number(corruptions["rise"].mean()), "n": int(corruptions["n"].iloc[0])}


def _with(corrupt: Corruption, setting: float, generator: torch.Generator) -> Change:
    return lambda images: corrupt(images, setting, generator)
