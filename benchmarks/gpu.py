"""The recipe `faceage-gpu` on a GPU that has torch, timm, numpy, pandas and pyarrow, and no more.

    python benchmarks/gpu.py [--faces data/faces.parquet --split data/split.csv --weights FILE]

Prints Markdown: faces a second in a step of training and in a forward pass, with float32 and
bfloat16, eager and compiled; and with --faces, epoch by epoch, the recipe's training on them. The
library's own training loop needs further packages, so what the recipe says is written again here in
short: a distribution over ages (DLDL), AdamW with rates that fall from layer to layer, a cosine
after a warm-up, averaged weights, mirror images; of the augmentations flips, shifts and light.
Nothing of it is read from recipes/: a test holds both together.
"""

import argparse
import io
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import timm
import torch
from PIL import Image
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn import functional as F

ROUNDS, WARM_UP = 5, 3
AGES, SIGMA = torch.arange(0, 123).float(), 2.0  # years
MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Recipe:
    """What recipes/faceage-gpu.yaml says, with params.yaml behind it."""

    model: str = "convnext_tiny"
    img_size: int = 192
    epochs: int = 30
    batch_size: int = 64
    lr: float = 0.0003
    layer_decay: float = 0.8
    weight_decay: float = 0.05
    clip_grad: float = 1.0
    ema_decay: float = 0.998
    dropout: float = 0.1
    warmup_epochs: int = 1


class Training:
    """A network and one step of its training, as the recipe has it."""

    def __init__(
        self, recipe: Recipe, device: torch.device, dtype: torch.dtype, weights: Path | None = None
    ) -> None:
        self.recipe, self.device, self.dtype = recipe, device, dtype
        self.network = timm.create_model(
            recipe.model,
            pretrained=weights is not None,
            pretrained_cfg_overlay={"file": str(weights)} if weights else None,
            num_classes=len(AGES),
            drop_rate=recipe.dropout,
        ).to(device, memory_format=torch.channels_last)
        self.optimizer = create_optimizer_v2(
            self.network,
            "adamw",
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            layer_decay=recipe.layer_decay,
        )
        self.average = ModelEmaV3(self.network, decay=recipe.ema_decay, use_warmup=True)
        self.forward: Callable[[Tensor], Tensor] = self.network

    def step(self, images: Tensor, ages: Tensor, number: int = 1) -> None:
        """Learn from uint8 faces (n, size, size, 3) and their ages in years (n,)."""
        self.network.train()
        inputs = normalised(augmented(to_float(images)))
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits = self.forward(inputs).float()
        away = AGES.to(self.device) - ages[:, None]
        wanted = torch.softmax(-0.5 * (away / SIGMA) ** 2, dim=1)
        loss = F.cross_entropy(logits, wanted)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_grad)
        self.optimizer.step()
        self.average.update(self.network, step=number)

    @torch.inference_mode()
    def ages(self, images: Tensor) -> Tensor:
        """Ages in years (n,) of faces and their mirror images, by the averaged weights."""
        module = self.average.module.eval()
        inputs = normalised(to_float(images))
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits = (module(inputs).float() + module(inputs.flip(-1)).float()) / 2
        return logits.softmax(dim=1) @ AGES.to(self.device)


