"""Thousands of hostile files through ingest, predict and the server: each is accounted for."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hostile
import pytest
import record
import requests
from conftest import ROOT, edit_params
from local_server import write_model

from faceage.core import tables
from faceage.core.image_files import is_leftover
from faceage.data.candidates import printable
from faceage.inference import image_files

FEW, THROUGH_INGEST, THROUGH_USE = 100, 5000, 2000
MEMORY = 2 * 2**30  # bytes
ENVIRONMENT = {key: text for key, text in os.environ.items() if not key.startswith("DVC_")}


class Ended:
    """A script that has ended: exit status, output, and the most memory that it held (bytes)."""

    def __init__(self, name: str, *options: str) -> None:
        command = [sys.executable, str(ROOT / "src" / f"{name}.py"), *options]
        with Path(f"{name}.out").open("w+b") as out, Path(f"{name}.err").open("w+b") as err:
            process = subprocess.Popen(command, stdout=out, stderr=err, env=ENVIRONMENT)
            self.memory = 0
            while process.poll() is None:
                self.memory = max(self.memory, peak(process.pid))
                time.sleep(0.05)
        self.status = process.returncode
        self.out, self.err = (Path(f"{name}.{end}").read_bytes().decode() for end in ("out", "err"))


def peak(pid: int) -> int:
    """Most memory that a process has held, in bytes; 0 where it has ended.

    What wait4 says of a child begins with the memory of the process that it was forked from.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def ingested(workspace: Path, count: int, seed: int) -> tuple[Counter[str], int]:
    """Outcomes of the files, by reason, and the memory that it took."""
    there = hostile.write(workspace / "hostile", count, seed)
    edit_params({"data.source": "hostile", "data.layout": "utkface", "data.min_kept": 0.01})
    ended = Ended("ingest")
    assert ended.status == 0, ended.err[-2000:]
    assert "Traceback" not in ended.err
    names = [
        os.path.relpath(os.path.join(folder, file), "hostile")
        for folder, _, files in os.walk("hostile")
        for file in files
    ]
    assert len(names) == there
    kept, rejected = tables.read_faces()["path"], tables.read_rejected()
    accounted = Counter([*kept, *rejected["path"]])
    expected = Counter(printable(name) for name in names if not is_leftover(name))
    assert accounted == expected, "each once"
    assert not Path("x").exists()
    return Counter({"kept": len(kept), **rejected["reason"].value_counts().to_dict()}), ended.memory


def predicted(workspace: Path, count: int, seed: int) -> tuple[Counter[str], int]:
    hostile.write(workspace / "hostile", count, seed)
    model = write_model(workspace)
    ended = Ended("predict", "--csv", "--model", str(model), "hostile")
    assert ended.status == 1, ended.err[-2000:]
    assert "Traceback" not in ended.err
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    expected = {file.name for file in image_files.find(["hostile"])}
    assert {row["path"] for row in rows} == expected
    by_path = {row["path"]: row["error"].split(":")[0] or "predicted" for row in rows}
    return Counter(by_path.values()), ended.memory


@contextmanager
def server(model: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    command = [sys.executable, str(ROOT / "src/serve.py"), "--port", "0", "--model", str(model)]
    with Path("serve.err").open("wb") as err:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, env=ENVIRONMENT)
    assert process.stdout
    try:
        address = re.search(r"http://[\d.:]+", process.stdout.readline().decode())
        assert address, Path("serve.err").read_text()
        yield address[0], process
    finally:
        process.kill()
        process.stdout.close()


def served(workspace: Path, count: int, seed: int) -> tuple[Counter[str], int]:
    model = write_model(workspace)
    statuses: Counter[str] = Counter()
    with server(model) as (address, process), requests.Session() as session:
        for number, (kind, content) in enumerate(hostile.contents(count, seed)):
            path = "saliency" if number % 10 == 9 else "predict"
            assert process.poll() is None, (
                kind,
                number,
                process.returncode,
                Path("serve.err").read_text()[-2000:],
            )
            answer = session.post(f"{address}/v1/{path}", data=content, timeout=120)
            assert answer.status_code in (200, 413, 422), (kind, answer.status_code)
            if answer.status_code != 200:
                assert answer.json()["detail"], kind
            statuses[f"status {answer.status_code}"] += 1
        assert session.get(f"{address}/health", timeout=10).status_code == 200
        memory = peak(process.pid)
        process.send_signal(signal.SIGINT)
        process.wait()
    assert process.returncode == 0
    assert "Traceback" not in Path("serve.err").read_text()
    return statuses, memory


THROUGH = {"ingest": ingested, "predict": predicted, "server": served}


@pytest.mark.parametrize("what", THROUGH)
def test_a_hundred_hostile_files(workspace, what):
    outcomes, memory = THROUGH[what](workspace, FEW, 0)
    assert len(outcomes) > 1
    assert memory < MEMORY


@pytest.mark.faults
@pytest.mark.parametrize("what", THROUGH)
def test_thousands_of_hostile_files(workspace, what):
    count = THROUGH_INGEST if what == "ingest" else THROUGH_USE
    start = time.monotonic()
    outcomes, memory = THROUGH[what](workspace, count, 1)
    minutes = (time.monotonic() - start) / 60
    record.write(
        f"Bad input at scale: through {what}",
        {what: outcomes},
        f"At most {memory / 2**20:,.0f} MiB of memory, {minutes:.1f} minutes.",
    )
    assert memory < MEMORY
