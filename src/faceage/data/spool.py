"""What is large in the records of a source: on the disk while the source is being read."""

import mmap
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from faceage.data.image_records import ImageRecord
from faceage.data.reading import Seen

BATCH = 1024  # files whose records are put down at once
LARGE = ("fingerprint", "aligned", "embedding")


def on_disk(files: Iterable[Seen], folder: Path) -> Iterator[Seen]:
    """The same files; of their records the system pages in what is large when it is looked at.

    What is on the disk has no name there, and goes when nothing of it is held any more.
    """
    folder.mkdir(exist_ok=True)
    stream = iter(files)
    while batch := list(islice(stream, BATCH)):
        with tempfile.TemporaryFile(dir=folder) as file:
            for one in batch:
                for value in _large(one).values():
                    file.write(value)
            file.flush()
            # Nothing cannot be mapped.
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if file.tell() else b""
        yield from _taken_from(content, batch)


def _taken_from(content: mmap.mmap | bytes, batch: list[Seen]) -> Iterator[Seen]:
    """The files with what has been put down of them, one after the other."""
    start = 0
    for one in batch:
        found: dict[str, Any] = {}
        for name, value in _large(one).items():
            found[name] = _like(value, content, start)
            start += memoryview(value).nbytes
        record = one.record
        if isinstance(record, ImageRecord):
            record = replace(record, **found)
        yield one._replace(record=record)


def _large(one: Seen) -> dict[str, Any]:
    """What is large in the record of a file, by name."""
    if not isinstance(one.record, ImageRecord):
        return {}
    values = {name: getattr(one.record, name) for name in LARGE}
    return {name: value for name, value in values.items() if value is not None}


def _like(
    value: np.ndarray | bytes, stored: mmap.mmap | bytes, start: int
) -> np.ndarray | memoryview:
    """A value as it has been put down: one object for each, as there are very many."""
    if isinstance(value, np.ndarray):
        return np.ndarray(value.shape, value.dtype, stored, start)
    return memoryview(stored)[start : start + len(value)]
