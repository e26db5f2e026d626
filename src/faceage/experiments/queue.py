"""The DVC queue: bring named experiments of the present commit about."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from faceage.core import processes, repository
from faceage.core.script import UserError

POLL = 20  # seconds between looks at the queue
# Where DVC notes processes, each as a JSON object: those of its workers, and of each experiment.
WORKERS, EXPERIMENTS = Path(".dvc/tmp/exps/celery"), Path(".dvc/tmp/exps/run")


def finished() -> dict[str, str]:
    """Commits of the finished experiments of the present commit, by name."""
    head = repository.git("rev-parse", "HEAD")
    refs = f"refs/exps/{head[:2]}/{head[2:]}/"
    lines = repository.git("for-each-ref", "--format=%(refname) %(objectname)", refs).splitlines()
    return {ref.removeprefix(refs): commit for ref, commit in map(str.split, lines)}


def work_off(commands: Mapping[str, Sequence[str]], jobs: int = 1) -> Iterator[str]:
    """Queue what is neither finished nor waiting, start the queue, name each that has finished.

    Stopped and started again, it goes on: what has failed or was killed is queued anew.

    Parameters
    ----------
    commands : by the name of the experiment, the command that queues it
    jobs : experiments at a time, which share the cores: on 2 cores two trainings of a thread each
        do more than one after the other of two threads, which wait for each other

    Raises
    ------
    UserError
        If an experiment fails or is killed; those behind it stay in the queue.
    """
    missing = [name for name in commands if name not in finished()]
    if missing:
        end_killed()
    states = _states() if missing else {}
    for name in missing:
        if states.get(name) in ("Queued", "Running"):
            continue
        if name in states:
            _dvc("queue", "remove", name)
        _call(commands[name])
    if jobs > 1:
        # Workers inherit it. It changes the last digits of a training.
        os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // jobs))
    while missing:
        done = finished()
        yield from (name for name in missing if name in done)
        missing = [name for name in missing if name not in done]
        states = _states()
        if failed := [name for name in missing if states.get(name) == "Failed"]:
            raise UserError(f"{failed[0]} failed; `dvc queue logs {failed[0]}` says why")
        if killed := [name for name in end_killed() if name in missing]:
            raise UserError(f"{killed[0]} was killed; the same command again goes on with it")
        if missing and list(states.values()).count("Running") < min(jobs, len(missing)):
            _dvc("queue", "start", "--jobs", str(jobs))
        if missing:
            time.sleep(POLL)


def end_killed() -> list[str]:
    """Have DVC take experiments for failed that were killed with their worker; return their names.

    Nobody tells it: it would show them as running, and wait for them, for ever. An experiment that
    has outlived its worker is waited for, though nobody will collect its result.
    """
    if not EXPERIMENTS.exists() or any(map(_is_alive, WORKERS.glob("*.json"))):
        return []
    running = [row for row in _rows() if row[-1] == "Running"]
    killed = [
        name
        for commit, name, *_ in running
        if not any(map(_is_alive, EXPERIMENTS.glob(f"{commit}*/*.json")))
    ]
    for name in killed:
        _dvc("queue", "kill", name)
    return killed


def _is_alive(note: Path) -> bool:
    """Whether a process of DVC's is at work, by the note that it keeps of it."""
    try:
        known = json.loads(note.read_text())
        ended = known.get("returncode") is not None
        return not ended and processes.is_command(known["pid"], "dvc")
    except (FileNotFoundError, ValueError, KeyError):
        return False


def _states() -> dict[str, str]:
    """State of each named task: Queued, Running, Failed or Success."""
    return {name: state for _, name, *_, state in _rows()}


def _rows() -> list[list[str]]:
    """The table of `dvc queue status`: short commit, name, when it was created, state."""
    rows = [line.split() for line in _dvc("queue", "status").splitlines()[1:]]
    return [row for row in rows if len(row) >= 4 and row[0] != "Worker"]


def _dvc(*arguments: str) -> str:
    return _call(["dvc", *arguments])


def _call(command: Sequence[str]) -> str:
    # Into files: the workers that `dvc queue start` leaves behind would hold pipes open.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        code = subprocess.run(command, check=False, stdout=out, stderr=err).returncode
        for file in (out, err):
            file.seek(0)
        printed, said = out.read(), err.read()
    if code:
        last = ((said or printed).strip().splitlines() or ["no word"])[-1]
        raise UserError(f"`{' '.join(command[:3])}` failed: {last.removeprefix('ERROR: ')}")
    return printed
