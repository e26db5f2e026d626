"""All that sources give: their usable faces, in clusters, and what became of every other file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from faceage.data import clustering, conflicts, duplicates, ingest_cache, ingestion
from faceage.data.candidates import Candidates
from faceage.data.clustering import Clusters
from faceage.data.conflicts import Conflict
from faceage.data.ingestion import Rejected
from faceage.data.origins import Origin, errors_of
from faceage.data.records import Records


@dataclass(frozen=True)
class Collection:
    """The usable faces of all sources, the files that are not used, labels that disagreed."""

    kept: Candidates
    clusters: Clusters
    rejected: list[Rejected]
    conflicts: list[Conflict]


def collect(origins: Sequence[Origin]) -> Collection:
    """Inspect every file, resolve copies and conflicts, cluster the faces of all sources together.

    Raises
    ------
    UserError
        If fewer of the images of a source are usable than `data.min_kept` asks for, or some faces
        are labelled with classes and others with ages.
    """
    data = origins[0].data
    parts: list[Candidates] = []
    rejected: list[Rejected] = []
    near = []
    for origin in origins:
        with errors_of(origin.name):
            ingestion.refuse_unlabelled(origin)
            origin.reader.forget()
    for origin in origins:
        earlier = ingest_cache.load(origin.data)
        usable, unusable = ingestion.inspect(origin, earlier.records)
        cache = ingest_cache.compare(usable.records, earlier, origin.data)
        ingest_cache.save(origin.data, cache, earlier)
        parts.append(usable)
        rejected += unusable
        near.append(cache.near)
    across = _near_across([part.records for part in parts], data.near_duplicate)
    pairs = np.concatenate([*near, *across])

    copies = conflicts.resolve_copies(Candidates.joined(parts), data.conflicts)
    alike = clustering.cluster(copies.kept, pairs).near
    resolved = conflicts.resolve_near(copies.kept, alike, data.conflicts)
    rejected += copies.rejected + resolved.rejected
    for origin in origins:
        _refuse_losses(origin, resolved.kept, rejected)
    ingestion.refuse_a_mixture(resolved.kept)
    return Collection(
        kept=resolved.kept,
        clusters=clustering.cluster(resolved.kept, pairs, data.identity.similarity),
        rejected=sorted(rejected),
        conflicts=sorted(copies.conflicts + resolved.conflicts),
    )


def _near_across(parts: Sequence[Records], threshold: float) -> Iterator[np.ndarray]:
    """Near-duplicates, each in another source, as in `hash_arrays.PACKED` (pairs, 2)."""
    pictures = [part.pictures for part in parts]
    for number in range(1, len(parts)):
        both = Records.joined(pictures[: number + 1])
        rows = np.sort(np.unique(both.contents, return_index=True)[1])
        known = int(np.searchsorted(rows, len(both) - len(pictures[number])))
        if 0 < known < len(rows):
            pairs = duplicates.near_pairs(both.fingerprints(rows), threshold, known)
            yield both.contents[rows[pairs]]


def _refuse_losses(origin: Origin, kept: Candidates, rejected: Sequence[Rejected]) -> None:
    """Hold the files of one of the sources against `data.min_kept`."""
    names = (*origin.reader.images, *origin.reader.absent)
    own = {ingestion.printable(origin.path(name)) for name in names}
    with errors_of(origin.name):
        ingestion.refuse_losses(
            origin,
            int((kept.column("origin") == kept.origins.index(origin)).sum()),
            [item for item in rejected if item.path in own],
        )
