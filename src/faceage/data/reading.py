"""Each file of a source read and decoded: in threads of this machine, or by a cluster's workers."""

import hashlib
from collections.abc import Callable, Container, Iterator, Sequence
from functools import cache, partial
from typing import NamedTuple

from faceage.core import cluster
from faceage.core.threads import in_threads
from faceage.data import identities
from faceage.data.image_records import ImageRecord, Unusable, read_record
from faceage.data.origins import Origin
from faceage.data.selections import Selection
from faceage.data.sources import Source, Unreadable

LOT = 512  # files that a worker of a cluster gets at once: what is lost with one that dies

Decode = Callable[[bytes], ImageRecord | Unusable]


class Seen(NamedTuple):
    """What a file is; face: sha256 of its bytes, hexadecimal, empty where there are none to be had.

    record: None where what has this content was decoded before; problem: why there are no bytes.
    """

    path: str
    face: str
    record: ImageRecord | Unusable | None
    problem: str = ""


def read_all(origin: Origin, known: Container[str]) -> Iterator[Seen]:
    """Every file of a source that may be an image, in the reader's order.

    Parameters
    ----------
    known : contents that need not be decoded
    """
    names, align, model = origin.reader.images, origin.data.align, origin.data.identity.model
    if not cluster.is_named():
        decode = partial(read_record, align=align, embed=identities.embedder(model))
        yield from in_threads(partial(read_one, origin.source, known, decode), names)
        return
    path = "none" if model == "none" else str(identities.find(model).absolute())
    do = partial(_read_lot, known, align, path)
    lots = (names[start : start + LOT] for start in range(0, len(names), LOT))
    parts = (Selection(origin.data.source, origin.source, lot) for lot in lots)
    for seen in cluster.in_order(do, parts):
        yield from seen


def read_one(source: Source, known: Container[str], decode: Decode, name: str) -> Seen:
    """Read a file; decode what is not known."""
    try:
        content = source.read(name)
    except Unreadable as error:
        return Seen(name, "", None, str(error))
    face = hashlib.sha256(content).hexdigest()
    return Seen(name, face, None if face in known else decode(content))


def _read_lot(known: Container[str], align: str, model: str, source: Source) -> Sequence[Seen]:
    decode = partial(read_record, align=align, embed=_embedder(model))
    return [read_one(source, known, decode, name) for name in source.names]


# A worker loads the model for its first files, and keeps it.
_embedder = cache(identities.embedder)
