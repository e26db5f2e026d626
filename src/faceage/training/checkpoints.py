"""Where an interrupted training goes on: kept outside DVC's outputs, named by what determines it.

DVC deletes a stage's outputs before it runs, so a checkpoint is none of them. It lies under the
real repository (`DVC_ROOT`), where queued experiments, whose own tree is temporary, find it again.
"""

import hashlib
import io
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import yaml
from filelock import FileLock, Timeout
from safetensors.torch import save_file

from faceage.core import sealed
from faceage.core.dotted import filled, flatten
from faceage.core.hashing import sha256
from faceage.core.outputs import atomic_write
from faceage.core.repository import root
from faceage.core.settings import Section
from faceage.core.shards import INDEX, Shards


def fingerprint(stage: str, params: Section) -> str:
    """Hash of a stage's parameters and of every file that dvc.yaml says it depends on.

    Two runs with the same fingerprint learn the same weights.

    Parameters
    ----------
    params : the stage's view of params.yaml
    """
    values = params.model_dump()
    given = dict(flatten(values))
    pipeline = yaml.safe_load(Path("dvc.yaml").read_text())
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for dep in pipeline["stages"][stage]["deps"]:
        for file, content in _hashes(filled(dep, given)):
            digest.update(f"{file}:{content}".encode())
    return digest.hexdigest()[:16]


def _hashes(dep: str) -> Iterator[tuple[str, str]]:
    """The files of a dependency with their SHA-256: of a room its code, of shards their index."""
    path = Path(dep)
    if path.is_file():
        yield dep, sha256(path)
    elif path.is_dir() and not (path / INDEX).exists():
        yield from ((str(file), sha256(file)) for file in sorted(path.rglob("*.py")))
    else:
        yield dep, Shards(dep).digest


@contextmanager
def held(fingerprint: str) -> Iterator[str | None]:
    """Keep a training to this process; forget what is kept of it when it has ended well.

    Another process that is at the same one is waited for: two would go on from each other's epochs,
    and log to one run. A process that was killed holds nothing.

    Yields
    ------
    The id of the tracking run to go on with, if it was interrupted.
    """
    checkpoint = Checkpoint(fingerprint)
    checkpoint.folder.parent.mkdir(exist_ok=True)
    lock = FileLock(checkpoint.folder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("waiting for another process, which trains the same", flush=True)
        lock.acquire()
    try:
        yield (checkpoint.load() or {}).get("run_id")
        checkpoint.clear()
    finally:
        lock.release()


class Checkpoint:
    """How far a member of the training named `fingerprint` was last, and the time before.

    Each file carries the hash of its content, for PyTorch does not look whether tensors are whole.
    """

    def __init__(self, fingerprint: str, member: int = 1) -> None:
        self.folder = root() / ".checkpoints" / fingerprint
        self.path = self.folder / f"member{member}.pt"
        self.before = self.folder / f"member{member}.before.pt"

    def load(self) -> dict[str, Any] | None:
        """State that `save` kept last, or the time before where that is damaged, or None.

        What is damaged is said and removed. Nothing is unpickled but tensors and plain values.
        """
        for path in (self.path, self.before):
            if not path.exists():
                continue
            try:
                return _read(path)
            except (sealed.Broken, UnpicklingError):
                path.unlink()
                print(f"{path} is damaged and was removed: going on without it", file=sys.stderr)
        return None

    def save(self, state: dict[str, Any]) -> None:
        """Keep a state and the one before it; a crash while writing leaves what there was."""
        with atomic_write(self.path) as part:
            with part.open("wb") as file:  # which says why a write fails: a name would not
                torch.save(state, file)
            sealed.seal(part)
            if self.path.exists():
                self.path.replace(self.before)

    def keep(self, weights: dict[str, torch.Tensor]) -> Path:
        """Leave weights of a training that ends without a model; say where."""
        path = self.path.with_suffix(".safetensors")
        with atomic_write(path) as part:
            save_file({f"members.0.{name}": t.contiguous() for name, t in weights.items()}, part)
        return path

    def clear(self) -> None:
        """Forget a training that has ended, all members of it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _read(path: Path) -> dict[str, Any]:
    content = io.BytesIO(sealed.read(path))
    state: dict[str, Any] = torch.load(content, weights_only=True, map_location="cpu")
    return state
