"""A training in a process of its own: watched while it runs, stopped where it is hopeless."""

import contextlib
import fcntl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

import pandas as pd
import psutil

POLL = 1.0  # seconds between looks at the history
TRAINING = "src/train.py"
HISTORY = Path("reports/history.csv")


def run(
    command: Sequence[str],
    log: Path,
    is_hopeless: Callable[[pd.DataFrame], bool] = lambda history: False,
) -> None:
    """Run `dvc exp run` to its end, or until its training is hopeless.

    Only the training is stopped, as by Ctrl-C, so DVC cleans up after itself. A training that is
    stopped keeps its last epoch, and the same command goes on there.

    Parameters
    ----------
    log : gets all that is printed
    is_hopeless : is asked after each new epoch, with history.csv as far as it goes
    """
    epochs = 0
    with _locked(log) as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                time.sleep(POLL)
                for training in trainings(process.pid):
                    history = _history(training)
                    if len(history) > epochs and is_hopeless(history):
                        training.terminate()
                    epochs = len(history)
        finally:
            for training in trainings(process.pid):
                training.terminate()
            process.wait()


def wait(log: Path) -> None:
    """Wait for a run that prints into this log, and that has outlived who started it."""
    with _locked(log):
        pass


@contextlib.contextmanager
def _locked(log: Path) -> Iterator[TextIO]:
    """Open the log, and lock it: the lock is held as long as any process prints into it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as printed:
        fcntl.flock(printed, fcntl.LOCK_EX)
        yield printed


def trainings(pid: int) -> Iterator[psutil.Process]:
    """Trainings among the descendants of a process."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if TRAINING in process.cmdline():
                    yield process


def _history(training: psutil.Process) -> pd.DataFrame:
    """The epochs so far, in the folder that the experiment runs in; DVC removes those of before."""
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess, FileNotFoundError):
        return pd.read_csv(Path(training.cwd()) / HISTORY)
    return pd.DataFrame()
