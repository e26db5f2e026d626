"""A phase in which only the head learns: on features computed once, and in full, side by side.

    python benchmarks/frozen_phase.py

Without augmentation, on 2,048 random pictures, tf_efficientnet_lite0 from scratch at 112 px; prints
a Markdown table. Both ways are timed in turns, and medians are shown.
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from timm.utils import ModelEmaV3

from faceage.core.params import TrainParams, load
from faceage.core.settings import Phase
from faceage.networks import age_network, targets
from faceage.networks.target import Labels
from faceage.training.dataset import FaceDataset
from faceage.training.loop import Trainer

FACES, EPOCHS = 2048, 3


class Frozen(torch.nn.Module):
    """The backbone, asked for the features of every picture in every epoch."""

    def __init__(self, network: age_network.AgeNetwork) -> None:
        super().__init__()
        self.backbone = network.backbone

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features without a gradient."""
        with torch.no_grad():
            features: torch.Tensor = self.backbone.eval()(images)
        return features


def main() -> None:
    """Train the same head both ways, compare times and losses."""
    params = load(TrainParams)
    head = params.train.head.model_copy(update={"dropout": 0.0})
    settings = params.train.model_copy(update={"img_size": 112, "augment": [], "head": head})
    ages = torch.randint(1, 90, (FACES,)).float()
    none = torch.full((FACES,), -1)
    pixels = torch.randint(0, 256, (FACES, 200, 200, 3), dtype=torch.uint8)
    faces = FaceDataset(
        [""] * FACES, pixels, Labels(ages, ages, ages, none, none, none), torch.ones(FACES)
    )
    target = targets.fit(faces.labels, params.target, params.groupings)
    boundaries = params.groupings["age_group"].boundaries
    architecture = age_network.resolve("tf_efficientnet_lite0", settings, params.target, 1)
    phase = Phase(layers="head", epochs=EPOCHS, lr=0.001, img_size=None, augment=None)

    def prepared() -> Trainer:
        torch.manual_seed(0)
        network = age_network.build(architecture)
        trainer = Trainer(network, target, settings, faces, faces, boundaries, 0)
        trainer.start_phase(phase)
        return trainer

    start = time.perf_counter()
    on_features, in_full = prepared(), prepared()
    once = (time.perf_counter() - start) / 4  # features of train and val, twice
    in_full.features = None
    in_full.module = in_full.parallel = torch.nn.Sequential(
        Frozen(in_full.network), in_full.network.head
    )
    in_full.average = ModelEmaV3(in_full.module)

    seconds: dict[str, list[float]] = {"on features": [], "in full": []}
    losses: dict[str, list[float]] = {"on features": [], "in full": []}
    for epoch in range(1, EPOCHS + 1):
        for name, trainer in (("on features", on_features), ("in full", in_full)):
            start = time.perf_counter()
            losses[name].append(trainer.train_epoch(epoch, epoch))
            seconds[name].append(time.perf_counter() - start)
    difference = max(abs(a - b) for a, b in zip(*losses.values(), strict=True))
    fast, slow = (statistics.median(taken) for taken in seconds.values())
    print(f"| {FACES:,} faces, {torch.get_num_threads()} threads | seconds an epoch |")
    print("|---|---:|")
    print(f"| in full | {slow:.2f} |")
    print(f"| on features | {fast:.3f} |")
    print(f"| computing the features, once | {once:.1f} |\n")
    print(
        f"{slow / fast:.0f} times faster; largest difference of an epoch's loss {difference:.1e}."
    )


if __name__ == "__main__":
    main()
