"""Stage `ingest`: find every file of the source, keep the usable faces, list the rest with reasons.

    python src/ingest.py

Reads  data.source (a folder, .tar, .tar.gz or .zip)
Writes data/faces.parquet, data/rejected.csv, reports/ingest.json
"""

import pandas as pd

from faceage import intake, readers, tables
from faceage.outputs import write_csv, write_json
from faceage.params import IngestParams, load
from faceage.sources import open_source
from faceage.stage import UserError, run


def main() -> None:
    """Inspect every file, resolve copies, group near-duplicates, write what is kept."""
    params = load(IngestParams)
    data = params.data
    with open_source(data.source) as source:
        reader = readers.choose(source, data, params.groupings)
        print(f"layout {reader.layout}: {reader.share():.1%} of the images are labelled")
        candidates, rejected = intake.inspect(source, reader, data)
        kept, copies = intake.resolve_copies(candidates)
        rejected += copies
        assert len(kept) + len(rejected) == len(reader.images) + len(reader.absent), (
            "a file was dropped in silence"
        )
        if not kept:
            reasons = intake.count_reasons(rejected)
            raise UserError(
                f"data.source: none of the {len(rejected)} files in {data.source} is usable:"
                f" {', '.join(f'{n} {reason}' for reason, n in reasons.items())}; in the layout"
                f" {reader.layout} faces come as {reader.shown}"
            )
        groups = intake.group_near_duplicates(kept, data.near_duplicate)
        tables.write_faces(intake.rows(source, kept, groups))

    columns = ["path", "reason", "detail"]
    write_csv(tables.REJECTED, pd.DataFrame(sorted(rejected), columns=columns))
    summary = intake.summary(data.source, reader.layout, kept, rejected, groups)
    write_json("reports/ingest.json", summary)
    print(f"kept {summary['kept']} of {summary['found']} files from {data.source}")
    for reason, count in summary["rejected"].items():
        print(f"{count:7} rejected: {reason}")


if __name__ == "__main__":
    run(main)
