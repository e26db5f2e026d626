"""Many faces made of few: copies of the faces of a run, each with other pixels, in shards."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from faceage.core import tables

Row = dict[str, object]
SHARD = 5000
QUANTISATION = b"\xff\xdb"  # begins the table of a JPEG's quantisation


def enlarge(faces: Path, split: Path, times: int) -> None:
    """Write so many copies of all faces, and of their split, below the working directory.

    The first copy is the face itself; each other one has other pixels, and is in the split of the
    first.
    """
    known = tables.SplitOf(split)
    written: list[tuple[str, str]] = []

    def noted() -> Iterator[Row]:
        for row, of in _copies(faces, times):
            written.append((str(row["face"]), of))
            yield row

    tables.write_faces(noted(), SHARD)
    table = tables.read_faces()[["face"]].assign(original=[of for _, of in written])
    number = known(table["original"])
    table["split"] = np.array(tables.SPLITS)[number]
    tables.write_split(table.assign(cluster=table["face"]))


def _copies(faces: Path, times: int) -> Iterator[tuple[Row, str]]:
    """Rows and the name of the face that each was made of."""
    for number in range(times):
        for batch in pq.ParquetFile(faces).iter_batches(256):
            for row in batch.to_pylist():
                yield _copy(row, number), row["face"]


def _copy(row: dict[str, Any], number: int) -> Row:
    changed: Row = {}
    if number:
        content = _with_other_pixels(row["image"]["bytes"], number)
        changed = {
            "face": hashlib.sha256(content).hexdigest(),
            "image": {"bytes": content, "path": f"{number}/{row['image']['path']}"},
        }
    whole = row | changed
    return whole | dict.fromkeys(("exact_cluster", "near_cluster", "burst_cluster"), whole["face"])


def _with_other_pixels(jpeg: bytes, number: int) -> bytes:
    """A JPEG whose decoder multiplies a low frequency by more than its encoder divided by."""
    changed = bytearray(jpeg)
    place = jpeg.index(QUANTISATION) + 5 + number % 9
    changed[place] = min(changed[place] + 3 + number // 9, 255)
    return bytes(changed)
