"""How float32 rounding grows in a training from scratch: an epoch with AVX-512 and with AVX2.

    python benchmarks/rounding.py    after `dvc repro` of the sample, on a CPU that has AVX-512

Prints Markdown. Both runs are one thread each, of the same weights, faces and order; what differs
is the instructions that oneDNN may use for convolutions.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import train
from faceage.core import params, tables
from faceage.networks import age_network, targets
from faceage.training.loop import Trainer

STEPS = (0, 1, 2, 3, 5, 8, 12, 20, 30, 40, 54)


def main() -> None:
    """Train twice in processes of their own, compare."""
    with tempfile.TemporaryDirectory() as folder:
        weights = []
        for name in ("AVX512_CORE", "AVX2"):
            path = Path(folder) / name
            environment = os.environ | {"ONEDNN_MAX_CPU_ISA": name, "OMP_NUM_THREADS": "1"}
            subprocess.run([sys.executable, __file__, str(path)], check=True, env=environment)
            weights.append(torch.load(path))
    print("| steps | distance between the two, over that from the start |")
    print("|---:|---:|")
    one, other = weights
    for row in range(1, len(one)):
        moved = (one[row] - one[0]).norm()
        print(f"| {STEPS[row]} | {float((one[row] - other[row]).norm() / moved):.1g} |")


def train_an_epoch(path: Path) -> None:
    """Train for an epoch, keep the parameters after some steps: float32 (steps, parameters)."""
    asked = params.load(params.TrainParams)
    read = train.read_faces(tables.read_splits(Path(asked.train.split)), asked)
    target = targets.fit(read.train.labels, asked.target, asked.groupings)
    torch.manual_seed(asked.seed)
    network = age_network.build(
        age_network.resolve(asked.model, asked.train, asked.target, target.outputs)
    )
    boundaries = asked.groupings["age_group"].boundaries
    trainer = Trainer(network, target, asked.train, read.train, read.val, boundaries, asked.seed)
    trainer.start_phase(asked.train.phases[0])
    kept, done, step = [flat(network)], 0, trainer.step

    def stepped(*arguments: torch.Tensor) -> float:
        nonlocal done
        loss = step(*arguments)
        done += 1
        if done in STEPS:
            kept.append(flat(network))
        return loss

    trainer.step = stepped
    trainer.train_epoch(1, 1)
    torch.save(torch.stack(kept), path)


def flat(network: torch.nn.Module) -> torch.Tensor:
    """All parameters in one row."""
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train_an_epoch(Path(sys.argv[1]))
    else:
        main()
