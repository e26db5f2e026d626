"""Faces that are read and decoded while they are used: memory holds a buffer of them, no more.

The order of an epoch is drawn before its first face is read, so it needs no more than the number of
the step to go on in the middle of one, with the same faces in the same batches.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import overload

import numpy as np
import pyarrow as pa
import torch
from torch import Generator, Tensor

from faceage.core.shards import Shards
from faceage.networks.faces import decode_lot

# Faces that are shuffled with each other: as files they take some 100 MB.
BUFFER = 16_384
READERS = 8  # row groups on their way at once, which hides how long a server takes to answer
AHEAD = 8  # batches decoded, or being decoded, before they are asked for


@dataclass(frozen=True)
class Places:
    """Where n faces lie in the shards, in the order of the shards.

    groups: number of the shard and of the row group in it, int (g, 2); group: of each face, a row
    of `groups`, int (n,), never falling; row: of each face in its group, int (n,).
    """

    groups: np.ndarray
    group: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.group)


class StreamedPixels:
    """The pixels of faces in shards, as `faces.decode` would make them.

    Parameters
    ----------
    side, img_size : as for `faces.decode`
    """

    def __init__(self, shards: Shards, places: Places, side: int, img_size: int) -> None:
        self.shards, self.places = shards, places
        self.side, self.kept = side, min(side, img_size)
        self._readers = ThreadPoolExecutor(READERS)
        self._decoders = ThreadPoolExecutor(os.cpu_count())
        self._coming: Iterator[tuple[Tensor, Tensor]] = iter(())

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """uint8 (rows, k, k, 3); at once where `read_ahead` has announced these rows as the next.

        Raises
        ------
        UserError
            If a shard cannot be read.
        """
        wanted = self._numbers(rows)
        told, pixels = next(self._coming, (None, None))
        if told is None or not torch.equal(told, wanted):
            self.read_ahead([wanted])
            _, pixels = next(self._coming)
        assert pixels is not None
        return pixels

    def read_ahead(self, batches: Sequence[Tensor | slice]) -> None:
        """Announce the rows that will be asked for, batch by batch."""
        self._coming = self._decoded([self._numbers(rows) for rows in batches])

    def order(self, generator: Generator, sizes: Sequence[int], processes: int = 1) -> Tensor:
        """The rows in the order of an epoch, each once: long (n,).

        The shards are shuffled and dealt out to the processes, so that each finds its part of every
        batch in shards of its own; of a shard at a border two have different faces. The row groups
        of a process are shuffled, and then the faces of as many of them as fill the buffer.

        Parameters
        ----------
        generator : in the same state in all processes
        sizes : of the batches, in sum n
        processes : among which each batch is divided, in their order and as evenly as may be
        """
        borders = np.outer(sizes, np.arange(processes + 1)) // processes
        faces = np.diff(borders)  # of each batch that each process takes
        whose = np.tile(np.arange(processes), len(sizes)).repeat(faces.ravel())
        shard = torch.from_numpy(self.places.groups[:, 0]).long()
        group = torch.from_numpy(self.places.group).long()
        place = torch.randperm(len(self.shards), generator=generator)[shard]
        dealt = place[group].argsort(stable=True).split(faces.sum(axis=0).tolist())
        place = torch.randperm(len(place), generator=generator)
        order = torch.empty(len(self), dtype=torch.long)
        order[torch.from_numpy(whose.argsort(kind="stable"))] = torch.cat(
            [
                _in_buffers(rows[place[group[rows]].argsort(stable=True)], generator)
                for rows in dealt
            ]
        )
        return order

    def within(self, rows: slice) -> "StreamedPixels":
        """Some consecutive faces of these."""
        places = Places(self.places.groups, self.places.group[rows], self.places.row[rows])
        return StreamedPixels(self.shards, places, self.side, self.kept)

    def name(self, row: int) -> str:
        """Path of a face as its source has it."""
        (path,) = self._read(self.places.group[row], "path").take([self.places.row[row]])
        return str(path)

    def _numbers(self, rows: Tensor | slice) -> Tensor:
        return torch.arange(len(self))[rows] if isinstance(rows, slice) else rows

    def _decoded(self, batches: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows and pixels of each batch; a row group is read when a batch needs it, and once."""
        groups_of = [np.unique(self.places.group[rows.numpy()]) for rows in batches]
        uses = np.bincount(np.concatenate(groups_of), minlength=len(self.places.groups))
        read: dict[int, Future[pa.Array]] = {}
        coming: deque[tuple[Tensor, Future[Tensor]]] = deque()
        steps = zip(batches, groups_of, strict=True)
        try:
            while True:
                for rows, groups in islice(steps, AHEAD - len(coming)):
                    for group in groups:
                        if group not in read:
                            read[group] = self._readers.submit(self._read, group, "bytes")
                    needed = {group: read[group] for group in groups}
                    coming.append((rows, self._decoders.submit(self._batch, rows, needed)))
                    uses[groups] -= 1
                    for group in groups[uses[groups] == 0]:
                        del read[group]
                if not coming:
                    return
                rows, pixels = coming.popleft()
                yield rows, pixels.result()
        finally:
            for _, pixels in coming:
                pixels.cancel()

    def _read(self, group: int, what: str) -> pa.Array:
        """`bytes` or `path` of all images of a row group."""
        shard, number = self.places.groups[group].tolist()
        table = self.shards.read(shard, [f"image.{what}"], number)
        return table.column("image").combine_chunks().field(what)

    def _batch(self, rows: Tensor, read: dict[int, "Future[pa.Array]"]) -> Tensor:
        contents = [
            read[self.places.group[row]].result()[int(self.places.row[row])].as_py()
            for row in rows.tolist()
        ]
        return decode_lot(contents, self.side, self.kept)


def _in_buffers(rows: Tensor, generator: Generator) -> Tensor:
    """As many rows as a buffer holds shuffled with each other, then the next."""
    if not len(rows):
        return rows
    shuffled = [b[torch.randperm(len(b), generator=generator)] for b in rows.split(BUFFER)]
    return torch.cat(shuffled)


class StreamedNames(Sequence[str]):
    """Paths of the same faces, each read when it is asked for."""

    def __init__(self, pixels: StreamedPixels) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self.pixels.name(number) for number in range(len(self))[row]]
        return self.pixels.name(row)
