"""Ages put into bins: decades, named age groups, and decades merged until each holds enough faces.

Bins are given by their boundaries, the first age of each bin but the first: [18, 41] stands for
under 18, 18 to 40, 41 and over. A predicted age is rounded down to whole years, as ages are.
"""

from collections.abc import Sequence

import numpy as np


def bin_index(ages: np.ndarray, boundaries: Sequence[int]) -> np.ndarray:
    """Number of each age's bin, from 0: years (n,) to int (n,)."""
    return np.searchsorted(np.asarray(boundaries, dtype=float), np.floor(ages), side="right")


def decade_index(ages: np.ndarray) -> np.ndarray:
    """Number of each age's decade: 0 for 0 to 9 years, 1 for 10 to 19."""
    return (np.maximum(ages, 0) // 10).astype(int)


def decade_names(ages: np.ndarray) -> np.ndarray:
    """`020-029` and so on; padded with zeros, for they are sorted as text."""
    return np.array([f"{10 * decade:03d}-{10 * decade + 9:03d}" for decade in decade_index(ages)])


def merged_decades(ages: np.ndarray, smallest: int) -> list[int]:
    """Boundaries of bins made of whole decades, each with at least `smallest` of the ages.

    From young to old a bin takes in decades until it holds enough; what is left over at the end
    joins the last bin. With fewer than twice `smallest` ages there may be one bin only.
    """
    boundaries: list[int] = []
    gathered = 0
    for decade, count in zip(*np.unique(decade_index(ages), return_counts=True), strict=True):
        if gathered >= smallest:
            boundaries.append(int(10 * decade))
            gathered = 0
        gathered += count
    if boundaries and gathered < smallest:
        boundaries.pop()
    return boundaries
