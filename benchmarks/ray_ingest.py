"""Ingest on a Ray cluster of two workers beside ingest on this machine alone: rate and memory.

    python benchmarks/ray_ingest.py UTKFace.tar [--many FOLDER] [--rounds 3] [--only memory]

All files are read and decoded in threads and by the cluster, in turns, on a cluster that runs
already: the rest of the stage is the same for both. The ratio is the median of those of the rounds.
With --many also the largest memory of all processes in the whole stage, from nothing, for UTKFace
and for a source of many times the faces, such as `multiplied` in speed_growth.py makes.
Writes benchmarks/ray_ingest.json, and what it says into ray_ingest.md.
"""

import argparse
import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import psutil
from speed_work import ROOT, in_turns, ratio, write_params

from faceage.core.params import IngestParams, load
from faceage.data import origins, reading

FOUND = ROOT / "benchmarks/ray_ingest.json"
HERE = "local"
WORKERS = 2
STORE = 256 * 2**20  # bytes of shared memory, as src/ingest.py has it for a cluster of its own
EVERY = 1.0  # seconds between two looks at the memory


def main() -> None:
    """Measure what was asked for, keep the rest of what was found before."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("utkface", type=Path)
    parser.add_argument("--many", type=Path, help="a source of many times the faces")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("rate", "memory"))
    asked = parser.parse_args()
    # Ray has its workers stand back for all others: both ways are to have the same share.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    found: dict[str, Any] = json.loads(FOUND.read_text()) if FOUND.exists() else {}
    if asked.only != "memory":
        found["rate"] = rate(asked.utkface.resolve(), asked.rounds)
    if asked.only != "rate" and asked.many:
        sources = [asked.utkface.resolve(), asked.many.resolve()]
        found["memory"] = [memory(source, "local") for source in sources]
    FOUND.write_text(json.dumps(found, indent=2) + "\n")
    FOUND.with_suffix(".md").write_text(page(found))


def rate(source: Path, rounds: int) -> dict[str, Any]:
    """Seconds in which all files are read and decoded both ways, and whether they are the same."""
    params = load(IngestParams, ROOT / "params.yaml")
    data = params.data.model_copy(update={"source": str(source)})
    seen: dict[str, str] = {}
    with origins.opened(data, params.groupings) as origin, cluster() as address:

        def read(way: str, where: str) -> None:
            os.environ["RAY_ADDRESS"] = where
            digest = hashlib.sha256()
            for one in reading.read_all(origin, frozenset()):
                pixels = getattr(one.record, "pixels", one.record)
                digest.update(f"{one.path} {one.face} {pixels}\n".encode())
            seen[way] = digest.hexdigest()

        ways = {"alone": partial(read, "alone", ""), "ray": partial(read, "ray", address)}
        seconds = in_turns(ways, rounds)
        files = len(origin.reader.images)
    same = len(set(seen.values())) == 1
    return ratio(seconds["alone"], seconds["ray"]) | {
        "files": files,
        "same": same,
        "workers": WORKERS,
    }


def memory(source: Path, address: str) -> dict[str, Any]:
    """Largest memory of all processes of an ingest from nothing, in GB, without pages of files."""
    with TemporaryDirectory() as place:
        folder = Path(place) / "work"
        prepare(source, folder)
        start, peak = time.perf_counter(), 0.0
        with started(folder, address) as process:
            while process.poll() is None:
                peak = max(peak, held(psutil.Process(process.pid)))
                time.sleep(EVERY)
        counts = json.loads((folder / "reports/ingest.json").read_text())
    seconds = time.perf_counter() - start
    return {"files": counts["found"], "kept": counts["kept"], "peak": peak, "seconds": seconds}


def held(process: psutil.Process) -> float:
    """Memory of a process and all that it has started, in GB, what is shared counted once."""
    kibibytes = 0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for one in family:
        try:
            lines = Path(f"/proc/{one.pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended
            continue
        kibibytes += sum(int(x.split()[1]) for x in lines if x.startswith(("Pss_Anon", "Pss_Shm")))
    return kibibytes * 1024 / 1e9


def ingest(source: Path, folder: Path, address: str | None) -> None:
    """Run the stage from nothing; it has to end well."""
    prepare(source, folder)
    with started(folder, address) as process:
        if process.wait():
            raise SystemExit(f"ingest ended with {process.returncode}")


def prepare(source: Path, folder: Path) -> None:
    """An empty folder with params.yaml."""
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    folder.mkdir()
    write_params(folder, {"data": {"source": str(source)}})


def started(folder: Path, address: str | None) -> subprocess.Popen[bytes]:
    """The stage, running in the folder."""
    left_out = ("DVC_ROOT", "RAY_ADDRESS")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    if address:
        environment["RAY_ADDRESS"] = address
    command = [sys.executable, str(ROOT / "src/ingest.py")]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)


@contextmanager
def cluster() -> Iterator[str]:
    """A cluster that this process starts, is connected to, and ends."""
    import ray  # noqa: PLC0415 (few have it)

    ray.init(
        HERE,
        runtime_env={"py_modules": [str(ROOT / "src/faceage")]},
        num_cpus=WORKERS,
        object_store_memory=STORE,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield HERE
    finally:
        ray.shutdown()


def page(found: dict[str, Any]) -> str:
    """What was measured, in words."""
    text = (
        "# Ingest on a Ray cluster\n\nWritten by `python benchmarks/ray_ingest.py`, on 2 cores.\n"
    )
    if "rate" in found:
        one = found["rate"]
        alone, on_ray = one["seconds"]
        text += (
            f"\n| {one['files']:,} files read and decoded | |\n|---|---:|\n"
            f"| seconds in threads, median of {one['rounds']} rounds | {alone:.1f} |\n"
            f"| seconds on a cluster of {one['workers']} workers | {on_ray:.1f} |\n"
            f"| rate of the cluster over that of the threads, median of the rounds |"
            f" {one['ratio']:.2f} ({one['smallest']:.2f} to {one['largest']:.2f}) |\n"
            f"| what they found | {'the same' if one['same'] else 'DIFFERENT'} |\n"
        )
    if "memory" in found:
        text += "\n| files | kept | largest memory of all processes, GB | seconds |\n"
        text += "|---:|---:|---:|---:|\n"
        for one in found["memory"]:
            row = (f"{one['files']:,}", f"{one['kept']:,}", f"{one['peak']:.2f}")
            text += f"| {' | '.join(row)} | {one['seconds']:.0f} |\n"
        text += (
            "\nMemory without the pages of files, which the system takes back when it needs them.\n"
        )
    return text


if __name__ == "__main__":
    main()
