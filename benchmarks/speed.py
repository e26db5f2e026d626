"""How fast the pipeline is, each figure measured side by side with what it is compared with.

    make bench UTKFACE=UTKFace.tar WEIGHTS=tf_efficientnet_lite0.safetensors
    python benchmarks/speed.py UTKFace.tar WEIGHTS [PART ...] [--ours FOLDER --usual CSV]

Parts: memory, startup, input, gains, profile, accuracy, evaluate, growth; all of them but growth by
default, which takes as long as the others together. Writes benchmarks/speed.json, in which the
other parts stay, and the page speed.md. --ours and --usual, both as often as one likes, are whole
trainings for the part accuracy: folders in which the recipe was trained, and histories of
usual_script.py.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import speed_growth
import speed_stages
import speed_steps
import torch
from speed_page import page
from speed_work import RECIPE, Found, Work, prepared

from faceage.core.outputs import atomic_write, write_json
from faceage.core.script import UserError, run
from faceage.evaluation.cost import processor

RESULTS = Path(__file__).resolve().with_suffix(".json")
PAGE = RESULTS.with_suffix(".md")
SLOW = ("growth",)
RECIPES = {"accuracy": "faceage-fast"}  # of parts that are not of RECIPE: its aim is that error


def main() -> None:
    """Prepare the data, measure part by part, write each when it is there."""
    asked = arguments()
    histories = [*asked.usual, *(folder / "reports/history.csv" for folder in asked.ours)]
    for path in (asked.utkface, asked.weights, *histories):
        if not path.is_file():
            raise UserError(f"there is no file {path}")

    def accuracy(work: Work) -> Found:
        return speed_steps.accuracy(work, asked.ours, asked.usual)

    parts: dict[str, Callable[[Work], Found]] = {
        "memory": speed_stages.memory,
        "startup": speed_stages.startup,
        "input": speed_steps.of_inputs,
        "gains": speed_steps.gains,
        "profile": speed_steps.profiled,
        "accuracy": accuracy,
        "evaluate": speed_stages.evaluation,
        "growth": speed_growth.growth,
    }
    if unknown := set(asked.parts) - set(parts):
        raise UserError(
            f"there is no part {', '.join(sorted(unknown))}; parts are {', '.join(parts)}"
        )
    results: Found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with prepared(asked.utkface.resolve(), asked.weights.resolve()) as work:
        for name in asked.parts or [name for name in parts if name not in SLOW]:
            work.use(RECIPES.get(name, RECIPE))
            start = time.perf_counter()
            found = parts[name](work)
            about = {"machine": machine(), "minutes": (time.perf_counter() - start) / 60}
            results[name] = found | {"measured": about}
            write_json(RESULTS, {name: results[name] for name in parts if name in results})
            with atomic_write(PAGE) as part:
                part.write_text(page(results))
            print(f"{name}: {json.dumps(found)}", flush=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("utkface", type=Path, help="UTKFace's archive")
    parser.add_argument("weights", type=Path, help="ImageNet weights of the recipe's backbone")
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure")
    trainings: dict[str, Any] = {"type": absolute, "action": "append", "default": []}
    parser.add_argument("--ours", **trainings, metavar="FOLDER", help="where `train` has run")
    parser.add_argument("--usual", **trainings, metavar="CSV", help="history of usual_script.py")
    return parser.parse_args()


def absolute(path: str) -> Path:
    """The path, wherever one goes."""
    return Path(path).resolve()


def machine() -> str:
    """The processor, how many cores of it, and torch's version."""
    return f"{processor()}, {os.cpu_count()} cores, torch {torch.__version__}"


if __name__ == "__main__":
    run(main)
