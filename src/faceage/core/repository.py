"""The repository that a run belongs to: its root, its git revision, what dvc.lock knows of it."""

import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from faceage.core.script import UserError


def root() -> Path:
    """The real repository, also for an experiment that runs in a temporary copy of it."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def run_name() -> str:
    """The experiment's name, or else the git branch, or on a detached HEAD the short commit."""
    branch = git("symbolic-ref", "--quiet", "--short", "HEAD")
    return os.environ.get("DVC_EXP_NAME") or branch or git("rev-parse", "--short", "HEAD") or "run"


def revision_tags() -> dict[str, str]:
    """The commit that the run started from, and whether files differed from it.

    What git does not say is unknown, which is not the same as no commit and no difference.
    """
    status = _run("status", "--porcelain", "--untracked-files=no")
    if status and status.returncode == 0:
        commit, dirty = git("rev-parse", "HEAD") or "none", str(bool(status.stdout)).lower()
    else:
        commit, dirty = "unknown" if _exists() else "none", "unknown"
    return {
        "git.baseline": os.environ.get("DVC_EXP_BASELINE_REV") or commit,
        "git.dirty": dirty,
    }


def needed_trust() -> str | None:
    """The command that has git read a repository here that it refuses because of its owner."""
    result = _run("rev-parse", "--git-dir")
    command = r"git config --global --add safe\.directory .+"
    found = re.search(command, result.stderr) if result else None
    return found.group() if found else None


def lock_tags() -> dict[str, str]:
    """Hashes in dvc.lock of the data that the model was trained on and of the code that did it."""
    train = locked_stages().get("train", {})
    deps = {dep["path"]: dep.get("md5", "") for dep in train.get("deps", [])}
    code = sorted(f"{path}:{md5}" for path, md5 in deps.items() if path.startswith("src/"))
    data = {path: md5 for path, md5 in deps.items() if path.startswith("data/")}
    tags = {f"dvc.{path}": md5 for path, md5 in data.items()}
    return tags | {"dvc.code": hashlib.md5("\n".join(code).encode()).hexdigest()}


def locked_stages(commit: str | None = None) -> dict[str, Any]:
    """What dvc.lock says of each stage, here or at a commit; nothing where there is no dvc.lock.

    Raises
    ------
    UserError
        If it cannot be parsed.
    """
    lock = Path("dvc.lock")
    here = lock.read_text() if lock.exists() else ""
    text = content_at(commit, lock) if commit else here
    try:
        return dict((yaml.safe_load(text) or {}).get("stages", {}))
    except (yaml.YAMLError, AttributeError):
        raise UserError("dvc.lock is damaged; `git checkout dvc.lock` brings it back") from None


def commits_of(path: Path) -> list[str]:
    """Commits up to the present one that changed the file, newest first; none without git."""
    return git("log", "--format=%H", "--", str(path)).split()


def content_at(commit: str, path: Path) -> str:
    """Text of a file, its path relative to here, at a commit; empty where it was not there."""
    return git("show", f"{commit}:./{path}")


def git(*arguments: str) -> str:
    """Output of a git command, without the white space around it; empty if git refuses."""
    result = _run(*arguments)
    return result.stdout.strip() if result and result.returncode == 0 else ""


def _run(*arguments: str) -> subprocess.CompletedProcess[str] | None:
    """A git command that has ended; None where the program is not installed."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None


def _exists() -> bool:
    """Whether there is a git repository here, one that git cannot or will not read included."""
    here = Path.cwd()
    return any((folder / ".git").exists() for folder in (here, *here.parents))
