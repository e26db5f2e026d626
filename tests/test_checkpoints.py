"""A training is one process's at a time, and what is kept of it goes when it has ended."""

import os
import subprocess
import sys

from conftest import ROOT

from faceage.training.checkpoints import Checkpoint

HOLD = """
import sys
from faceage.training.checkpoints import held
with held("abc") as run_id:
    print("held", run_id, flush=True)
    sys.stdin.read()
"""


def hold() -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_the_same_training_waits_for_the_other_and_a_killed_one_holds_nothing(workspace):
    first = hold()
    assert said(first) == "held None"
    Checkpoint("abc").save({"run_id": "the first one's"})
    second = hold()
    assert said(second) == "waiting for another process, which trains the same"
    first.kill()
    first.wait()
    assert said(second) == "held the first one's", "it goes on with the run of the killed one"
    second.communicate("")
    assert not Checkpoint("abc").folder.exists()
