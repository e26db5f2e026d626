"""What a second run of `ingest` costs after 100 images have been added to a folder.

    python benchmarks/incremental.py UTKFace.tar

Unpacks the archive into a temporary folder, runs the stage without 100 of its files, with them, and
from nothing; holds the results of the last two against each other. Prints a Markdown table.
"""

import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import yaml
from command_line import asked

ROOT = Path(__file__).resolve().parents[1]
NEW = 100
WRITTEN = ("data/faces.parquet", "data/rejected.csv", "data/conflicts.csv", "reports/ingest.json")


def main() -> None:
    """Time the three runs, compare what the last two wrote."""
    (source,) = asked(__doc__, "source")
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        faces, later = work / "faces", work / "later"
        with tarfile.open(source) as archive:
            # Python before 3.11.4 knows no filters.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(faces)
        later.mkdir()
        files = sorted(path for path in faces.rglob("*") if path.is_file())
        added = random.Random(0).sample(files, NEW)
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        params["data"]["source"] = str(faces)
        (work / "params.yaml").write_text(yaml.safe_dump(params))

        for path in added:
            shutil.move(path, later / path.name)
        first = ingest(work)
        for path in added:
            shutil.move(later / path.name, path)
        second = ingest(work)
        incremental = [(work / name).read_bytes() for name in WRITTEN]
        shutil.rmtree(work / ".ingest")
        nothing = ingest(work)
        same = incremental == [(work / name).read_bytes() for name in WRITTEN]
    print("| run of ingest | wall time |")
    print("|---|---:|")
    print(f"| {len(files) - NEW:,} images, from nothing | {first:.1f} s |")
    print(f"| the same and {NEW} more | {second:.1f} s |")
    print(f"| all of them, from nothing | {nothing:.1f} s |")
    print(f"\n{first / second:.1f} times faster; results {'the same' if same else 'DIFFERENT'}")


def ingest(work: Path) -> float:
    """Run the stage in a folder; seconds that it took."""
    environment = {name: value for name, value in os.environ.items() if name != "DVC_ROOT"}
    command = [sys.executable, ROOT / "src/ingest.py"]
    start = time.perf_counter()
    subprocess.run(command, cwd=work, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
