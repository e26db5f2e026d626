"""One bit of something that was stored turns over: it is noticed, or nothing comes of it."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import record
from artefacts import made, outcome
from conftest import ROOT

FEW, MANY = 2, 25  # flips for each kind of artefact
CACHED = 10  # flips of an entry of DVC's cache


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory):
    with made(tmp_path_factory.mktemp("stored")) as artefacts:
        yield artefacts


def flip_all(artefacts, times: int) -> dict[str, Counter[str]]:
    found = {}
    for artefact in artefacts:
        outcomes = [outcome(artefact, seed) for seed in range(times)]
        lost = [text for text in outcomes if text.startswith(record.LOST)]
        print(*lost, sep="\n")
        found[artefact.kind] = Counter(text.split(":")[0] for text in outcomes)
    return found


def test_a_few_flipped_bits(artefacts):
    found = flip_all(artefacts, FEW)
    assert all(map(record.survived, found.values())), found


@pytest.mark.faults
def test_many_flipped_bits(artefacts):
    found = flip_all(artefacts, MANY)
    record.write("Corrupted data: one bit of a stored artefact turned over", found)
    assert sum(map(Counter.total, found.values())) >= 200
    assert all(map(record.survived, found.values())), found


PIPELINE = """
stages:
  made:
    cmd: python write.py
    deps: [write.py]
    outs: [data/split.csv]
  used:
    cmd: python read.py
    deps: [data/split.csv, read.py]
    outs: [rows.txt]
"""
WRITE = """
from pathlib import Path
Path("data").mkdir(exist_ok=True)
Path("data/split.csv").write_text("face,cluster,split\\n" + "a,a,train\\n" * 1000)
"""
READ = """
from pathlib import Path
from faceage.core import script, stored
def main():
    table = stored.read_csv(Path("data/split.csv"))
    Path("rows.txt").write_text(table.to_csv())
script.run(main)
"""


ENVIRONMENT = {key: text for key, text in os.environ.items() if not key.startswith("DVC_")}
ENVIRONMENT |= {"PYTHONPATH": str(ROOT / "src"), "DVC_NO_ANALYTICS": "true"}
ENVIRONMENT["PATH"] = f"{Path(sys.executable).parent}:{ENVIRONMENT['PATH']}"


def dvc(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["dvc", *command], capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=120
    )


@pytest.fixture
def pipeline(tmp_path, monkeypatch) -> Path:
    """A pipeline that ran; the entry of DVC's cache of its first output."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("dvc.yaml", PIPELINE), ("write.py", WRITE), ("read.py", READ)):
        Path(name).write_text(text)
    dvc("init", "--no-scm")
    dvc("config", "cache.type", "reflink,hardlink,symlink,copy")  # as in this repository
    ran = dvc("repro")
    assert ran.returncode == 0, ran.stderr
    (entry,) = (path for path in Path(".dvc/cache/files/md5").rglob("*") if _holds(path, b"face,"))
    return entry


def _holds(path: Path, text: bytes) -> bool:
    return path.is_file() and path.read_bytes().startswith(text)


def rot(path: Path, at: int) -> None:
    """Turn a bit over as a disk does: times and permissions stay."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[at] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(stat.st_mode)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def noticed_when_it_is_read(entry: Path, at: int) -> bool:
    """What DVC takes out of a damaged cache is refused by the stage that reads it, and mended."""
    whole = Path("rows.txt").read_bytes()
    rot(entry, at)
    Path("data/split.csv").unlink()
    Path("rows.txt").unlink()
    Path("read.py").write_text(Path("read.py").read_text() + "#\n")
    refused = dvc("repro")
    if refused.returncode == 0 or Path("rows.txt").exists():
        return False
    (line,) = [text for text in refused.stderr.splitlines() if text.startswith("error: data/")]
    assert "is not what made wrote, by its hash in dvc.lock: it is damaged" in line
    mend = line.split("`")[1].split(" && ")[0]
    assert mend == f"rm -r data/split.csv {entry}"
    subprocess.run(mend.split(), check=True)
    mended = dvc("repro")
    assert mended.returncode == 0, mended.stderr
    return Path("rows.txt").read_bytes() == whole


def test_a_damaged_entry_of_dvcs_cache(pipeline):
    assert noticed_when_it_is_read(pipeline, 500)


@pytest.mark.faults
def test_many_damaged_entries_of_dvcs_cache(pipeline):
    size = pipeline.stat().st_size
    found = Counter(
        "noticed, mended" if noticed_when_it_is_read(pipeline, number * size // CACHED) else "lost"
        for number in range(CACHED)
    )
    title = "Corrupted data: entries of DVC's cache, checked out, read, mended as the message says"
    record.write(title, {"data/split.csv": found})
    assert record.survived(found)
