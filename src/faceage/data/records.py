"""What was seen of each content: in a table on the disk, as objects would fill the memory."""

import mmap
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from faceage.core import hash_arrays
from faceage.core.reasons import Reason
from faceage.data.duplicates import SIDE
from faceage.data.image_records import ImageRecord, Unusable

HASH = pa.binary(32)
SCHEMA = pa.schema(
    [
        ("content", HASH),  # sha256 of the file's bytes
        ("reason", pa.string()),  # why it is unusable; null where it is a picture
        ("detail", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("synthetic", pa.bool_()),
        ("recovered", pa.bool_()),
        ("pixels", HASH),
        ("fingerprint", pa.binary(SIDE**2)),
        ("aligned", pa.binary()),
        ("embedding", pa.binary()),
    ]
)
BATCH = 1024  # rows that are objects at once, which bounds the memory


class Records(Sequence[ImageRecord | Unusable]):
    """Records of contents, one for each.

    Parameters
    ----------
    table : as in `SCHEMA`
    rows : those of the table that count, in ascending order; None: all
    """

    def __init__(self, table: pa.Table, rows: np.ndarray | None = None) -> None:
        self._table = table
        self._columns = dict(zip(table.column_names, table.columns, strict=True))
        self._rows = np.arange(len(table)) if rows is None else rows

    @classmethod
    def none(cls) -> "Records":
        """Of no content."""
        return cls(SCHEMA.empty_table())

    @classmethod
    def joined(cls, parts: Sequence["Records"]) -> "Records":
        """Those of the first, then those of the next; of a content that several have each one's."""
        tables = [part._table for part in parts]
        starts = np.cumsum([0, *map(len, tables)])
        rows = [part._rows + start for part, start in zip(parts, starts, strict=False)]
        return cls(pa.concat_tables(tables), np.concatenate(rows))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: Any) -> Any:
        number = int(self._rows[row])
        values = {name: column[number] for name, column in self._columns.items()}
        if values["reason"].is_valid:
            return Unusable(Reason(values["reason"].as_py()), values["detail"].as_py())
        embedding = _bytes_of(values["embedding"])
        small = ("width", "height", "synthetic", "recovered")
        return ImageRecord(
            **{name: values[name].as_py() for name in small},
            pixels=values["pixels"].as_py().hex(),
            fingerprint=np.frombuffer(values["fingerprint"].as_buffer(), np.uint8).reshape(
                SIDE, SIDE
            ),
            aligned=_bytes_of(values["aligned"]),
            embedding=None if embedding is None else np.frombuffer(embedding, np.float32),
        )

    @cached_property
    def contents(self) -> np.ndarray:
        """Sha256 of the files, as in `hash_arrays.PACKED`: (n,)."""
        return self.hashes("content")

    @cached_property
    def row_of(self) -> hash_arrays.Rows:
        """Where each content is."""
        return hash_arrays.Rows(self.contents)

    @property
    def pictures(self) -> "Records":
        """Those of contents that are pictures."""
        return self.only(np.flatnonzero(self.column("reason").is_null()))

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of small values."""
        return self._columns[name].take(self._rows)

    def hashes(self, name: str) -> np.ndarray:
        """A column of hashes, as in `hash_arrays.PACKED`; of nothing where there is none."""
        return packed(self._columns[name])[self._rows]

    def only(self, rows: np.ndarray) -> "Records":
        """Some of them, in ascending order."""
        return Records(self._table, self._rows[rows])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All of the table that counts, some rows at a time."""
        start = 0
        for batch in self._table.to_batches():
            first, end = np.searchsorted(self._rows, (start, start + len(batch)))
            yield batch.take(self._rows[first:end] - start)
            start += len(batch)

    def fingerprints(self, rows: np.ndarray) -> "Fingerprints":
        """Those of some pictures."""
        return Fingerprints(self._columns["fingerprint"], self._rows[rows])

    def embeddings(self, rows: np.ndarray) -> np.ndarray | None:
        """Those of some pictures, float32 (n, k); None where there is none."""
        column = self._columns["embedding"]
        if not len(rows) or column.null_count == len(column):
            return None
        content = b"".join(column[int(row)].as_buffer() for row in self._rows[rows])
        return np.frombuffer(content, np.float32).reshape(len(rows), -1)


class Fingerprints(Sequence[np.ndarray]):
    """Fingerprints of pictures, uint8 (SIDE, SIDE) each; of a slice an array of them."""

    def __init__(self, column: pa.ChunkedArray, rows: np.ndarray) -> None:
        self._column, self._rows = column, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, which: Any) -> Any:
        rows = self._rows[which]
        if rows.ndim:
            content = b"".join(self._column[int(row)].as_buffer() for row in rows)
            return np.frombuffer(content, np.uint8).reshape(-1, SIDE, SIDE)
        return np.frombuffer(self._column[int(rows)].as_buffer(), np.uint8).reshape(SIDE, SIDE)


class Writer:
    """Puts records down as they come, behind earlier ones.

    What is on the disk has no name there, and goes when nothing of it is held any more.
    """

    def __init__(self, earlier: Records, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._earlier, self._count = earlier, len(earlier)
        # Closed with the table that is read from it.
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._out = pa.ipc.new_file(self._file, SCHEMA)
        self._batch: list[dict[str, Any]] = []

    def row(self, content: str, record: ImageRecord | Unusable | None) -> int:
        """In which row the record is; None is one of the earlier."""
        if record is None:
            return int(self._earlier.row_of(hash_arrays.packed([content]))[0])
        self._batch.append(_row(content, record))
        if len(self._batch) == BATCH:
            self._flush()
        self._count += 1
        return self._count - 1

    def records(self) -> Records:
        """The earlier ones and all that came since; no more are taken."""
        self._flush()
        self._out.close()
        self._file.flush()
        content = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        return Records.joined([self._earlier, Records(read(content))])

    def _flush(self) -> None:
        self._out.write_batch(pa.RecordBatch.from_pylist(self._batch, SCHEMA))
        self._batch = []


def read(content: mmap.mmap | memoryview) -> pa.Table:
    """The table in a file; raises `pa.ArrowInvalid`."""
    return pa.ipc.open_file(pa.BufferReader(content)).read_all()


def packed(column: pa.ChunkedArray) -> np.ndarray:
    """A column of hashes, as in `hash_arrays.PACKED`; of nothing where there is none."""
    parts = [hash_arrays.packed([])]
    for chunk in filter(len, column.chunks):
        values = np.frombuffer(chunk.buffers()[1], hash_arrays.PACKED)
        parts.append(values[chunk.offset : chunk.offset + len(chunk)])
    return np.concatenate(parts)


def column_of(hashes: np.ndarray) -> pa.FixedSizeBinaryArray:
    """What was packed, as it was."""
    content = pa.py_buffer(hashes.tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(HASH, len(hashes), [None, content])


def _row(content: str, seen: ImageRecord | Unusable) -> dict[str, Any]:
    face = bytes.fromhex(content)
    if isinstance(seen, Unusable):
        return {"content": face, "reason": str(seen.reason), "detail": seen.detail}
    values = {one.name: getattr(seen, one.name) for one in fields(seen)}
    arrays = ("fingerprint", "embedding")
    values |= {name: values[name].tobytes() for name in arrays if values[name] is not None}
    return {"content": face, **values, "pixels": bytes.fromhex(seen.pixels)}


def _bytes_of(value: pa.BinaryScalar) -> memoryview | None:
    return memoryview(value.as_buffer()) if value.is_valid else None
