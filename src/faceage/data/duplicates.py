"""Near-identical images: found coarsely among all pairs, then compared in register.

Two files of one photograph may differ in compression, size, brightness, by a mirror or by a few
per cent cut off at the borders. Brightness and contrast are taken out by Pearson's correlation, the
rest by comparing one image with the other as if it were cropped, mirrored or both.

Views are whole numbers and their products stay below 2**24, where float32 is exact: a pair has the
same correlation whatever else it is searched with. A search that knows the earlier pairs and
compares only what is new ends with the same pairs as one from nothing.

Up to `EXACT` images all pairs are compared, in blocks. That takes time with the square of their
number, so beyond it an index says which are worth comparing: one of each shard of the images, all
with the same cells, merged. It overlooks a few, and which ones depends on all images: a search with
an index starts from nothing. Of so many images no more than the index is held in memory.
"""

import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

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
# Of the index: cells for each square root of the images, how many of them are looked into, and
# images that the cells are drawn up from, to a cell: fewer than 39 are too few, says the library.
# Of 378,922 faces 32 cells of 2,462 find 99.96% of what 123 find, and 16 find 99.4%.
CELLS, PROBED, LEARNED = 4, 32, 64
SHARD = 65_536

Crops = tuple[tuple[float, float], ...]
Images = np.ndarray | Sequence[np.ndarray]


def fingerprint(image: Image.Image) -> np.ndarray:
    """The image in grey and small: uint8 (SIDE, SIDE)."""
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def near_pairs(fingerprints: Images, threshold: float, known: int = 0) -> np.ndarray:
    """Pairs of images that correlate at `threshold` or more, in some crop or mirrored.

    Parameters
    ----------
    fingerprints : uint8 (SIDE, SIDE) each
    threshold : Pearson correlation above 0, at most 1
    known : the first so many images are not compared with each other; 0 beyond `EXACT` images

    Returns
    -------
    int (pairs, 2) : rows of the fingerprints, the smaller one first, in ascending order.
    """
    if len(fingerprints) > EXACT:
        return _by_index(fingerprints, threshold)
    images = np.asarray(fingerprints).reshape(-1, SIDE, SIDE)
    rows, pairs = np.unique(_candidates(images, known), return_inverse=True)
    candidates = images[rows]
    plain = _views_of_all(candidates, FINE, CROPS[:1])[:, 0]
    either_way = np.stack([plain, _mirrored(plain, FINE)])
    found = [np.empty((0, 2), dtype=int)]
    for image, others in _with_partners(pairs.reshape(-1, 2)):
        alike = _correlation(candidates[image], either_way[:, others]) >= threshold
        near = others[alike]
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


def _correlation(fingerprint: np.ndarray, either_way: np.ndarray) -> np.ndarray:
    """Of an image in its best crop with others, plain and mirrored (2, n, FINE ** 2): (n,)."""
    views = _views(fingerprint, FINE, CROPS)
    return (views @ either_way.transpose(0, 2, 1)).max(axis=(0, 1)) / NORM**2


