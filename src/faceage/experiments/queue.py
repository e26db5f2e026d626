"""The DVC queue: bring named experiments of the present commit about."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence

from faceage.core import repository
from faceage.core.script import UserError

POLL = 20  # seconds between looks at the queue


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
        If an experiment fails; those behind it stay in the queue.
    """
    missing = [name for name in commands if name not in finished()]
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
        if missing and list(states.values()).count("Running") < min(jobs, len(missing)):
            _dvc("queue", "start", "--jobs", str(jobs))
        if missing:
            time.sleep(POLL)


def _states() -> dict[str, str]:
    """State of each named task: Queued, Running, Failed or Success."""
    rows = [line.split() for line in _dvc("queue", "status").splitlines()[1:]]
    return {row[1]: row[-1] for row in rows if len(row) >= 4}


def _dvc(*arguments: str) -> str:
    return _call(["dvc", *arguments])


def _call(command: Sequence[str]) -> str:
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode:
        said = (result.stderr or result.stdout).strip().splitlines() or ["no word"]
        raise UserError(f"`{' '.join(command[:3])}` failed: {said[-1].removeprefix('ERROR: ')}")
    return result.stdout
