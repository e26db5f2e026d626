"""Stage `ingest`: find every file of the source, keep the usable faces, list the rest with reasons.

    python src/ingest.py

Reads  data.source (a folder or an archive)
Writes data/faces.parquet, data/rejected.csv, data/conflicts.csv, reports/ingest.json
What was decoded in an earlier run is cached by its content: only new files are decoded.
"""

from faceage.core import contracts, tables
from faceage.core.outputs import write_json
from faceage.core.params import IngestParams, load
from faceage.core.script import run
from faceage.data import conflicts, ingest_cache, ingestion
from faceage.data.readers import registry
from faceage.data.sources import open_source


def main() -> None:
    """Inspect every file, resolve copies and conflicts, cluster the faces, write what is kept."""
    params = load(IngestParams)
    data = params.data
    with open_source(data.source) as source:
        reader = registry.choose(source, data, params.groupings)
        print(f"layout {reader.layout}: {reader.share:.1%} of the images are labelled")
        ingestion.refuse_unlabelled(reader, data)
        print(registry.in_words(reader))
        earlier = ingest_cache.load(data)
        candidates, rejected, records = ingestion.inspect(source, reader, data, earlier)
        seen = ingest_cache.compare(records, earlier, data)
        ingest_cache.save(data, seen, earlier)

        copies = conflicts.resolve_copies(candidates, data.conflicts)
        alike = ingestion.cluster(copies.kept, seen.near).near
        resolved = conflicts.resolve_near(copies.kept, alike, data.conflicts)
        kept, rejected = resolved.kept, rejected + copies.rejected + resolved.rejected
        ingestion.refuse_losses(reader, len(kept), rejected, data)
        clusters = ingestion.cluster(kept, seen.near, data.identity.similarity)
        tables.write_faces(ingestion.rows(source, kept, clusters))

    disagreements = sorted(copies.conflicts + resolved.conflicts)
    tables.write_conflicts(disagreements)
    tables.write_rejected(sorted(rejected))
    summary = ingestion.summary(data.source, reader.layout, kept, rejected, clusters)
    contracts.check_account(reader.found, len(kept), len(rejected), tables.FACES)
    summary["ignored"] = source.ignored
    summary["conflicts"] = conflicts.summary(data.conflicts, disagreements)
    write_json("reports/ingest.json", summary)
    print(f"kept {summary['kept']} of {summary['found']} files from {data.source}")
    for reason, count in summary["rejected"].items():
        print(f"{count:7} rejected: {reason}")
    if source.ignored:
        print(f"{source.ignored:7} ignored: hidden files, thumbnails, unfinished downloads")
    if summary["recovered"]:
        print(f"{summary['recovered']:7} kept though their last bytes are missing")


if __name__ == "__main__":
    run(main)
