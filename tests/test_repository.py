"""What is said of the repository of a run: its branch, its commit, and what git will not tell."""

import os
import subprocess
from pathlib import Path

import pytest

from faceage.core import repository


def git(*command: str) -> str:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    return subprocess.run(
        ["git", *identity, *command], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, made the working directory, and a git without settings."""
    monkeypatch.chdir(tmp_path)
    for level in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"GIT_CONFIG_{level}", os.devnull)
    return tmp_path


@pytest.fixture
def committed(here: Path) -> str:
    """A repository with one commit, whose hash this is."""
    git("init", "--quiet", "--initial-branch", "main")
    (here / "file").write_text("one")
    git("add", "--all")
    git("commit", "--quiet", "-m", "one")
    return git("rev-parse", "HEAD")


@pytest.fixture
def of_another_user(here: Path, committed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it another user's, or where only git can pretend that, have git pretend."""
    if os.geteuid() == 0:
        for path in (here, *here.rglob("*")):
            os.chown(path, 12345, 12345)
    else:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")


def test_a_clean_tree_and_one_that_differs(here, committed):
    assert repository.revision_tags() == {"git.baseline": committed, "git.dirty": "false"}
    (here / "file").write_text("two")
    assert repository.revision_tags() == {"git.baseline": committed, "git.dirty": "true"}


def test_an_experiment_knows_the_commit_that_it_started_from(committed, monkeypatch):
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "abc")
    assert repository.revision_tags() == {"git.baseline": "abc", "git.dirty": "false"}


def test_a_repository_that_git_refuses_is_not_taken_for_a_clean_one(of_another_user):
    assert repository.revision_tags() == {"git.baseline": "unknown", "git.dirty": "unknown"}


def test_the_command_that_has_git_read_it(here, of_another_user, monkeypatch):
    command = repository.needed_trust()
    assert command == f"git config --global --add safe.directory {here}"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(here / "settings"))
    subprocess.run(command.split(), check=True)
    assert repository.needed_trust() is None
    assert repository.revision_tags()["git.dirty"] == "false"


def test_a_damaged_repository_is_unknown_too(here, committed):
    (here / ".git/HEAD").unlink()
    assert repository.revision_tags() == {"git.baseline": "unknown", "git.dirty": "unknown"}
    assert repository.needed_trust() is None


def test_without_a_repository_there_is_no_commit(here):
    assert repository.revision_tags() == {"git.baseline": "none", "git.dirty": "unknown"}
    assert repository.needed_trust() is None
    assert repository.run_name() == "run"


def test_a_repository_without_commits(here):
    git("init", "--quiet", "--initial-branch", "first")
    assert repository.revision_tags() == {"git.baseline": "none", "git.dirty": "false"}
    assert repository.run_name() == "first"


def test_without_the_program_git(committed, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert repository.revision_tags() == {"git.baseline": "unknown", "git.dirty": "unknown"}
    assert repository.needed_trust() is None


def test_runs_are_named_by_experiment_branch_or_commit(committed, monkeypatch):
    assert repository.run_name() == "main"
    git("checkout", "--quiet", "-b", "feature/wider")
    assert repository.run_name() == "feature/wider"
    git("checkout", "--quiet", "--detach")
    assert repository.run_name() == git("rev-parse", "--short", "HEAD")
    assert committed.startswith(repository.run_name())
    monkeypatch.setenv("DVC_EXP_NAME", "hasty-loon")
    assert repository.run_name() == "hasty-loon"
