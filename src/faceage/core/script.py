"""How every script starts and ends: one sentence and exit code 1 for what a user can cause."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from faceage.core import inputs, processes
from faceage.core.secrets import hidden

# Raised by the operating system when a write does not fit: disk full, quota, file-size limit.
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Of a file whose name the error has: what to do about it.
CURES = {
    errno.EACCES: "give yourself the right to read and write there",
    errno.EPERM: "give yourself the right to read and write there",
    errno.EROFS: "give yourself the right to write there",
    errno.ENOENT: "it has gone, or what links to it: put it back",
    errno.EIO: "the disk, or the way to it, fails: mend that or move the files elsewhere",
    errno.ESTALE: "the disk, or the way to it, fails: mend that or move the files elsewhere",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "allow more open files, or end other programs",
}


class UserError(Exception):
    """Something that the person at the keyboard can put right: says what, where and what to do."""


def run(main: Callable[[], None]) -> None:
    """Call `main` and turn what a user can cause into one sentence and an exit code.

    Exit codes: 0 done, 1 an error that the message explains, 130 interrupted, 141 the reader of the
    output has gone (`| head`). Anything else is a fault of the program and keeps its traceback.
    SIGTERM, by which schedulers and sweeps end a process, interrupts like Ctrl-C; so does, on
    Linux, the end of a DVC that was killed: a stage would write where the next DVC runs its own. A
    stage ends with an error where what it depends on has changed meanwhile: see `inputs`.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if inputs.BY_DVC in os.environ:
        processes.end_with_parent(signal.SIGTERM)
    try:
        before = inputs.state()
        main()
        require_unchanged(before)
        sys.stdout.flush()
    except UserError as error:
        sys.exit(f"error: {hidden(str(error))}")
    except KeyboardInterrupt:
        print("\ninterrupted: run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # What is still in the buffer would be written, and fail, when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        sentence = _in_words(error)
        if sentence is None:
            raise
        sys.exit(f"error: {sentence}")


def require_unchanged(before: inputs.State) -> None:
    """Raise a `UserError` if something that the stage depends on is not what it was before."""
    names = inputs.changed(before)
    if names:
        others = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        raise UserError(
            f"{names[0]}{others} changed while {os.environ[inputs.BY_DVC]} was at work: its results"
            " may be of either state and do not count; run the same command again"
        )


def _in_words(error: OSError) -> str | None:
    """What the operating system refused, and what to do; None for a fault of the program."""
    again = "run the same command again"
    earlier = "`git checkout dvc.lock reports && dvc checkout` brings the earlier results back"
    if error.errno in NO_ROOM:
        where = f" while writing {error.filename}" if error.filename else ""
        return (
            f"no room left on the disk{where} ({error.strerror}): nothing half-written was kept;"
            f" free some space and {again} ({earlier})"
        )
    if error.errno in CURES and error.filename:
        cure = CURES[error.errno]
        return f"{error.filename}: {error.strerror}: {cure}, and {again} ({earlier})"
    return None


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
