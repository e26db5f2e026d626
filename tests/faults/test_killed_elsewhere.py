"""SIGKILL beside the pipeline: workers of DVC's queue, and a machine that pushes what it made."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import record
import tiny_pipeline
from test_pipeline import call, commit

from faceage.core import hashing
from faceage.core.script import UserError
from faceage.experiments import queue

KILLS = 4
RATES = {"rate-1": 0.02, "rate-2": 0.04}


@pytest.fixture
def queued(tmp_path, monkeypatch) -> Path:
    """A repository with two experiments in its queue, whose epochs take half a second."""
    made = tiny_pipeline.make(tmp_path / "repository")
    tiny_pipeline.work_in(made, monkeypatch)
    monkeypatch.setenv("EPOCH_SECONDS", "0.5")
    monkeypatch.setattr(queue, "POLL", 1)
    return made


def commands() -> dict[str, list[str]]:
    return {
        name: ["dvc", "exp", "run", "--queue", "-n", name, "-S", f"train.lr={rate}"]
        for name, rate in RATES.items()
    }


def of(repository: Path) -> list[psutil.Process]:
    """Processes that work in a repository, or in a copy of it that DVC made there."""
    found = []
    for each in psutil.process_iter():
        with suppress(psutil.Error):
            if each.pid != os.getpid() and each.cwd().startswith(str(repository)):
                each.cmdline()
                found.append(each)
    return found


def kill_a_worker(repository: Path, seed: int) -> str:
    """Kill the workers, alone or with what they have started, at a drawn moment of a training."""
    draw = random.Random(seed)
    with_all = draw.random() < 0.5
    for command in commands().values():
        call(*command, cwd=repository)
    started = len(tiny_pipeline.trained(repository))
    start = ["dvc", "queue", "start", "--jobs", "2"]  # its workers would hold pipes open
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(tiny_pipeline.trained(repository)) == started:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(draw.uniform(0, 3))
    for each in of(repository):
        with suppress(psutil.NoSuchProcess):
            if with_all or "queue-worker" in each.cmdline():
                each.kill()
    return "with its experiment" if with_all else "alone"


def work_off() -> list[str]:
    """Names of what has finished; what was killed is started again, as its message says."""
    for _ in range(4):
        try:
            return sorted(queue.work_off(commands()))
        except UserError as error:
            assert str(error).endswith("was killed; the same command again goes on with it")
    return []


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_killed_workers_of_the_queue(queued):
    found: Counter[str] = Counter()
    for seed in range(KILLS):
        whom = kill_a_worker(queued, seed)
        right = work_off() == sorted(RATES) and errors(queued) == [
            pytest.approx(tiny_pipeline.error(rate)) for rate in RATES.values()
        ]
        found[f"{whom}: gone on with" if right else record.LOST] += 1
        call("dvc", "queue", "stop", cwd=queued)
        call("dvc", "queue", "remove", "--all", cwd=queued)
        call("dvc", "exp", "remove", *RATES, cwd=queued)
        shutil.rmtree(queued / ".dvc/cache/runs", ignore_errors=True)
    record.write("Killed anywhere: workers of the queue", {"two workers": found})
    assert record.survived(found)


def errors(repository: Path) -> list[float]:
    """What the experiments' trainings ended with, by the name."""
    shown = (
        call("git", "show", f"{queue.finished()[name]}:reports/history.csv", cwd=repository)
        for name in RATES
    )
    return [float(each.stdout.strip().split(",")[-1]) for each in shown]


PIPELINE = """
stages:
  made:
    cmd: python made.py
    deps: [made.py]
    outs: [many, one.bin]
"""
ENTRIES = 302  # of the remote: the files, and the list of those in the folder
MADE_FILES = ("many", "one.bin")
MADE = """
import os, random
os.makedirs("many")
draw = random.Random(0)
for number in range(300):
    open(f"many/{number}", "wb").write(draw.randbytes(20_000))
open("one.bin", "wb").write(draw.randbytes(20_000_000))
"""


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Path:
    """A clone whose stage has run, committed."""
    path = tmp_path / "machine"
    path.mkdir()
    tiny_pipeline.work_in(path, monkeypatch)
    (path / "dvc.yaml").write_text(PIPELINE)
    (path / "made.py").write_text(MADE)
    call("git", "init", "--quiet", "--initial-branch", "main", cwd=path)
    call("dvc", "init", "--quiet", cwd=path)
    call("dvc", "repro", cwd=path)
    commit(path, "made")
    return path


def push(machine: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["dvc", "push", "--quiet", "--run-cache"], cwd=machine, start_new_session=True
    )


def outcome_of_push(machine: Path, remote: Path, entries: int) -> str:
    """Kill a push when so many entries have arrived; another clone goes on with them."""
    call("dvc", "remote", "add", "--local", "--force", "--default", "r", str(remote), cwd=machine)
    process = push(machine)
    while process.poll() is None and len(entries_of(remote)) < entries:
        pass
    ended = process.poll() is not None
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    arrived = entries_of(remote)
    if not all(map(is_whole, arrived)):
        return f"{record.LOST}: half an entry of {len(arrived)}"
    other = machine.parent / "other"
    shutil.rmtree(other, ignore_errors=True)
    call("git", "clone", "--quiet", str(machine), str(other), cwd=machine.parent)
    call("dvc", "remote", "add", "--local", "--default", "r", str(remote), cwd=other)
    call("dvc", "fetch", "--quiet", "--run-cache", cwd=other, check=False)
    call("dvc", "repro", "--pull", cwd=other)
    call("dvc", "push", "--run-cache", cwd=machine)
    if call("git", "status", "--porcelain", cwd=other).stdout:
        return f"{record.LOST}: another dvc.lock of {len(arrived)}"
    made = ("many", "one.bin")
    if [hashing.md5(other / name) for name in made] != [
        hashing.md5(machine / name) for name in made
    ]:
        return f"{record.LOST}: other outputs of {len(arrived)}"
    return "after the push" if ended else "within it"


def entries_of(remote: Path) -> list[Path]:
    """What is there under its final name."""
    return [path for path in remote.glob("files/md5/??/*") if len(path.stem) == 30]


def is_whole(entry: Path) -> bool:
    name = entry.parent.name + entry.name.removesuffix(".dir")
    return hashlib.md5(entry.read_bytes()).hexdigest() == name


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_a_machine_that_goes_away_while_it_pushes(machine):
    found: Counter[str] = Counter()
    for seed in range(KILLS):
        entries = random.Random(seed).randint(0, ENTRIES)
        outcome = outcome_of_push(machine, machine.parent / f"remote-{seed}", entries)
        print(outcome)
        found[outcome.split(":")[0]] += 1
    record.write("Killed anywhere: a machine that pushes", {"dvc push": found})
    assert record.survived(found)
