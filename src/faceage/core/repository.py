"""The repository that a run belongs to: its root, its git revision, what dvc.lock knows of it."""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

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
    train = locked_stages().get("train", {})
    deps = {dep["path"]: dep.get("md5", "") for dep in train.get("deps", [])}
    code = sorted(f"{path}:{md5}" for path, md5 in deps.items() if path.startswith("src/"))
    data = {path: md5 for path, md5 in deps.items() if path.startswith("data/")}
    tags = {f"dvc.{path}": md5 for path, md5 in data.items()}
    return tags | {"dvc.code": hashlib.md5("\n".join(code).encode()).hexdigest()}


def locked_stages(commit: str | None = None) -> dict[str, Any]:
    """What dvc.lock says of each stage, here or at a commit; nothing where there is no dvc.lock."""
    lock = Path("dvc.lock")
    here = lock.read_text() if lock.exists() else ""
    text = content_at(commit, lock) if commit else here
    return dict((yaml.safe_load(text) or {}).get("stages", {}))


def commits_of(path: Path) -> list[str]:
    """Commits up to the present one that changed the file, newest first; none without git."""
    return git("log", "--format=%H", "--", str(path)).split()


def content_at(commit: str, path: Path) -> str:
    """Text of a file, its path relative to here, at a commit; empty where it was not there."""
    return git("show", f"{commit}:./{path}")


def git(*arguments: str) -> str:
    """Output of a git command, without the white space around it; empty if git refuses."""
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:  # the program is not installed
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
