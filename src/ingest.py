"""Stage `ingest`: find every file of the sources, keep usable faces, list the rest with reasons.

    python src/ingest.py

Reads  data.source and those of data.sources (each a folder or an archive)
Writes data/faces.parquet, data/rejected.csv, data/conflicts.csv, reports/ingest.json
What was decoded in an earlier run is cached by its content: only new files are decoded.
"""

from faceage.core.command_line import no_options

if __name__ == "__main__":
    no_options(__doc__)

from faceage.core import contracts, tables
from faceage.core.outputs import write_json
from faceage.core.params import IngestParams, load
from faceage.core.script import run
from faceage.data import conflicts, ingestion, origins
from faceage.data.collection import collect
from faceage.data.readers import registry


def main() -> None:
    """Find out the layouts, collect the usable faces, write them and what became of the others."""
    params = load(IngestParams)
    data = params.data
    with origins.all_opened(data, params.groupings) as opened:
        for origin in opened:
            reader = origin.reader
            of = f" of {origin.name}" if origin.name else ""
            print(f"layout {reader.layout}: {reader.share:.1%} of the images{of} are labelled")
            print(registry.in_words(reader))
        found = collect(opened)
        tables.write_faces(ingestion.rows(found.kept, found.clusters), data.shard_faces)

    tables.write_conflicts(found.conflicts)
    tables.write_rejected(found.rejected)
    files = sum(origin.reader.found for origin in opened)
    contracts.check_account(files, len(found.kept), len(found.rejected), tables.FACES)
    summary = ingestion.summary(opened, found.kept, found.rejected, found.clusters)
    summary["conflicts"] = conflicts.summary(data.conflicts, found.conflicts)
    write_json("reports/ingest.json", summary)
    places = ", ".join(origin.data.source for origin in opened)
    print(f"kept {summary['kept']} of {summary['found']} files from {places}")
    for name, further in summary["sources"].items():
        print(f"{further['kept']:7} of {further['found']} from {name}")
    for reason, count in summary["rejected"].items():
        print(f"{count:7} rejected: {reason}")
    if summary["bands"]:
        print(f"{summary['bands']:7} of the kept are labelled with a band of ages")
    if summary["ignored"]:
        print(f"{summary['ignored']:7} ignored: hidden files, thumbnails, unfinished downloads")
    if summary["recovered"]:
        print(f"{summary['recovered']:7} kept though their last bytes are missing")


if __name__ == "__main__":
    run(main)
