"""How every script starts and ends: one sentence and exit code 1 for what a user can cause."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from faceage.core.secrets import hidden

# Raised by the operating system when a write does not fit: disk full, quota, file-size limit.
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class UserError(Exception):
    """Something that the person at the keyboard can put right: says what, where and what to do."""


def run(main: Callable[[], None]) -> None:
    """Call `main` and turn what a user can cause into one sentence and an exit code.

    Exit codes: 0 done, 1 an error that the message explains, 130 interrupted, 141 the reader of the
    output has gone (`| head`). Anything else is a fault of the program and keeps its traceback.
    SIGTERM, by which schedulers and sweeps end a process, interrupts like Ctrl-C.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        main()
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
        if error.errno not in NO_ROOM:
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        sys.exit(
            f"error: no room left on the disk{where} ({error.strerror}): nothing half-written was"
            " kept; free some space and run the same command again (`git checkout dvc.lock reports"
            " && dvc checkout` brings the earlier results back)"
        )


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
