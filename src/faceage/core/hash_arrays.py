"""Many SHA-256 in an array, and in which row each is."""

from collections.abc import Iterable

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
        """The first row that has each of `PACKED` hashes, int in their shape; -1 where none has."""
        if not len(self):
            return np.full(wanted.shape, -1)
        place = np.searchsorted(self._sorted, wanted).clip(max=len(self) - 1)
        return np.where(self._sorted[place] == wanted, self._order[place], -1)

    def only(self, groups: np.ndarray) -> np.ndarray:
        """Those groups of hashes, `PACKED` (n, k), of which each is here."""
        return groups[(self(groups) >= 0).all(axis=1)]

    def __contains__(self, digits: object) -> bool:
        return bool(self(packed([str(digits)]))[0] >= 0)


def packed(digits: Iterable[str]) -> np.ndarray:
    """Hexadecimal SHA-256 as `PACKED` (n,), which sorts like them."""
    return np.array([bytes.fromhex(one) for one in digits], PACKED)


def hexadecimal(hashes: np.ndarray) -> list[str]:
    """What was packed, as it was."""
    digits, length = hashes.tobytes().hex(), 2 * hashes.itemsize
    return [digits[start : start + length] for start in range(0, len(digits), length)]
