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
from faceage.data import conflicts, ingestion
from faceage.data.collection import collect
from faceage.data.readers import registry
from faceage.data.sources import open_source


def main() -> None:
    """Find out the layout, collect the usable faces, write them and what became of the others."""
    params = load(IngestParams)
    data = params.data
    with open_source(data.source) as source:
        reader = registry.choose(source, data, params.groupings)
        print(f"layout {reader.layout}: {reader.share:.1%} of the images are labelled")
        print(registry.in_words(reader))
        found = collect(source, reader, data)
        tables.write_faces(ingestion.rows(source, found.kept, found.clusters))

    tables.write_conflicts(found.conflicts)
    tables.write_rejected(found.rejected)
    summary = ingestion.summary(
        data.source, reader.layout, found.kept, found.rejected, found.clusters
    )
    contracts.check_account(reader.found, len(found.kept), len(found.rejected), tables.FACES)
    summary["ignored"] = source.ignored
    summary["conflicts"] = conflicts.summary(data.conflicts, found.conflicts)
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
