"""Near-identical images by the correlation of small grey crops, searched exactly, in blocks."""

import numpy as np
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

SIDE = 32
# The outer tenth differs between crops of one photograph, and is background rather than face.
MARGIN = 0.1
BLOCK = 2048


def fingerprint(image: Image.Image) -> np.ndarray:
    """Grey central crop with mean 0 and norm 1: float32 (SIDE * SIDE,).

    The dot product of two fingerprints is their Pearson correlation, which brightness and contrast
    do not change. An image of one colour has the fingerprint 0 and resembles nothing.
    """
    width, height = image.size
    box = (MARGIN * width, MARGIN * height, (1 - MARGIN) * width, (1 - MARGIN) * height)
    small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX, box=box)
    values = np.asarray(small, dtype=np.float32).ravel()
    values -= values.mean()
    norm = float(np.linalg.norm(values))
    return values / norm if norm else values


def near_groups(fingerprints: np.ndarray, threshold: float) -> np.ndarray:
    """Join images whose fingerprints correlate at `threshold` or more, and theirs in turn.

    Parameters
    ----------
    fingerprints : float32 (n, SIDE * SIDE)
    threshold : Pearson correlation above 0, at most 1

    Returns
    -------
    int (n,) : number of the group of each image, by order of first appearance.
    """
    count = len(fingerprints)
    pairs = [
        _pairs(fingerprints, row, column, threshold)
        for row in range(0, count, BLOCK)
        for column in range(row, count, BLOCK)
    ]
    rows, columns = np.concatenate([np.empty((2, 0), dtype=int), *pairs], axis=1)
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1])


def _pairs(fingerprints: np.ndarray, row: int, column: int, threshold: float) -> np.ndarray:
    correlation = fingerprints[row : row + BLOCK] @ fingerprints[column : column + BLOCK].T
    rows, columns = np.nonzero(correlation >= threshold)
    return np.stack([rows + row, columns + column])
