"""Processes of this machine: a name for this one, whether another still runs, who ends with it."""

import ctypes
import hashlib
import multiprocessing
import os
import platform
import signal
import sys
import uuid

import psutil

PR_SET_PDEATHSIG = 1  # prctl(2)
SAME = 1.0  # seconds by which two looks at the start of a process may differ


def this() -> str:
    """A name of this process that no other has: machine, number and start, in seconds since 1970.

    Numbers of processes are used again, on the same machine after hours.
    """
    return f"{_machine()} {os.getpid()} {psutil.Process().create_time():.2f}"


def is_here(name: str) -> bool:
    """Whether a process with a name by `this` ran on this machine."""
    return name.partition(" ")[0] == _machine()


def has_ended(name: str) -> bool:
    """Whether a process of this machine, by the name that `this` gave it, is no more."""
    _, pid, start = name.split(" ")
    try:
        same = abs(psutil.Process(int(pid)).create_time() - float(start)) < SAME
        return not same or not runs(int(pid))
    except psutil.NoSuchProcess:
        return True


def runs(pid: int) -> bool:
    """Whether there is such a process, and not only its exit code for who started it."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def is_command(pid: int, word: str) -> bool:
    """Whether a process of that number is there, and its command line has that word in it."""
    try:
        return word in " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


def end_with_parent(number: int = signal.SIGKILL) -> None:
    """Have Linux send this process a signal when the one that started it ends, be it killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number))
        parent = multiprocessing.parent_process()
        if parent and parent.pid != os.getppid():  # it ended before Linux was asked to look
            os.kill(os.getpid(), number)


def _machine() -> str:
    """Hash of what tells this machine from others, which says nothing about it."""
    text = f"{platform.node()} {uuid.getnode()}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
