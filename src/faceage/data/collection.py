"""All that sources give: their usable faces, in clusters, and what became of every other file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from faceage.data import conflicts, duplicates, ingest_cache, ingestion
from faceage.data.conflicts import Conflict
from faceage.data.image_records import ImageRecord, Unusable
from faceage.data.ingestion import Candidate, Clusters, Rejected
from faceage.data.origins import Origin, errors_of

Pairs = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Collection:
    """The usable faces of all sources, the files that are not used, labels that disagreed."""

    kept: list[Candidate]
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
    found: list[Candidate] = []
    rejected: list[Rejected] = []
    records, near = [], Pairs()
    for origin in origins:
        with errors_of(origin.name):
            ingestion.refuse_unlabelled(origin)
            origin.reader.forget()
    for origin in origins:
        earlier = ingest_cache.load(origin.data)
        usable, unusable, seen = ingestion.inspect(origin, earlier)
        cache = ingest_cache.compare(seen, earlier, origin.data)
        ingest_cache.save(origin.data, cache, earlier)
        found += usable
        rejected += unusable
        records.append(seen)
        near |= cache.near
    near |= _near_across(records, data.near_duplicate)

    copies = conflicts.resolve_copies(found, data.conflicts)
    alike = ingestion.cluster(copies.kept, near).near
    resolved = conflicts.resolve_near(copies.kept, alike, data.conflicts)
    rejected += copies.rejected + resolved.rejected
    for origin in origins:
        _refuse_losses(origin, resolved.kept, rejected)
    ingestion.refuse_a_mixture(resolved.kept)
    return Collection(
        kept=resolved.kept,
        clusters=ingestion.cluster(resolved.kept, near, data.identity.similarity),
        rejected=sorted(rejected),
        conflicts=sorted(copies.conflicts + resolved.conflicts),
    )


def _near_across(
    records: Sequence[Mapping[str, ImageRecord | Unusable]], threshold: float
) -> Pairs:
    """Pairs of near-duplicates of which each is in another source; none where there is one."""
    known: dict[str, np.ndarray] = {}
    pairs: set[tuple[str, str]] = set()
    for seen in records:
        new = {
            content: record.fingerprint
            for content, record in seen.items()
            if isinstance(record, ImageRecord) and content not in known
        }
        both = known | new
        if known and new:
            prints, contents = np.stack(list(both.values())), list(both)
            rows = duplicates.near_pairs(prints, threshold, len(known))
            pairs |= {(contents[first], contents[second]) for first, second in rows}
        known = both
    return frozenset(pairs)


def _refuse_losses(origin: Origin, kept: Sequence[Candidate], rejected: Sequence[Rejected]) -> None:
    """Hold the files of one of the sources against `data.min_kept`."""
    names = (*origin.reader.images, *origin.reader.absent)
    own = {ingestion.printable(origin.path(name)) for name in names}
    with errors_of(origin.name):
        ingestion.refuse_losses(
            origin,
            sum(candidate.origin is origin for candidate in kept),
            [item for item in rejected if item.path in own],
        )
