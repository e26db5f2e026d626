"""What a kill leaves in the way of DVC, and src/recover.py, which clears it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_pipeline
from conftest import ROOT
from test_pipeline import call, commit

from faceage.experiments import queue


@pytest.fixture
def made(tmp_path, monkeypatch) -> Path:
    """A small repository, its pipeline run and committed."""
    path = tiny_pipeline.make(tmp_path / "repository")
    tiny_pipeline.work_in(path, monkeypatch)
    monkeypatch.setenv("EPOCH_SECONDS", "0")
    call("dvc", "repro", cwd=path)
    commit(path, "results")
    return path


def recover(path: Path) -> str:
    return call(sys.executable, str(ROOT / "src/recover.py"), cwd=path).stdout


def test_files_that_dvc_was_writing_when_it_was_killed(made):
    whole = (made / "dvc.lock").read_text()
    assert recover(made) == ""
    (made / "dvc.lock").write_text("")
    (made / ".dvc/tmp/rwlock").write_text('{"write": {"/wor')
    refused = call("dvc", "repro", cwd=made, check=False)
    assert refused.returncode != 0
    said = recover(made)
    assert "rwlock, half written: removed" in said
    assert "dvc.lock, half written: it is that of the last commit again" in said
    assert (made / "dvc.lock").read_text() == whole
    assert "up to date" in call("dvc", "repro", cwd=made).stdout
    assert recover(made) == ""


def test_locks_of_a_process_whose_number_is_another_program_s_now(made):
    """DVC itself only looks whether there is a process of that number."""
    locks = made / ".dvc/tmp/rwlock"
    other = {"pid": os.getppid(), "cmd": "dvc repro"}
    locks.write_text(json.dumps({"write": {str(made / "models/model.bin"): other}}))
    (made / "models/model.bin").unlink()
    refused = call("dvc", "repro", cwd=made, check=False)
    assert "is being blocked by" in refused.stderr
    assert f"of {os.getppid()}, which are no DVC: removed" in recover(made)
    call("dvc", "repro", cwd=made)


def test_an_experiment_whose_worker_is_no_more(made, monkeypatch):
    """As DVC leaves it; that it does is seen in tests/faults/test_killed_elsewhere.py."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for folder, name in ((queue.WORKERS, "dvc-exp-worker-1"), (queue.EXPERIMENTS / "abc1234", "a")):
        (made / folder).mkdir(parents=True)
        note = {"pid": ended.pid, "returncode": None}
        (made / folder / f"{name}.json").write_text(json.dumps(note))
    said: list[tuple[str, ...]] = []
    rows = "Task Name Created Status\nabc1234 a 01:35 PM Running\n\nWorker status: 0 active, 0 idle"

    def dvc(*words: str) -> str:
        said.append(words)
        return rows

    monkeypatch.setattr(queue, "_dvc", dvc)
    assert queue.end_killed() == ["a"]
    assert said == [("queue", "status"), ("queue", "kill", "a")]
    code = "print(flush=True); input()"
    pipe = subprocess.PIPE
    alive = subprocess.Popen([sys.executable, "-c", code, "dvc"], stdin=pipe, stdout=pipe)
    assert alive.stdout
    alive.stdout.readline()
    for path in (made / queue.WORKERS).glob("*.json"):
        path.write_text(json.dumps({"pid": alive.pid, "returncode": None}))
    assert queue.end_killed() == []
    alive.communicate(b"\n")
