"""A cache of what was decoded of a source, by each file's content: only new files are decoded.

DVC deletes a stage's outputs before it runs, so this is none of them. Like checkpoints it lies
under the real repository (`DVC_ROOT`), where queued experiments find it again. It is dropped when
the code or the library that decodes has changed. Without it the results are the same, later.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL
import pyarrow as pa

from faceage.core import hash_arrays, images, sealed
from faceage.core.outputs import atomic_write
from faceage.core.repository import root
from faceage.core.settings import Data
from faceage.data import duplicates, identities, image_records, records
from faceage.data.records import Records
from faceage.detection import alignment, crops, detector

NEAR = pa.field("near", pa.list_(records.HASH))  # near-duplicates that come after a content
NO_PAIRS = hash_arrays.packed([]).reshape(0, 2)


@dataclass(frozen=True)
class IngestCache:
    """Records of contents; near: those that are near-duplicates, as in `hash_arrays.PACKED` (n, 2).

    compared: whether all pictures have been compared.
    """

    records: Records = field(default_factory=Records.none)
    near: np.ndarray = field(default_factory=lambda: NO_PAIRS)
    compared: bool = False


def folder() -> Path:
    """Where it lies, and what is on the disk while a source is being read."""
    return root() / ".ingest"


def load(data: Data) -> IngestCache:
    """What is cached of the source; nothing where that is of other code, or damaged."""
    try:
        table = records.read(sealed.read(_place(data)))
    except (OSError, sealed.Broken, pa.ArrowInvalid):
        return IngestCache()
    known = table.schema.metadata or {}
    if known.get(b"code") != _code(data):
        return IngestCache()
    found = Records(table.drop_columns(NEAR.name))
    if known.get(b"near_duplicate") != _threshold(data):
        return IngestCache(found)
    return IngestCache(found, _pairs(table), compared=True)


def save(data: Data, cache: IngestCache, earlier: IngestCache) -> None:
    """Keep this of the source, instead of the earlier, where it is anything else."""
    same = np.array_equal(np.sort(cache.records.contents), np.sort(earlier.records.contents))
    if same and cache.compared == earlier.compared:
        return
    schema = records.SCHEMA.append(NEAR).with_metadata(
        {b"code": _code(data), b"near_duplicate": _threshold(data)}
    )
    with atomic_write(_place(data)) as part:
        with pa.ipc.new_file(str(part), schema) as writer:
            near, start = _column(cache), 0
            for batch in cache.records.batches():
                columns = [*batch.columns, near.slice(start, len(batch))]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
                start += len(batch)
        sealed.seal(part)


def compare(found: Records, earlier: IngestCache, data: Data) -> IngestCache:
    """Find the pairs of near-duplicates: compare what is new with everything.

    Where an index is needed, which is not exact, everything is compared anew.
    """
    pictures, before = found.pictures, earlier.records.pictures
    exact = max(len(pictures), len(before)) <= duplicates.EXACT
    same = np.array_equal(np.sort(pictures.contents), np.sort(before.contents))
    ordered = np.argsort(pictures.contents)
    is_known = before.row_of(pictures.contents[ordered]) >= 0
    if not earlier.compared or not (exact or same):
        is_known[:] = False
    ordered = np.concatenate([ordered[is_known], ordered[~is_known]])
    known = int(is_known.sum())
    contents = pictures.contents[ordered]
    near = hash_arrays.Rows(contents[:known]).only(earlier.near)
    if known < len(ordered):
        prints = pictures.fingerprints(ordered)
        pairs = duplicates.near_pairs(prints, data.near_duplicate, known)
        near = np.concatenate([near, np.sort(contents[pairs], axis=1)])
    return IngestCache(found, near, compared=True)


def _column(cache: IngestCache) -> pa.ListArray:
    """For each record the near-duplicates that come after it."""
    rows = cache.records.row_of(cache.near[:, 0])
    order = np.argsort(rows, kind="stable")
    starts = np.searchsorted(rows[order], np.arange(len(cache.records) + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(starts, records.column_of(cache.near[order, 1]))


def _pairs(table: pa.Table) -> np.ndarray:
    """What `_column` has made."""
    near = table[NEAR.name].combine_chunks()
    contents = records.packed(table["content"])[near.value_parent_indices().to_numpy()]
    return np.stack([contents, records.packed(pa.chunked_array([near.flatten()]))], axis=1)


def _place(data: Data) -> Path:
    of = f"{data.align}:{data.identity.model}:{data.source}"
    name = hashlib.sha256(of.encode()).hexdigest()[:16]
    return folder() / f"{name}.feather"


def _threshold(data: Data) -> bytes:
    return str(data.near_duplicate).encode()


def _code(data: Data) -> bytes:
    """Hash of all that decides what the record of a file is."""
    digest = hashlib.sha256(f"{PIL.__version__} {np.__version__}".encode())
    decoding = (alignment, crops, detector, duplicates, identities, images, image_records)
    for module in (*decoding, records):
        digest.update(Path(str(module.__file__)).read_bytes())
    if data.identity.model != "none":
        digest.update(identities.find(data.identity.model).read_bytes())
    return digest.hexdigest().encode()
