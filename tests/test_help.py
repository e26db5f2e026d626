"""What scripts answer to --help, at once: nothing that is slow to import is needed for it."""

import subprocess
import sys

import pytest
from conftest import ROOT

SLOW = {"torch", "timm", "torchvision", "mlflow", "sklearn", "scipy", "matplotlib", "onnxruntime"}
SCRIPTS = sorted(path.name for path in (ROOT / "src").glob("*.py"))


def asked(script: str, option: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", str(ROOT / "src" / script), option]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_answered_without_what_is_slow_to_import(script):
    answer = asked(script, "--help")
    assert answer.returncode == 0, answer.stderr[-300:]
    assert answer.stdout
    imported = {line.split("|")[-1].strip() for line in answer.stderr.splitlines()}
    assert "argparse" in imported or script == "recipe.py"  # which lists the recipes
    assert not imported & SLOW


def test_a_stage_takes_no_options_and_does_not_start_with_one():
    answer = asked("train.py", "--epochs=3")
    assert answer.returncode == 2
    assert "unrecognized arguments: --epochs=3" in answer.stderr
