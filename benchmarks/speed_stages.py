"""Speed and memory of whole scripts: the start and the memory of train, --help, dvc, evaluate."""

import shutil
import statistics
import subprocess
import sys
from functools import partial

from speed_steps import Steps
from speed_work import ROOT, ROUNDS, Found, Work, last_line, timed

from faceage.core.params import TrainParams, load
from faceage.networks import saved_model

STEPS = 20  # of an epoch, after which the memory grows no more


def memory(work: Work) -> Found:
    """Largest memory of `train`, in GB, with the pixels in memory and in a file."""
    found = {
        "in_memory": last_line(work.run("benchmarks/few_steps.py", f"{STEPS}")),
        "mapped": last_line(work.run("benchmarks/few_steps.py", f"{STEPS}", "--mapped")),
    }
    shutil.rmtree(work.folder / "models", ignore_errors=True)
    return found


def startup(work: Work) -> Found:
    """Seconds until the first step of `train`, until --help is answered, and of a no-op repro."""
    first = [
        last_line(work.run("benchmarks/few_steps.py", "1"))["first_step"] for _ in range(ROUNDS)
    ]
    scripts = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "src").glob("*.py"))
    helped: dict[str, list[float]] = {script: [] for script in scripts}
    for _ in range(ROUNDS):
        for script, seconds in helped.items():
            seconds.append(timed(partial(silent, sys.executable, script, "--help")))
    medians = {script: statistics.median(seconds) for script, seconds in helped.items()}
    slowest = max(medians, key=lambda script: medians[script])
    return {
        "first_step": statistics.median(first),
        "help": {"script": slowest, "seconds": medians[slowest]},
        "repro": no_op_repro(),
    }


def no_op_repro() -> float | None:
    """Seconds of `dvc repro` where nothing has changed; None where something has."""
    asked = subprocess.run(["dvc", "status", "--quiet"], cwd=ROOT, check=False, capture_output=True)
    if asked.returncode:
        return None
    return statistics.median(timed(lambda: silent("dvc", "repro")) for _ in range(ROUNDS))


def silent(*command: str) -> None:
    """Run it in the repository; it has to end well."""
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def evaluation(work: Work) -> Found:
    """Seconds of `evaluate`, of its forward passes, of robustness, of the recipe's network.

    That is as a training finds it: how well it does changes nothing of the time.
    """
    steps = Steps(work)
    params = load(TrainParams)
    about = {"synthetic": False, "fingerprint": "untrained", "training": params.model_dump()}
    weights = [steps.trainer.network.state_dict()]
    saved_model.save(weights, steps.architecture, steps.trainer.target, about)
    found = last_line(work.run("benchmarks/timed_evaluate.py"))
    without = found["all"] - found["robustness"]
    return found | {"without_robustness": without / found["passes"]}
