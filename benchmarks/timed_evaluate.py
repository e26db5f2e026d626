"""The stage `evaluate`, and how much of its time goes into forward passes and into robustness.

    python benchmarks/timed_evaluate.py

Runs where params.yaml, data/ and models/ are. Prints a JSON object: seconds of all, from the start
of the process; of robustness; and of the forward passes of all else, those among them that measure
what a face costs.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import psutil

import evaluate
from faceage.core.script import run
from faceage.evaluation import cost, repeatability, robustness

seconds = {"passes": 0.0, "robustness": 0.0}


def counted(do: Callable[..., Any], kind: str) -> Callable[..., Any]:
    """The same, its time added to that kind."""

    def doing(*arguments: Any) -> Any:
        start = time.perf_counter()
        result = do(*arguments)
        seconds[kind] += time.perf_counter() - start
        return result

    return doing


def main() -> None:
    """Evaluate."""
    for module, name, kind in (
        (evaluate, "predict", "passes"),
        (repeatability, "predict", "passes"),
        (cost, "measure", "passes"),
        (robustness, "predict", "robustness"),
    ):
        setattr(module, name, counted(getattr(module, name), kind))
    evaluate.main()
    print(json.dumps(seconds | {"all": time.time() - psutil.Process().create_time()}))


if __name__ == "__main__":
    run(main)
