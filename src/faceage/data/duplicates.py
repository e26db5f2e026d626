"""Near-identical images: found coarsely among all pairs, then compared in register.

Two files of one photograph may differ in compression, size, brightness, by a mirror or by a few
per cent cut off at the borders. Brightness and contrast are taken out by Pearson's correlation, the
rest by comparing one image with the other as if it were cropped, mirrored or both.

Views are whole numbers and their products stay below 2**24, where float32 is exact: a pair has the
same correlation whatever else it is searched with. A search that knows the earlier pairs and
compares only what is new ends with the same pairs as one from nothing.

Up to `EXACT` images all pairs are compared, in blocks. That takes time with the square of their
number, so beyond it an index says which are worth comparing. It overlooks a few, and which ones
depends on all images: a search with an index starts from nothing.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

SIDE = 64  # of a fingerprint
# The outer eighth differs between crops of one photograph, and is background rather than face.
MARGIN = 0.12
COARSE, FINE = 8, 16
# Cut off at either end of an axis, in shares of what the margin leaves.
CROPS = ((0, 0), (0.02, 0.02), (0.04, 0.04), (0.04, 0), (0, 0.04))
# Two images that are nowhere as alike as this at 8x8 pixels are not compared further.
CANDIDATE = 0.9
NORM = 4000  # of a view
BLOCK = 2048
EXACT = 50_000
# Of the index: cells for each square root of the images, and the share of them that is looked into.
CELLS, PROBED = 4, 0.05
OCCUPANTS = 39  # fewer to a cell are too few, says the library

Crops = tuple[tuple[float, float], ...]


def fingerprint(image: Image.Image) -> np.ndarray:
    """The image in grey and small: uint8 (SIDE, SIDE)."""
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def near_pairs(fingerprints: np.ndarray, threshold: float, known: int = 0) -> np.ndarray:
    """Pairs of images that correlate at `threshold` or more, in some crop or mirrored.

    Parameters
    ----------
    fingerprints : uint8 (n, SIDE, SIDE)
    threshold : Pearson correlation above 0, at most 1
    known : the first so many images are not compared with each other; 0 beyond `EXACT` images

    Returns
    -------
    int (pairs, 2) : rows of the fingerprints, the smaller one first, in ascending order.
    """
    rows, pairs = np.unique(_candidates(fingerprints, known), return_inverse=True)
    candidates = fingerprints[rows]
    plain = _views_of_all(candidates, FINE, CROPS[:1])[:, 0]
    either_way = np.stack([plain, _mirrored(plain, FINE)])
    found = [np.empty((0, 2), dtype=int)]
    for image, others in _with_partners(pairs.reshape(-1, 2)):
        views = _views(candidates[image], FINE, CROPS)
        best = (views @ either_way[:, others].transpose(0, 2, 1)).max(axis=(0, 1))
        near = others[best >= threshold * NORM**2]
        found.append(np.stack([np.full(len(near), image), near], axis=1))
    return np.unique(np.sort(rows[np.concatenate(found)], axis=1), axis=0)


def connected(count: int, pairs: np.ndarray) -> np.ndarray:
    """Number of the cluster of each of `count` things, int (count,), if pairs (n, 2) are joined."""
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1])


def _candidates(fingerprints: np.ndarray, known: int) -> np.ndarray:
    """Pairs of rows, int (pairs, 2), of images that resemble each other coarsely."""
    views = _views_of_all(fingerprints, COARSE, CROPS[:2])
    plain = views[:, 0]
    views = np.concatenate([views, _mirrored(views, COARSE)], axis=1).transpose(1, 0, 2)
    return _indexed(plain, views) if len(plain) > EXACT else _compared(plain, views, known)


def _compared(plain: np.ndarray, views: np.ndarray, known: int) -> np.ndarray:
    """Every pair in which a view (views, n, k) of one is like the plain one (n, k) of the other."""
    pairs = [np.empty((0, 2), dtype=int)]
    for start in range(known, len(plain), BLOCK):
        rows = slice(start, min(start + BLOCK, len(plain)))
        alike = np.zeros((rows.stop - start, rows.stop), dtype=bool)
        for view in views:
            alike |= plain[rows] @ view[: rows.stop].T >= CANDIDATE * NORM**2
            alike |= view[rows] @ plain[: rows.stop].T >= CANDIDATE * NORM**2
        first, second = np.nonzero(np.tril(alike, start - 1))
        pairs.append(np.stack([first + start, second], axis=1))
    return np.concatenate(pairs)


def _indexed(plain: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Nearly every such pair: plain views lie in cells, of which only the nearest are searched."""
    import faiss  # noqa: PLC0415 (few need it, and it is slow to load)

    cells = max(1, min(round(CELLS * len(plain) ** 0.5), len(plain) // OCCUPANTS))
    index = faiss.index_factory(plain.shape[1], f"IVF{cells},Flat", faiss.METRIC_INNER_PRODUCT)
    faiss.ParameterSpace().set_index_parameter(index, "nprobe", max(1, round(PROBED * cells)))
    unit = (plain / NORM).astype(np.float32)
    index.train(unit)
    index.add(unit)
    pairs = []
    for view in views:
        ends, _, found = index.range_search(view / NORM, CANDIDATE)
        searched = np.repeat(np.arange(len(plain)), np.diff(ends.astype(int)))
        pairs.append(np.stack([searched, found], axis=1))
    both = np.sort(np.concatenate(pairs), axis=1)
    return np.unique(both[both[:, 0] < both[:, 1]], axis=0)


def _with_partners(pairs: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each image that occurs in a pair, and its partners."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    images, starts = np.unique(both[:, 0], return_index=True)
    partners = np.split(both[:, 1], starts[1:]) if len(images) else []
    return zip(images.tolist(), partners, strict=True)


def _views_of_all(fingerprints: np.ndarray, side: int, crops: Crops) -> np.ndarray:
    starts = range(0, max(1, len(fingerprints)), BLOCK)
    blocks = [_views(fingerprints[start : start + BLOCK], side, crops) for start in starts]
    return np.concatenate(blocks)


def _views(fingerprints: np.ndarray, side: int, crops: Crops) -> np.ndarray:
    """Every crop of one axis with every crop of the other, of mean 0 and norm `NORM`.

    Parameters
    ----------
    fingerprints : uint8 (..., SIDE, SIDE)

    Returns
    -------
    float32 (..., crops ** 2, side ** 2), whole numbers; the first view has the first crops. An
    image of one colour has the view 0 and resembles nothing.
    """
    shrink = np.concatenate([_box_filter(side, *crop) for crop in crops])
    count, outer = len(crops), fingerprints.shape[:-2]
    crossed = (shrink @ fingerprints @ shrink.T).reshape(*outer, count, side, count, side)
    views = crossed.swapaxes(-3, -2).reshape(*outer, count**2, side**2)
    views = views - views.mean(axis=-1, keepdims=True)
    norms = np.linalg.norm(views, axis=-1, keepdims=True)
    unit = np.divide(views, norms, where=norms > 1e-6, out=np.zeros_like(views))
    return np.rint(NORM * unit).astype(np.float32)


def _mirrored(views: np.ndarray, side: int) -> np.ndarray:
    squares = views.reshape(*views.shape[:-1], side, side)
    return np.ascontiguousarray(squares[..., ::-1]).reshape(views.shape)


def _box_filter(side: int, before: float, after: float) -> np.ndarray:
    """Average what is left of an axis into `side` cells: float64 (side, SIDE)."""
    inside = 1 - 2 * MARGIN
    edges = np.linspace(MARGIN + before * inside, 1 - MARGIN - after * inside, side + 1) * SIDE
    pixels = np.arange(SIDE)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return overlap.clip(0) / np.diff(edges)[:, None]
