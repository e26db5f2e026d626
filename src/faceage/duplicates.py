"""Near-identical images: found coarsely among all pairs, then compared in register.

Two files of one photograph may differ in compression, size, brightness, by a mirror or by a few
per cent cut off at the borders. Brightness and contrast are taken out by Pearson's correlation, the
rest by comparing one image with the other as if it were cropped, mirrored or both.

Fingerprints and views are integers and their products stay below 2**24, where float32 is exact: a
pair has the same correlation whatever else it is searched with, so a search that knows the earlier
pairs and compares the new images only ends with the same groups as one from nothing.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

SIDE = 64  # of a fingerprint
# The outermost differs between crops of one photograph, and is background rather than face.
MARGIN = 0.05
COARSE, FINE = 8, 16
# Cut off at either end of an axis, in shares of the side.
CROPS = ((0, 0), (0.02, 0.02), (0.04, 0.04), (0.04, 0), (0, 0.04))
COARSE_CROPS = CROPS[:2]
# Two images that are not alike at 8x8 pixels, in one of these crops, are not compared further.
CANDIDATE = 0.9
# The norm of a view: its square is below 2**24.
NORM = 4000
BLOCK = 4096


def fingerprint(image: Image.Image) -> np.ndarray:
    """The image in grey and small: uint8 (SIDE, SIDE)."""
    grey = image.convert("L")
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX))


def near_pairs(fingerprints: np.ndarray, threshold: float, known: int = 0) -> np.ndarray:
    """Pairs of images that correlate at `threshold` or more in one of the crops or mirrored.

    Parameters
    ----------
    fingerprints : uint8 (n, SIDE, SIDE)
    threshold : Pearson correlation above `CANDIDATE`, at most 1
    known : the first so many images are not compared with each other again

    Returns
    -------
    int (pairs, 2) : rows of the fingerprints, the smaller first, in ascending order.
    """
    plain = np.stack([_views(print_, FINE, CROPS[:1])[0] for print_ in fingerprints])
    both_ways = np.stack([plain, _mirrored(plain, FINE)])
    found = []
    for image, others in _candidates(fingerprints, known):
        views = _views(fingerprints[image], FINE, CROPS)
        best = (views @ both_ways[:, others].transpose(0, 2, 1)).max(axis=(0, 1))
        near = others[best >= threshold * NORM**2]
        found.append(np.stack([np.full(len(near), image), near], axis=1))
    pairs = np.concatenate([np.empty((0, 2), dtype=int), *found])
    return np.unique(np.sort(pairs, axis=1), axis=0)


def groups(count: int, pairs: np.ndarray) -> np.ndarray:
    """Join what the pairs (n, 2) connect: number of the group of each of `count` things, int."""
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1])


def _candidates(fingerprints: np.ndarray, known: int) -> Iterator[tuple[int, np.ndarray]]:
    """Each image with those that resemble it coarsely, from either side."""
    views = np.stack([_views(print_, COARSE, COARSE_CROPS) for print_ in fingerprints])
    plain = views[:, 0]
    views = np.concatenate([views, _mirrored(views, COARSE)], axis=1)
    count = len(fingerprints)
    for start in range(0, count, BLOCK):
        rows = np.arange(start, min(start + BLOCK, count))
        alike = np.zeros((len(rows), count), dtype=bool)
        for number in range(views.shape[1]):
            alike |= plain[rows] @ views[:, number].T >= CANDIDATE * NORM**2
            alike |= views[rows, number] @ plain.T >= CANDIDATE * NORM**2
        alike[np.arange(len(rows)), rows] = False
        alike[rows < known, :known] = False
        for row, near in zip(rows, alike, strict=True):
            if near.any():
                yield int(row), np.flatnonzero(near)


def _views(print_: np.ndarray, side: int, crops: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Every crop of one axis with every crop of the other, mean 0, norm `NORM`.

    Returns float32 (crops ** 2, side ** 2) of whole numbers; the first view has the first crops.
    An image of one colour has the view 0 and resembles nothing.
    """
    shrink = np.concatenate([_box_filter(side, *crop) for crop in crops])
    crossed = (shrink @ print_ @ shrink.T).reshape(len(crops), side, len(crops), side)
    views = crossed.transpose(0, 2, 1, 3).reshape(len(crops) ** 2, side**2)
    views = views - views.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(views, axis=1, keepdims=True)
    return np.rint(NORM * np.divide(views, norms, where=norms > 1e-6, out=0 * views)).astype("f4")


def _mirrored(views: np.ndarray, side: int) -> np.ndarray:
    square = views.reshape(*views.shape[:-1], side, side)
    return np.ascontiguousarray(square[..., ::-1]).reshape(views.shape)


def _box_filter(side: int, before: float, after: float) -> np.ndarray:
    """Average the inside of an axis into `side` cells: (side, SIDE), float64."""
    inner = 1 - 2 * MARGIN
    edges = np.linspace(MARGIN + before * inner, 1 - MARGIN - after * inner, side + 1) * SIDE
    pixels = np.arange(SIDE)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return overlap.clip(0) / np.diff(edges)[:, None]
