"""What a file is known by: the hash of its content."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

PACKED = "S32"  # of a SHA-256 in an array: half the memory of its hexadecimal digits


class Rows:
    """In which row each SHA-256 is.

    Parameters
    ----------
    hashes : of the rows, `PACKED` (n,)
    """

    def __init__(self, hashes: np.ndarray) -> None:
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]

    def __len__(self) -> int:
        return len(self._order)

    def __call__(self, wanted: np.ndarray) -> np.ndarray:
        """The first row that has it, of each `PACKED` (n,): int (n,), -1 where none has it."""
        if not len(self):
            return np.full(len(wanted), -1)
        place = np.searchsorted(self._sorted, wanted).clip(max=len(self) - 1)
        return np.where(self._sorted[place] == wanted, self._order[place], -1)

    def only(self, groups: np.ndarray) -> np.ndarray:
        """Those groups of hashes, `PACKED` (n, k), of which each is here."""
        return groups[(self(groups.ravel()).reshape(groups.shape) >= 0).all(axis=1)]

    def __contains__(self, digits: object) -> bool:
        return bool(self(packed([str(digits)]))[0] >= 0)


def packed(digits: Iterable[str]) -> np.ndarray:
    """Hexadecimal SHA-256 as `PACKED` (n,), which sorts like them."""
    return np.array([bytes.fromhex(one) for one in digits], PACKED)


def hexadecimal(hashes: np.ndarray) -> list[str]:
    """What was packed, as it was."""
    digits, length = hashes.tobytes().hex(), 2 * hashes.itemsize
    return [digits[start : start + length] for start in range(0, len(digits), length)]


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return _digest(path, "sha256")


def sha256_of(content: bytes) -> str:
    """SHA-256 of the content of a file, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def md5(path: Path) -> str:
    """MD5 of a file, hexadecimal, as DVC writes it into dvc.lock.

    Of a folder it is that of the list of its files and their MD5, with `.dir` behind it, without
    those that .dvcignore names: what a killed program had begun to write.
    """
    if not path.is_dir():
        return _digest(path, "md5")
    found = (file for file in path.rglob("*") if file.is_file() and not file.match(".*.part"))
    files = {file.relative_to(path).parts: file for file in found}
    listed = [{"md5": md5(files[parts]), "relpath": "/".join(parts)} for parts in sorted(files)]
    text = json.dumps(listed, sort_keys=True)
    return f"{hashlib.md5(text.encode()).hexdigest()}.dir"


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
