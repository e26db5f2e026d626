"""One process or several: what the machine has, or the environment asks for, decides.

The same command starts them all. It is the training itself where nothing asks for more; where the
machine has several GPUs, or torchrun's own variables (PET_NPROC_PER_NODE, PET_NNODES ...) say so,
it starts torchrun's agent, which starts it again as each of the processes and watches them; where
RAY_ADDRESS names a cluster, it does that on its nodes.
"""

import json
import logging
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch.distributed import DistError
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from faceage.core import cluster
from faceage.core.processes import end_with_parent
from faceage.core.script import UserError
from faceage.training.nodes import GO_ON, LOST_OTHERS, train_on_cluster
from faceage.training.processes import Processes

# Longest time for which a process waits for another one that says nothing, as where the power of a
# machine fails; decoding the faces, or rank 0's writing, is to take less.
PATIENCE = timedelta(minutes=10)
INTERRUPTED = 130
LOST = 75  # exit code of a process whose others have gone: sysexits.h, try again
WATCHED_BY = "FACEAGE_LAUNCHER"  # process number of the one that says what became of the others


def launched(main: Callable[[Processes], None]) -> None:
    """Call `main` in this process, alone or as one of several, or start those and wait for them.

    Raises
    ------
    UserError
        That a process has ended before its time, which one and why; the others are stopped.
    """
    if "LOCAL_RANK" in os.environ:
        _as_one_of_several(main)
    elif os.environ.get("PET_NPROC_PER_NODE") or os.environ.get("PET_NNODES"):
        _with_torchrun()
    elif cluster.is_named():
        train_on_cluster()
    elif torch.cuda.device_count() > 1:
        _with_torchrun()
    else:
        main(Processes())


def _with_torchrun() -> None:
    """Start this script again as each of the processes of this machine, under torchrun's agent."""
    # What it says of a failure, in twenty lines, is said below in one.
    logging.disable(logging.CRITICAL)
    by_gpus = [f"--nproc-per-node={max(1, torch.cuda.device_count())}"]
    options = [] if "PET_NPROC_PER_NODE" in os.environ else by_gpus
    with tempfile.TemporaryDirectory() as folder:
        arguments = torchrun.get_args_parser().parse_args(
            [*options, f"--log-dir={folder}", *sys.argv]
        )
        count = torchrun.determine_local_world_size(arguments.nproc_per_node)
        if count > 1:
            # By default each would have one thread.
            os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
        os.environ[WATCHED_BY] = str(os.getpid())
        try:
            torchrun.run(arguments)
        except ChildFailedError as error:
            raise UserError(_what_became_of(error.failures)) from None
        except SignalException:
            raise KeyboardInterrupt from None


def _what_became_of(failures: Mapping[int, Any]) -> str:
    """Why the processes of this machine ended, in a sentence.

    Parameters
    ----------
    failures : torchrun's, by the process's number
    """
    # Those that follow from another's end come last; the rest in the order in which they ended.
    follow = (INTERRUPTED, -signal.SIGTERM, LOST)
    in_order = sorted(
        failures.items(),
        key=lambda each: (each[1].exitcode in follow, each[1].timestamp, each[0]),
    )
    rank, failure = in_order[0]
    if failure.exitcode == LOST:
        return f"train: process {rank} {LOST_OTHERS}: look there why they ended; {GO_ON}"
    if failure.exitcode < 0:
        name = failure.signal_name()
        memory = ", as the system does where memory runs out" if name == "SIGKILL" else ""
        return (
            f"train: process {rank} (pid {failure.pid}) was ended by {name}{memory}; the other"
            f" processes were stopped: {GO_ON}"
        )
    if isinstance(failure.error_file_data.get("message"), str):
        return str(failure.message)
    return (
        f"train: process {rank} (pid {failure.pid}) ended with exit code {failure.exitcode}, and"
        f" the other processes were stopped: {GO_ON}"
    )


def _as_one_of_several(main: Callable[[Processes], None]) -> None:
    """Call `main` as the process that torchrun, or what starts processes alike, says this is.

    The first one speaks. Why another one ends is left to who started them, and so it is for the
    first one where that is `_with_torchrun`, which says the one reason that matters.
    """
    first = os.environ["RANK"] == "0"
    watched = os.environ.get(WATCHED_BY) == str(os.getppid())
    if not first:
        sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (as long as it lives)
    # Nobody would stop it who outlives who started it.
    end_with_parent(signal.SIGTERM)
    try:
        processes = _join()
        main(processes)
        processes.leave()
        _need_no_interruption()
    except KeyboardInterrupt:
        _need_no_interruption()
        if first and not watched:
            raise
        sys.exit(INTERRUPTED)
    except Exception as error:
        _need_no_interruption()
        lost = _is_loss_of_others(error)
        told = UserError(f"train: lost the other processes; {GO_ON}") if lost else error
        explained = isinstance(told, UserError)
        if first and not (watched and explained):
            raise told from None
        _record(str(told) if explained else traceback.format_exc())
        sys.exit(LOST if lost else 1)


def _need_no_interruption() -> None:
    """Have the process ended at once by who stops it, from where it has nothing more to keep."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _is_loss_of_others(error: Exception) -> bool:
    # Gloo's errors have no class of their own.
    return isinstance(error, DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error)
    )


def _record(message: str) -> None:
    """Leave a message where torchrun's agent finds it."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        content = {"message": message, "timestamp": str(int(time.time()))}
        Path(path).write_text(json.dumps(content))


def _join() -> Processes:
    """Join the others; the first CUDA device of this process is its own from then on."""
    gpus, here = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if 0 < gpus < here:
        raise UserError(
            f"train: {here} processes were started on a machine with {gpus} GPU"
            f"{'s' * (gpus > 1)}: start {gpus}, one for each"
        )
    return Processes(
        Accelerator(
            cpu=not gpus,
            mixed_precision="no",  # train.precision says which
            kwargs_handlers=[
                InitProcessGroupKwargs(timeout=PATIENCE),
                # Lets a network have weights that it doesn't use.
                DistributedDataParallelKwargs(static_graph=True),
            ],
        )
    )
