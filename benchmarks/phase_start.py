"""What a second phase of training starts from: the last weights of the first, or its best averaged.

    python benchmarks/phase_start.py > benchmarks/phase_start.md

Drawn faces at 64 px, test_resnet of timm from scratch, two ways to share the training among phases,
several seeds. Writes benchmarks/phase_start.json, prints the Markdown.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import torch

from faceage.core import images, utkface
from faceage.core.outputs import write_json
from faceage.core.params import TrainParams, load
from faceage.core.settings import Phase
from faceage.networks import age_network, targets
from faceage.networks.target import Labels
from faceage.sample.sample_files import sample_files
from faceage.training.checkpoints import Checkpoint
from faceage.training.dataset import FaceDataset
from faceage.training.loop import State, Trainer

FACES, VAL, IMG_SIZE, SEEDS = 800, 250, 64, (0, 1, 2)
CASES = {
    "head, then all": [("head", 3, 0.01), ("all", 8, 0.002)],
    "all, then the last 5 layers": [("all", 9, 0.002), (5, 4, 0.0005)],
}


class FromLastWeights(Trainer):
    """Starts each phase from what the one before ended with."""

    def start_phase(self, phase: Phase, state: State | None = None) -> None:
        """Keep the network as it is."""
        best, self.best_weights = self.best_weights, {}
        super().start_phase(phase, state)
        self.best_weights = best


STARTS = {"last weights": FromLastWeights, "best averaged weights": Trainer}


def main() -> None:
    """Train both ways with the same seeds, compare the best validation error of each."""
    params, faces = load(TrainParams), draw(FACES)
    train, val = (
        FaceDataset(faces.names[rows], faces.pixels[rows], faces.labels[rows], faces.weights[rows])
        for rows in (slice(VAL, None), slice(VAL))
    )
    found = {
        case: {
            start: [best(kind, params, train, val, phases, seed) for seed in SEEDS]
            for start, kind in STARTS.items()
        }
        for case, phases in CASES.items()
    }
    write_json(Path(__file__).with_suffix(".json"), found)
    print("# What a phase of training starts from\n")
    print("```\npython benchmarks/phase_start.py > benchmarks/phase_start.md\n```\n")
    print(
        f"trains `test_resnet` from scratch on {FACES - VAL} drawn faces at {IMG_SIZE} px, all else"
        f" by params.yaml; best MAE on {VAL} others, in years.\n"
    )
    print(
        f"| phases | second starts from | {' | '.join(f'seed {seed}' for seed in SEEDS)} | mean |"
    )
    print(f"|---|---|{'---:|' * (len(SEEDS) + 1)}")
    for case, by_start in found.items():
        for start, maes in by_start.items():
            cells = " | ".join(f"{mae:.2f}" for mae in [*maes, np.mean(maes)])
            print(f"| {case} | {start} | {cells} |")


def draw(count: int) -> FaceDataset:
    """Faces of the built-in sample, those that are usable."""
    names, pixels, ages = [], [], []
    for index in range(count):
        name, content = next(iter(sample_files(count, IMG_SIZE, 0, index)))
        labels = utkface.parse(name)
        assert labels is not None
        pixels.append(torch.from_numpy(images.square(images.decode(content), IMG_SIZE).copy()))
        ages.append(float(labels.age))
        names.append(name)
    none, exact = torch.full((count,), -1), torch.tensor(ages)
    labels = Labels(exact, exact, exact, none, none, none)
    return FaceDataset(names, torch.stack(pixels), labels, torch.ones(count))


def best(
    kind: type[Trainer],
    params: TrainParams,
    train: FaceDataset,
    val: FaceDataset,
    phases: list[tuple[str | int, int, float]],
    seed: int,
) -> float:
    """Smallest validation MAE of a training, in years."""
    settings = params.train.model_copy(
        update={
            "img_size": IMG_SIZE,
            "phases": [
                Phase(layers=layers, epochs=epochs, lr=lr, img_size=None, augment=None)
                for layers, epochs, lr in phases
            ],
        }
    )
    target = targets.fit(train.labels, params.target, params.groupings)
    resolved = age_network.resolve("test_resnet", settings, params.target, target.outputs)
    torch.manual_seed(seed)
    boundaries = params.groupings["age_group"].boundaries
    network = age_network.build(resolved)
    trainer = kind(network, target, settings, train, val, boundaries, seed)
    checkpoint = Checkpoint("benchmark of phase_start")
    checkpoint.clear()
    fitted = trainer.fit(checkpoint, None, lambda epoch, speed: None)
    checkpoint.clear()
    print(kind.__name__, phases, seed, fitted.best, file=sys.stderr, flush=True)
    return fitted.best.val_mae


if __name__ == "__main__":
    main()
