"""Clear away what a killed run left in the way of the next one; where nothing is, do nothing.

    python src/recover.py

DVC writes its lists of locks, .dvc/tmp/rwlock, and dvc.lock in place. A list that is half written,
or of processes that are no more, is removed; such a dvc.lock becomes that of the last commit: what
ran since is in DVC's run cache.
Experiments of the queue and runs in MLflow whose process is no more are ended, as failed and as
killed: each goes on where it was when it is started again. `make` does this after a kill.
"""

from faceage.core.command_line import no_options

if __name__ == "__main__":
    no_options(__doc__)

import json
import re
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.lock import Lock, LockError
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import load_yaml
from voluptuous import Invalid

from faceage.core import processes, repository
from faceage.core.outputs import atomic_write
from faceage.core.script import UserError, run
from faceage.experiments import queue
from faceage.tracking import mlflow_runs

OF_DVC = Path(".dvc/tmp")
LISTS_OF_LOCKS = (OF_DVC / "rwlock", OF_DVC / "exps/rwlock")  # of the tree, and of the queue
LOCK = Path("dvc.lock")
NO_STAGES = "schema: '2.0'\n"


def main() -> None:
    """Look at each that a kill can leave, and say what was cleared."""
    cleared = []
    if OF_DVC.exists():
        try:
            with Lock(str(OF_DVC / "lock")):
                cleared += mended()
        except LockError:
            raise UserError(
                "another DVC is at work here: wait for it, or end it, then start the same again"
            ) from None
        cleared += [f"experiment {name}: ended as failed" for name in queue.end_killed()]
    cleared += [f"run {name} in MLflow: ended as killed" for name in mlflow_runs.end_abandoned()]
    for line in cleared:
        print(f"left by a run that was killed: {line}")


def mended() -> list[str]:
    """Mend the files that DVC writes in place; only while it is not at work."""
    cleared = []
    for path in LISTS_OF_LOCKS:
        if path.exists():
            with Lock(str(path.with_suffix(".lock"))):
                if reason := why_useless(path):
                    path.unlink()
                    cleared.append(f"{path}, {reason}: removed")
    if LOCK.exists() and not is_lock(LOCK):
        committed = repository.content_at("HEAD", LOCK)
        with atomic_write(LOCK) as part:
            part.write_text(f"{committed}\n" if committed else NO_STAGES)
        cleared.append(f"{LOCK}, half written: it is that of the last commit again")
    return cleared


def why_useless(path: Path) -> str:
    """What is the matter with a list of locks; nothing if a DVC holds them, or if it is empty."""
    text = path.read_text()
    try:
        json.loads(text)
    except ValueError:
        return "half written"
    holders = sorted(set(re.findall(r'"pid": (\d+)', text)))
    # Their numbers may be other programs' by now, which DVC would wait for.
    held = any(processes.is_command(int(pid), "dvc") for pid in holders)
    return f"of {', '.join(holders)}, which are no DVC" if holders and not held else ""


def is_lock(path: Path) -> bool:
    """Whether DVC can read a dvc.lock."""
    try:
        COMPILED_LOCKFILE_SCHEMA(load_yaml(str(path)))
    except (DvcException, Invalid):
        return False
    return True


if __name__ == "__main__":
    run(main)
