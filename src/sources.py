"""Stage `sources`: list the files of a further source, so that ingest runs when one changes.

    python src/sources.py NAME    a key of data.sources in params.yaml

Reads  the source (a folder or an archive)
Writes data/checked/NAME.csv: each file's path and SHA-256, which is empty for a file that cannot be
       read
"""

import argparse
import hashlib
from pathlib import Path

import pandas as pd

from faceage.core.outputs import write_csv
from faceage.core.params import SourcesParams, load
from faceage.core.progress import bar
from faceage.core.script import run
from faceage.data.sources import Source, Unreadable, open_source


def main() -> None:
    """Hash every file: the list is the same as long as ingest would find the same."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=(sources := load(SourcesParams).data.sources))
    name = parser.parse_args().name
    with open_source(sources[name].source) as source:
        files = [(path, digest(source, path)) for path in bar(source.names, name, "file")]
    write_csv(Path(f"data/checked/{name}.csv"), pd.DataFrame(files, columns=["path", "sha256"]))
    print(f"{len(files)} files in {sources[name].source}")


def digest(source: Source, path: str) -> str:
    """SHA-256 of a file, hexadecimal."""
    try:
        return hashlib.sha256(source.read(path)).hexdigest()
    except Unreadable:
        return ""


if __name__ == "__main__":
    run(main)