def _by_index(fingerprints: Images, threshold: float) -> np.ndarray:
    """Nearly every pair, as `near_pairs`: each image is compared with what the index gives it."""
    count = len(fingerprints)
    index = _trained(fingerprints)
    empty = _copy(index)
    # Whole numbers that two bytes hold; the file has no name and goes with the process.
    with tempfile.TemporaryFile() as file:
        plain = np.memmap(file, dtype=np.int16, mode="w+", shape=(count, FINE**2))
        for start in range(0, count, SHARD):
            shard = _copy(empty)
            for rows in _slices(start, min(start + SHARD, count)):
                block = np.asarray(fingerprints[rows])
                shard.add(_views(block, COARSE, CROPS[:1])[:, 0] / NORM)
                plain[rows] = _views(block, FINE, CROPS[:1])[:, 0]
            index.merge_from(shard, index.ntotal)
        found = [np.empty((0, 2), dtype=int)]
        for rows in _slices(0, count):
            block = np.asarray(fingerprints[rows])
            for image, others in _searched(index, block, rows.start):
                candidates = plain[others].astype(np.float32)
                either_way = np.stack([candidates, _mirrored(candidates, FINE)])
                near = others[_correlation(block[image - rows.start], either_way) >= threshold]
                found.append(np.stack([np.full(len(near), image), near], axis=1))
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def _trained(fingerprints: Images) -> Any:
    """An index without images: its cells are drawn up from some of them, evenly spread."""
    import faiss  # noqa: PLC0415 (few need it, and it is slow to load)

    count = len(fingerprints)
    cells = max(1, min(round(CELLS * count**0.5), count // LEARNED))
    # Held in half precision: as good for a first look, and read faster.
    index = faiss.index_factory(COARSE**2, f"IVF{cells},SQfp16", faiss.METRIC_INNER_PRODUCT)
    faiss.ParameterSpace().set_index_parameter(index, "nprobe", min(PROBED, cells))
    every = max(1, count // (cells * LEARNED))
    sample = _views_of_all(fingerprints, COARSE, CROPS[:1], every)[:, 0]
    index.train((sample / NORM).astype(np.float32))
    return index


def _copy(index: Any) -> Any:
    import faiss  # noqa: PLC0415 (few need it, and it is slow to load)

    return faiss.clone_index(index)


def _searched(index: Any, block: np.ndarray, start: int) -> Iterator[tuple[int, np.ndarray]]:
    """Rows of the images of a block, the first of which is `start`, and of those like them."""
    views = _views(block, COARSE, CROPS[:2])
    views = np.concatenate([views, _mirrored(views, COARSE)], axis=1).transpose(1, 0, 2)
    pairs = []
    for view in views:
        ends, _, found = index.range_search(np.ascontiguousarray(view) / NORM, CANDIDATE)
        searched = start + np.repeat(np.arange(len(block)), np.diff(ends.astype(int)))
        pairs.append(searched * index.ntotal + found)  # one number each, which sorts fast
    found = np.stack(np.divmod(np.unique(np.concatenate(pairs)), index.ntotal), axis=1)
    return _grouped(found[found[:, 0] != found[:, 1]])


def _slices(start: int, end: int) -> Iterator[slice]:
    for first in range(start, end, BLOCK):
        yield slice(first, min(first + BLOCK, end))


def _with_partners(pairs: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each image that occurs in a pair, and its partners."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    return _grouped(both[np.argsort(both[:, 0], kind="stable")])


def _grouped(pairs: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The second of the pairs, int (pairs, 2), by the first, by which they are sorted."""
    images, starts = np.unique(pairs[:, 0], return_index=True)
    partners = np.split(pairs[:, 1], starts[1:]) if len(images) else []
    return zip(images.tolist(), partners, strict=True)


def _views_of_all(fingerprints: Images, side: int, crops: Crops, every: int = 1) -> np.ndarray:
    """Of every so manyth image, a block of them at a time."""
    wide = BLOCK * every
    starts = range(0, max(1, len(fingerprints)), wide)
    blocks = (np.asarray(fingerprints[start : start + wide : every]) for start in starts)
    return np.concatenate([_views(block, side, crops) for block in blocks])


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
    shrink = _box_filters(side, crops)
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


@cache
def _box_filters(side: int, crops: Crops) -> np.ndarray:
    """Of each crop: float64 (crops * side, SIDE)."""
    return np.concatenate([_box_filter(side, *crop) for crop in crops])


def _box_filter(side: int, before: float, after: float) -> np.ndarray:
    """Average what is left of an axis into `side` cells: float64 (side, SIDE)."""
    inside = 1 - 2 * MARGIN
    edges = np.linspace(MARGIN + before * inside, 1 - MARGIN - after * inside, side + 1) * SIDE
    pixels = np.arange(SIDE)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return overlap.clip(0) / np.diff(edges)[:, None]
