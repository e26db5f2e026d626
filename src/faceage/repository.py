"""The repository that a run belongs to: its root, its git revision, what dvc.lock knows of it."""

import hashlib
import os
import subprocess
from pathlib import Path

import yaml


def root() -> Path:
    """The real repository, also for an experiment that runs in a temporary copy of it."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def run_name() -> str:
    """The experiment's name, or else the git branch."""
    return os.environ.get("DVC_EXP_NAME") or git("rev-parse", "--abbrev-ref", "HEAD") or "run"


def revision_tags() -> dict[str, str]:
    """The commit that the run started from, and whether files differed from it."""
    baseline = os.environ.get("DVC_EXP_BASELINE_REV") or git("rev-parse", "HEAD") or "none"
    dirty = bool(git("status", "--porcelain", "--untracked-files=no"))
    return {"git.baseline": baseline, "git.dirty": str(dirty).lower()}


def lock_tags() -> dict[str, str]:
    """Hashes in dvc.lock of the data that the model was trained on and of the code that did it."""
    lock = Path("dvc.lock")
    stages = yaml.safe_load(lock.read_text())["stages"] if lock.exists() else {}
    deps = {dep["path"]: dep.get("md5", "") for dep in stages.get("train", {}).get("deps", [])}
    code = sorted(f"{path}:{md5}" for path, md5 in deps.items() if path.startswith("src/"))
    data = {path: md5 for path, md5 in deps.items() if path.startswith("data/")}
    tags = {f"dvc.{path}": md5 for path, md5 in data.items()}
    return tags | {"dvc.code": hashlib.md5("\n".join(code).encode()).hexdigest()}


def git(*arguments: str) -> str:
    """Output of a git command, without the white space around it; empty if git refuses."""
    result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else ""
