"""A DVC pipeline that does nothing but what others read: for tests of what runs many of them.

One stage called train, whose error follows from `train.lr` alone, in a second.
Its model is a file of the error.
"""

import math
import os
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, edit_params
from test_pipeline import call, commit

EPOCHS = 5
TRAIN = f'''"""Errors fall with the epochs, to 4 years with the best rate, which is 0.01."""

import csv, hashlib, math, os, time
from pathlib import Path

import yaml

params = yaml.safe_load(Path("params.yaml").read_text())
with (Path(os.environ["DVC_ROOT"]) / "trained.txt").open("a") as trained:
    trained.write(os.environ.get("DVC_EXP_NAME", "") + "\\n")
error = 4 + 5 * abs(math.log10(params["train"]["lr"]) + 2)
rows = []
for epoch in range(1, {EPOCHS} + 1):
    time.sleep(float(os.environ.get("EPOCH_SECONDS", "0.1")))
    loss = error + {EPOCHS} - epoch
    rows.append(
        dict(member=1, phase=1, epoch=epoch, train_loss=loss, val_loss=loss, val_mae=loss)
    )
    with open("history.part", "w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    os.replace("history.part", "reports/history.csv")
Path("models").mkdir(exist_ok=True)
Path("models/model.bin").write_text(str(error))
with open("reports/predictions.csv", "w") as file:
    file.write("face,age,predicted\\n")
    for number in range(60):
        sign = 1 if number % 2 else -1
        file.write(f"{{number:064x}},40,{{40 + sign * error}}\\n")
'''
REAL = yaml.safe_load((ROOT / "dvc.yaml").read_text())
PIPELINE = {
    "stages": {
        "train": {
            "cmd": "python src/train.py",
            "params": ["train"],
            "deps": ["src/train.py"],
            "outs": ["models/model.bin"],
            "metrics": [{"reports/predictions.csv": {"cache": False}}],
            "plots": REAL["stages"]["train"]["plots"],
        }
    },
    "artifacts": REAL["artifacts"],
    "plots": [plot for plot in REAL["plots"] if "Loss by epoch" in plot],
}


def error(rate: float) -> float:
    """Years that a training with that rate ends with."""
    return 4 + 5 * abs(math.log10(rate) + 2)


def make(path: Path) -> Path:
    """A repository at `path`, its pipeline run once with a rate of 0.1 and committed."""
    path.mkdir(exist_ok=True)
    for name in ("params.yaml", ".gitignore"):
        shutil.copy(ROOT / name, path)
    edit_params({"train.lr": 0.1, "evaluate.bootstrap": 200}, path / "params.yaml")
    (path / ".gitignore").open("a").write("/trained.txt\n/home/\n")
    (path / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
    for folder in ("src", "reports", "sweeps"):
        (path / folder).mkdir()
    (path / "src/train.py").write_text(TRAIN)
    (path / "reports/.gitkeep").touch()
    (path / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, path / ".dvc" / name)
    call("git", "init", "--quiet", "--initial-branch", "main", cwd=path)
    commit(path, "a tiny pipeline")
    return path


def work_in(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work there, as somebody who has activated the environment and has a name in git."""
    monkeypatch.chdir(path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@example.org")


def trained(path: Path) -> list[str]:
    """Names of the experiments whose training was started, in this order."""
    file = path / "trained.txt"
    return file.read_text().splitlines() if file.exists() else []
