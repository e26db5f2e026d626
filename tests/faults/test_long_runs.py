"""Hours of work: memory stays within 5% after warm-up, no file and no thread is left open."""

import io
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest
import record
import report_inputs
import requests
from conftest import ROOT, edit_params, photo
from drawn_film import SIZE, one_person
from local_server import write_model
from test_hostile_input import ENVIRONMENT, server

EPOCHS, PREDICTIONS = 200, 20_000
# The page shows 20 pictures a second (benchmarks/serve.md): those of an hour, which the server gets
# as fast as it answers. In one of four there is a face.
FRAMES, SCENE = 20 * 3600, 8
SMALL = (SIZE[0] // 4, SIZE[1] // 4)
UNDER_WAY = 2  # as in the page
GROWTH = 1.05


class Held(NamedTuple):
    """What a process holds: memory in kB, open files, threads."""

    memory: int
    files: int
    threads: int


def held(pid: int) -> Held:
    folder = Path(f"/proc/{pid}")
    if not folder.exists():
        pytest.skip("needs /proc, which Linux has")
    memory = re.search(r"VmRSS:\s+(\d+) kB", (folder / "status").read_text())
    assert memory
    count = [len(os.listdir(folder / name)) for name in ("fd", "task")]
    return Held(int(memory[1]), *count)


def remarks(samples: list[Held]) -> tuple[bool, str]:
    """Whether a process holds at the end what it held after the first quarter; in words too."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    memory, files, threads = (
        [median(sample[place] for sample in part) for part in (early, late)]
        for place in range(len(Held._fields))
    )
    flat = memory[1] <= GROWTH * memory[0] and files[1] <= files[0] and threads[1] <= threads[0]
    return flat, (
        f"Second quarter and last: {memory[0] / 1024:,.0f} and {memory[1] / 1024:,.0f} MiB,"
        f" {files[0]:g} and {files[1]:g} open files, {threads[0]:g} and {threads[1]:g} threads."
    )


def keep(what: str, count: int, samples: list[Held], more: str = "") -> None:
    flat, said = remarks(samples)
    outcomes = Counter({"done": count} if flat else {record.LOST: count})
    record.write(f"Long runs: {what}", {what: outcomes}, f"{said}{more}")
    assert flat, said


def epochs_of_a_training(database: Path) -> Iterator[tuple[Held, int]]:
    """After each epoch what the process holds, and the size of MLflow's database in bytes."""
    command = [sys.executable, str(ROOT / "src/train.py")]
    with Path("train.err").open("wb") as err:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=err, text=True, env=ENVIRONMENT
        )
        assert process.stdout
        for line in process.stdout:
            if line.startswith("epoch"):
                yield held(process.pid), database.stat().st_size
        assert process.wait() == 0, Path("train.err").read_text()


@pytest.mark.faults
def test_two_hundred_epochs(workspace, monkeypatch):
    report_inputs.prepare(workspace, monkeypatch, faces=60, test=16)
    edits = {"model": "test_resnet", "tracking": True, "train.img_size": 32}
    edit_params(edits | {"train.epochs": EPOCHS, "train.patience": EPOCHS})
    seen = list(epochs_of_a_training(workspace / "mlflow.db"))
    assert len(seen) == EPOCHS
    sizes = [size for _, size in seen]
    first, second = sizes[EPOCHS // 2] - sizes[0], sizes[-1] - sizes[EPOCHS // 2 - 1]
    growth = (
        f" The database grew by {first / 1024:,.0f} and {second / 1024:,.0f} KiB in the halves."
    )
    keep("epochs of a training", EPOCHS, [state for state, _ in seen], growth)
    assert 0 < second <= 1.2 * first


def ask(address: str, pid: int, picture: Callable[[int], bytes], count: int) -> list[Held]:
    """Send pictures, so many under way at once as the page has; what the server held meanwhile."""
    sessions = [requests.Session() for _ in range(UNDER_WAY)]

    def every_second(start: int) -> None:
        for number in range(start, count, UNDER_WAY):
            answer = sessions[start].post(address, data=picture(number), timeout=120)
            assert answer.status_code == 200, answer.text

    samples: list[Held] = []
    with ThreadPoolExecutor(UNDER_WAY) as threads:
        done = [threads.submit(every_second, start) for start in range(UNDER_WAY)]
        while not all(future.done() for future in done):
            samples.append(held(pid))
            time.sleep(0.2)
        for future in done:
            future.result()
    return samples


@pytest.mark.faults
def test_twenty_thousand_predictions(workspace):
    files = [photo(number, (80, 80)) for number in range(16)]
    with server(write_model(workspace)) as (address, process):
        path = f"{address}/v1/predict?detect=never"
        samples = ask(path, process.pid, lambda number: files[number % 16], PREDICTIONS)
        metrics = requests.get(f"{address}/metrics", timeout=10).text
    assert f"faceage_predictions_total {float(PREDICTIONS)}" in metrics
    keep("predictions through the server", PREDICTIONS, samples)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_an_hour_before_the_webcam(workspace):
    frames = [jpeg(frame) for frame in one_person(40, SCENE / 4, 1)] + [photo(0, SMALL)] * 6
    with server(write_model(workspace)) as (address, process):
        path = f"{address}/v1/predict?detect=always"
        samples = ask(path, process.pid, lambda number: frames[number % SCENE], FRAMES)
        metrics = requests.get(f"{address}/metrics", timeout=10).text
    assert f"faceage_predictions_total {FRAMES / 4}" in metrics
    keep("frames of a webcam", FRAMES, samples)


def jpeg(frame) -> bytes:
    file = io.BytesIO()
    frame.resize(SMALL).save(file, "JPEG")
    return file.getvalue()
