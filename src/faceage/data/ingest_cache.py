"""A cache of what was decoded of a source, by each file's content: only new files are decoded.

DVC deletes a stage's outputs before it runs, so this is none of them. Like checkpoints it lies
under the real repository (`DVC_ROOT`), where queued experiments find it again. It is dropped when
the code or the library that decodes has changed. Without it the results are the same, later.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pyarrow as pa
from pyarrow import feather

from faceage.core import images, sealed
from faceage.core.outputs import atomic_write
from faceage.core.reasons import Reason
from faceage.core.repository import root
from faceage.core.settings import Data
from faceage.data import duplicates, identities, image_records
from faceage.data.image_records import ImageRecord, Unusable
from faceage.detection import alignment, crops, detector

SCHEMA = pa.schema(
    [
        ("content", pa.string()),  # sha256 of the file's bytes, hexadecimal
        ("reason", pa.string()),  # why it is unusable; null where it is a picture
        ("detail", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("synthetic", pa.bool_()),
        ("recovered", pa.bool_()),
        ("pixels", pa.string()),
        ("fingerprint", pa.binary()),
        ("aligned", pa.binary()),
        ("embedding", pa.binary()),
        ("near", pa.list_(pa.string())),  # contents of near-duplicates that come after this one
    ]
)
BATCH = 1024  # rows written at once, which bounds the memory


@dataclass(frozen=True)
class IngestCache:
    """Records by content; `near`: pairs of near-duplicates among the contents in `compared`."""

    records: Mapping[str, ImageRecord | Unusable] = field(default_factory=dict)
    near: frozenset[tuple[str, str]] = frozenset()
    compared: frozenset[str] = frozenset()


def folder() -> Path:
    """Where it lies, and what is on the disk while a source is being read."""
    return root() / ".ingest"


def load(data: Data) -> IngestCache:
    """What is cached of the source; nothing where that is of other code, or damaged."""
    try:
        table = feather.read_table(pa.BufferReader(sealed.read(_place(data))))
    except (OSError, sealed.Broken, pa.ArrowInvalid):
        return IngestCache()
    known = table.schema.metadata or {}
    if known.get(b"code") != _code(data):
        return IngestCache()
    found: dict[str, ImageRecord | Unusable] = {}
    near: set[tuple[str, str]] = set()
    for batch in table.to_batches(BATCH):
        for row in _rows(batch):
            found[row["content"]] = _record(row)
            near |= {(row["content"], other) for other in row["near"]}
    if known.get(b"near_duplicate") != _threshold(data):
        return IngestCache(found)
    return IngestCache(found, frozenset(near), frozenset(_pictures(found)))


def save(data: Data, cache: IngestCache, earlier: IngestCache) -> None:
    """Keep this of the source, instead of the earlier, where it is anything else."""
    if cache.records.keys() == earlier.records.keys() and cache.compared == earlier.compared:
        return
    partners: dict[str, list[str]] = {}
    for first, second in cache.near:
        partners.setdefault(first, []).append(second)
    rows = (
        _row(content, seen) | {"near": sorted(partners.get(content, []))}
        for content, seen in cache.records.items()
    )
    schema = SCHEMA.with_metadata({b"code": _code(data), b"near_duplicate": _threshold(data)})
    with atomic_write(_place(data)) as part:
        with pa.ipc.new_file(str(part), schema) as writer:
            while batch := list(islice(rows, BATCH)):
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
        sealed.seal(part)


def compare(
    found: Mapping[str, ImageRecord | Unusable], earlier: IngestCache, data: Data
) -> IngestCache:
    """Find the pairs of near-duplicates: compare what is new with everything.

    Where an index is needed, which is not exact, everything is compared anew.
    """
    pictures = _pictures(found)
    known = earlier.compared & pictures.keys()
    exact = max(len(pictures), len(earlier.compared)) <= duplicates.EXACT
    if not exact and earlier.compared != pictures.keys():
        known = frozenset()
    ordered = sorted(known) + sorted(pictures.keys() - known)
    near = {pair for pair in earlier.near if known.issuperset(pair)}
    if len(ordered) > len(known):
        prints = [pictures[content].fingerprint for content in ordered]
        pairs = duplicates.near_pairs(prints, data.near_duplicate, len(known))
        names = (sorted((ordered[first], ordered[second])) for first, second in pairs)
        near |= {(first, second) for first, second in names}
    return IngestCache(found, frozenset(near), frozenset(pictures))


def _pictures(found: Mapping[str, ImageRecord | Unusable]) -> dict[str, ImageRecord]:
    return {content: seen for content, seen in found.items() if isinstance(seen, ImageRecord)}


def _place(data: Data) -> Path:
    of = f"{data.align}:{data.identity.model}:{data.source}"
    name = hashlib.sha256(of.encode()).hexdigest()[:16]
    return folder() / f"{name}.feather"


def _threshold(data: Data) -> bytes:
    return str(data.near_duplicate).encode()


def _code(data: Data) -> bytes:
    """Hash of all that decides what the record of a file is."""
    digest = hashlib.sha256(f"{PIL.__version__} {np.__version__}".encode())
    for module in (alignment, crops, detector, duplicates, identities, images, image_records):
        digest.update(Path(str(module.__file__)).read_bytes())
    if data.identity.model != "none":
        digest.update(identities.find(data.identity.model).read_bytes())
    return digest.hexdigest().encode()


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Rows, of which what is large stays where it is, on the disk."""
    large = {name: batch.column(name) for name in ("fingerprint", "aligned", "embedding")}
    for number, row in enumerate(batch.drop_columns(list(large)).to_pylist()):
        buffers = {name: column[number].as_buffer() for name, column in large.items()}
        yield row | {name: None if b is None else memoryview(b) for name, b in buffers.items()}


def _record(row: Mapping[str, Any]) -> ImageRecord | Unusable:
    if row["reason"]:
        return Unusable(Reason(row["reason"]), row["detail"])
    side = duplicates.SIDE
    embedding = row["embedding"]
    return ImageRecord(
        width=row["width"],
        height=row["height"],
        synthetic=row["synthetic"],
        recovered=row["recovered"],
        pixels=row["pixels"],
        fingerprint=np.frombuffer(row["fingerprint"], dtype=np.uint8).reshape(side, side),
        aligned=row["aligned"],
        embedding=None if embedding is None else np.frombuffer(embedding, dtype=np.float32),
    )


def _row(content: str, seen: ImageRecord | Unusable) -> dict[str, Any]:
    if isinstance(seen, Unusable):
        return {"content": content, "reason": str(seen.reason), "detail": seen.detail}
    arrays = {
        name: None if array is None else array.tobytes()
        for name, array in (("fingerprint", seen.fingerprint), ("embedding", seen.embedding))
    }
    values = {one.name: getattr(seen, one.name) for one in fields(seen)}
    return {"content": content, **values, **arrays}
