"""All that a source gives: its usable faces, in clusters, and what became of every other file."""

from dataclasses import dataclass

from faceage.core.settings import Data
from faceage.data import conflicts, ingest_cache, ingestion
from faceage.data.conflicts import Conflict
from faceage.data.ingestion import Candidate, Clusters, Rejected
from faceage.data.readers.base import Reader
from faceage.data.sources import Source


@dataclass(frozen=True)
class Collection:
    """The usable faces of a source, the files that are not used, and labels that disagreed."""

    kept: list[Candidate]
    clusters: Clusters
    rejected: list[Rejected]
    conflicts: list[Conflict]


def collect(source: Source, reader: Reader, data: Data, bands: bool = False) -> Collection:
    """Inspect every file, resolve copies and conflicts, cluster the faces.

    Parameters
    ----------
    bands : whether labels that are bands of ages will do

    Raises
    ------
    UserError
        If fewer of the images are usable than `data.min_kept` asks for.
    """
    ingestion.refuse_unlabelled(reader, data)
    earlier = ingest_cache.load(data)
    candidates, rejected, records = ingestion.inspect(source, reader, data, earlier, bands)
    cache = ingest_cache.compare(records, earlier, data)
    ingest_cache.save(data, cache, earlier)

    copies = conflicts.resolve_copies(candidates, data.conflicts)
    alike = ingestion.cluster(copies.kept, cache.near).near
    resolved = conflicts.resolve_near(copies.kept, alike, data.conflicts)
    rejected += copies.rejected + resolved.rejected
    ingestion.refuse_losses(reader, len(resolved.kept), rejected, data)
    return Collection(
        kept=resolved.kept,
        clusters=ingestion.cluster(resolved.kept, cache.near, data.identity.similarity),
        rejected=sorted(rejected),
        conflicts=sorted(copies.conflicts + resolved.conflicts),
    )