def main() -> None:
    """Measure the step, then train where there are faces."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--faces", type=Path, help="data/faces.parquet of a run")
    parser.add_argument("--split", type=Path, default=Path("data/split.csv"))
    parser.add_argument("--weights", type=Path, help="ImageNet weights of the backbone")
    parser.add_argument("--model", default=Recipe.model, help="another backbone, to try")
    parser.add_argument("--img-size", type=int, default=Recipe.img_size)
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    asked = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or "CPU"
    recipe = Recipe(model=asked.model, img_size=asked.img_size, epochs=asked.epochs)
    print(f"{recipe.model} at {recipe.img_size} px on {name}, torch {torch.__version__}\n")
    throughput(recipe, device)
    if asked.faces:
        train(recipe, device, asked.faces, asked.split, asked.weights)


def throughput(recipe: Recipe, device: torch.device) -> None:
    """Print faces a second: medians of rounds in turns."""
    size, count = recipe.img_size, recipe.batch_size
    images = torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8, device=device)
    ages = torch.full((count,), 30.0, device=device)
    ways: dict[str, Callable[[], object]] = {}
    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        eager = Training(recipe, device, dtype)
        ways[f"step, {name}"] = partial(eager.step, images, ages)
        ways[f"forward passes of face and mirror image, {name}"] = partial(eager.ages, images)
        if device.type == "cuda":
            compiled = Training(recipe, device, dtype)
            compiled.forward = torch.compile(compiled.network)
            ways[f"step, {name}, compiled"] = partial(compiled.step, images, ages)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(WARM_UP + ROUNDS):
        for name, do in ways.items():
            taken = timed(do, device)
            if number >= WARM_UP:
                seconds[name].append(taken)
    print("| | faces a second |\n|---|---:|")
    for name, taken_ in seconds.items():
        print(f"| {name} | {count / statistics.median(taken_):.0f} |")
    if device.type == "cuda":
        print(f"\nLargest memory {torch.cuda.max_memory_allocated() / 1e9:.2f} GB.")


def timed(do: Callable[[], object], device: torch.device) -> float:
    """Seconds until the device has done it."""
    start = time.perf_counter()
    do()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def train(
    recipe: Recipe, device: torch.device, faces: Path, split: Path, weights: Path | None
) -> None:
    """Print an epoch a line: seconds and validation MAE of the averaged weights."""
    torch.manual_seed(0)
    parts = pd.read_csv(split).set_index("face")["split"]
    pixels, ages, names = decoded(faces, recipe.img_size)
    of_face = parts.reindex(names).to_numpy()
    pixels, ages = pixels.to(device), ages.to(device)
    rows, val = (
        torch.from_numpy(np.flatnonzero(of_face == n)).to(device) for n in ("train", "val")
    )
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    training = Training(recipe, device, dtype, weights)
    steps = -(-len(rows) // recipe.batch_size)
    low = recipe.lr / 100
    schedule = CosineLRScheduler(
        training.optimizer,
        t_initial=recipe.epochs * steps,
        lr_min=low,
        warmup_t=recipe.warmup_epochs * steps,
        warmup_lr_init=low,
        t_in_epochs=False,
    )
    print("\n| epoch | seconds | validation MAE, years |\n|---:|---:|---:|")
    done = 0
    for epoch in range(1, recipe.epochs + 1):
        start = time.perf_counter()
        for batch in rows[torch.randperm(len(rows), device=device)].split(recipe.batch_size):
            schedule.step_update(done)
            training.step(pixels[batch], ages[batch], done)
            done += 1
        predicted = torch.cat([training.ages(pixels[batch]) for batch in val.split(256)])
        mae = float((predicted - ages[val]).abs().mean())
        print(f"| {epoch} | {time.perf_counter() - start:.1f} | {mae:.2f} |", flush=True)


def decoded(faces: Path, size: int) -> tuple[Tensor, Tensor, list[str]]:
    """Faces, uint8 (n, size, size, 3), their ages in years (n,) and their names."""
    pixels, ages, names = [], [], []
    for face, age, content in read(faces):
        image = Image.open(io.BytesIO(content)).convert("RGB").resize((size, size))
        pixels.append(torch.from_numpy(np.array(image)))
        ages.append(float(age))
        names.append(face)
    return torch.stack(pixels), torch.tensor(ages), names


def read(faces: Path) -> Iterator[tuple[str, int, bytes]]:
    """Name, age and file of each face."""
    for batch in pq.ParquetFile(faces).iter_batches(1024, columns=["face", "age", "image.bytes"]):
        columns = batch.to_pydict()
        for face, age, image in zip(*(columns[n] for n in ("face", "age", "image")), strict=True):
            yield face, age, image["bytes"]


def to_float(images: Tensor) -> Tensor:
    """Pixels in 0..1: float (n, 3, size, size), channels last."""
    return images.permute(0, 3, 1, 2).float() / 255


def normalised(images: Tensor) -> Tensor:
    """With ImageNet's means and deviations."""
    mean, sd = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in (MEAN, SD))
    return (images - mean) / sd


def augmented(images: Tensor) -> Tensor:
    """Mirrored, shifted and brighter or darker by chance, each image by its own."""
    count, device = len(images), images.device
    view = torch.zeros(count, 2, 3, device=device)
    view[:, 0, 0] = 2.0 * torch.randint(0, 2, (count,), device=device) - 1
    view[:, 1, 1] = 1
    view[:, :, 2] = 0.1 * (2 * torch.rand(count, 2, device=device) - 1)
    grid = F.affine_grid(view, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return (moved * (0.8 + 0.4 * torch.rand(count, 1, 1, 1, device=device))).clamp(0, 1)


if __name__ == "__main__":
    main()
