"""Faces decoded once, into memory, and served as batches of images on the training device.

Those that are more than memory or the disk holds are streamed: see `streaming`.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

import numpy as np
import pandas as pd
import psutil
import torch
from torch import Tensor
from torch.nn import functional as F

from faceage.core import images
from faceage.core.progress import bar
from faceage.core.threads import in_threads

# Images of many sizes are brought to one; more than this is more than any backbone here sees.
LARGEST_SIDE = 256
# Faces that a thread decodes and resizes at a time: alone each would cost half as much again.
LOT, LOTS_IN_HAND = 32, 8
# Above this share of the free memory the pixels are put into a file that the system pages in.
MEMORY_SHARE = 0.5


class Streamed(Protocol):
    """Pixels that are decoded when they are asked for; uint8 (n, k, k, 3) as of a tensor."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor | slice) -> Tensor: ...

    def read_ahead(self, batches: Sequence[Tensor | slice]) -> None:
        """Begin with what will be asked for next, batch by batch and in this order."""
        ...


Pixels = Tensor | Streamed


def stored_side(table: pd.DataFrame) -> int:
    """Side in pixels at which faces are kept: their own if they are alike, else the median.

    Parameters
    ----------
    table : columns `width`, `height` of all faces of the data set
    """
    sides = table[["width", "height"]].min(axis=1)
    if sides.min() == table[["width", "height"]].max(axis=None):
        return int(sides.iloc[0])
    return int(min(sides.median(), LARGEST_SIDE))


def decode(
    table: pd.DataFrame,
    contents: Iterable[tuple[str, bytes]],
    side: int,
    img_size: int | None = None,
    at_least: int | None = None,
) -> Tensor:
    """Decode images into one array.

    Parameters
    ----------
    table : column `face`
    contents : (face, file's bytes) for each row of the table, in any order
    side : pixels; larger and smaller images are resized
    img_size : side of the only input that they are for. Larger images are brought to it here, once,
        as `to_input` would each time: to the same bits, and they take a part of the memory
    at_least : pixels of a side that are enough to make `side` from, see `images.decode`

    Returns
    -------
    uint8 (n, k, k, 3), row for row as `table`; k: the smaller one of `side` and `img_size`.
    """
    kept = min(side, img_size or side)
    pixels = torch.from_numpy(_allocate((len(table), kept, kept, 3)))
    row_of = {face: row for row, face in enumerate(table["face"])}

    def put(lot: list[tuple[str, bytes]]) -> None:
        rows = [row_of[face] for face, _ in lot]
        pixels[rows] = decode_lot([content for _, content in lot], side, kept, at_least)

    stream = iter(bar(contents, "decode", "face", len(table)))
    lots = iter(lambda: list(islice(stream, LOT)), [])
    for _ in in_threads(put, lots, LOTS_IN_HAND):
        pass
    return pixels


def decode_lot(
    contents: Sequence[bytes], side: int, kept: int, at_least: int | None = None
) -> Tensor:
    """Decode image files, bring them to `side`, then to `kept` pixels: uint8 (n, kept, kept, 3)."""
    squares = np.empty((len(contents), side, side, 3), dtype=np.uint8)
    for number, content in enumerate(contents):
        squares[number] = images.square(images.decode(content, at_least=at_least), side)
    return _resized(torch.from_numpy(squares).permute(0, 3, 1, 2), kept).permute(0, 2, 3, 1)


def to_input(
    pixels: Pixels, img_size: int, device: torch.device, rows: Tensor | slice = slice(None)
) -> Tensor:
    """Move faces to the device, resize them there: float (n, 3, size, size), 0..1, channels last.

    Parameters
    ----------
    pixels : uint8 (faces, side, side, 3)
    rows : which of the faces
    """
    batch = pixels[rows].to(device, non_blocking=True).permute(0, 3, 1, 2)
    batch = _resized(batch, img_size)
    return batch.float().div_(255).contiguous(memory_format=torch.channels_last)


def normalise(images_: Tensor, mean: Iterable[float], std: Iterable[float]) -> Tensor:
    """Subtract the backbone's channel means and divide by its deviations."""
    shape = (1, 3, 1, 1)
    means = torch.tensor(list(mean), device=images_.device).view(shape)
    return (images_ - means) / torch.tensor(list(std), device=images_.device).view(shape)


def slices(count: int, size: int) -> Iterator[slice]:
    """Consecutive batches over `count` rows."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _resized(batch: Tensor, img_size: int) -> Tensor:
    """Pixels at another size: uint8 (n, 3, side, side), channels last; each image by itself."""
    if batch.shape[-1] == img_size:
        return batch
    return F.interpolate(batch, (img_size, img_size), mode="bilinear", antialias=True)


def _allocate(shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape))
    if size <= MEMORY_SHARE * psutil.virtual_memory().available:
        return np.empty(shape, dtype=np.uint8)
    # The file has no name and goes with the process.
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)
