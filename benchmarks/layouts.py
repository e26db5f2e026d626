"""The same faces laid out otherwise: a folder for each age, or a table of classes.

    python benchmarks/layouts.py SOURCE FOLDER

Reads a source with UTKFace's file names; writes FOLDER/age_folders.tar and FOLDER/csv.tar.
"""

import argparse
import csv
import io
import sys
import tarfile
from pathlib import Path, PurePath

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import yaml

from faceage.core.utkface import parse
from faceage.data.sources import Source, Unreadable, open_source
from faceage.evaluation.age_bins import bin_index

PARAMS = Path(__file__).parents[1] / "params.yaml"


def lay_out(source: Source, folder: Path) -> None:
    """Write both archives; files without a label are left out."""
    grouping = yaml.safe_load(PARAMS.read_text())["groupings"]["life_stage"]
    table = io.StringIO(newline="")
    rows = csv.writer(table)
    rows.writerow(["ID", "Class"])
    with (
        tarfile.open(folder / "age_folders.tar", "w") as folders,
        tarfile.open(folder / "csv.tar", "w") as listed,
    ):
        for number, name in enumerate(source.names):
            labels = parse(PurePath(name).name)
            try:
                content = source.read(name)
            except Unreadable:
                continue
            if labels is None:
                continue
            # Names that say nothing of the age: it has to come from the layout.
            plain = f"{number:05d}.jpg"
            _add(folders, f"{labels.age:03d}/{plain}", content)
            _add(listed, f"images/{plain}", content)
            (age_class,) = bin_index(np.array([labels.age]), grouping["boundaries"])
            rows.writerow([plain, grouping["names"][age_class]])
        _add(listed, "labels.csv", table.getvalue().encode())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    with open_source(asked.source) as found:
        lay_out(found, asked.folder)
