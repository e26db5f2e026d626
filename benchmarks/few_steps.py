"""The stage `train` with few steps an epoch: when the first one is done, and the largest memory.

    python benchmarks/few_steps.py STEPS [--mapped]

Runs where params.yaml, data/faces.parquet and data/split.csv are. The faces are all of them,
decoded as ever; an epoch ends after so many steps, with its validation, and all after two epochs,
or with 1 step after that.
--mapped: the pixels go into a file, as they do where they take more than half of the free memory.
Prints a JSON object: seconds from the start of the process to the end of the first step; the
largest resident memory in GB, and of it what is no file's, which cannot be put aside.
"""

import argparse
import json
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import psutil
from with_peak import peak

import train
from faceage.core.script import run
from faceage.networks import faces
from faceage.training import loop
from faceage.training.checkpoints import Checkpoint

EPOCHS = 2
PAUSE = 0.02  # seconds between two looks at the memory


class Done(Exception):
    """All that was asked for has happened."""


def main() -> None:
    """Cut the epochs short, watch."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("steps", type=int)
    parser.add_argument("--mapped", action="store_true")
    asked = parser.parse_args()
    if asked.mapped:
        faces.MEMORY_SHARE = 0
    found: dict[str, Any] = {"anonymous": 0.0}
    threading.Thread(target=watch, args=(found,), daemon=True).start()

    every, step, epoch = loop.batches, loop.Trainer.step, loop.Trainer.train_epoch

    def first_of(*arguments: Any) -> Any:
        return every(*arguments)[: asked.steps]

    def timed_step(*arguments: Any) -> float:
        loss = step(*arguments)
        found.setdefault("first_step", time.time() - psutil.Process().create_time())
        if asked.steps == 1:
            raise Done
        return loss

    def one_of_few(trainer: loop.Trainer, number: int, *arguments: Any) -> float:
        if number > EPOCHS:
            raise Done
        return epoch(trainer, number, *arguments)

    def nothing(_: Checkpoint) -> None:
        """No training was interrupted: those that end here are not gone on with."""

    sys.argv = sys.argv[:1]
    setattr(loop, "batches", first_of)  # noqa: B010 (mypy allows no other way)
    setattr(loop.Trainer, "step", timed_step)  # noqa: B010
    setattr(loop.Trainer, "train_epoch", one_of_few)  # noqa: B010
    setattr(Checkpoint, "load", nothing)  # noqa: B010
    with suppress(Done):
        train.main()
    found["peak"] = peak()
    print(json.dumps(found))


def watch(found: dict[str, Any]) -> None:
    """Keep the largest anonymous memory so far, in GB."""
    while True:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                found["anonymous"] = max(found["anonymous"], int(line.split()[1]) * 1024 / 1e9)
        time.sleep(PAUSE)


if __name__ == "__main__":
    run(main)
