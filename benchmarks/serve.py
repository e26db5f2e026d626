"""serve.py on this machine: the webcam's rate on the page, and many clients at once.

    python benchmarks/serve.py [--model models]

Starts the server; has headless Chromium show its page to a camera that is a film of 640x480 with a
drawn face, and reads the rate off the page once a second; then has 50 clients, each with a
connection of its own, ask one picture after the other. Prints Markdown tables.
"""

import argparse
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import browser
import numpy as np
import requests
from PIL import Image

from faceage.core import images
from faceage.core.utkface import Labels
from faceage.sample.synthetic import draw_face

PROGRAM = Path(__file__).parents[1] / "src/serve.py"
WARM_UP, WATCHED = 6, 20  # seconds
CLIENTS, PICTURES = 50, 20  # each client asks so many


def main() -> None:
    """Serve, watch the page, send the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("models"))
    face = draw_face(Labels(40, 0, 1), 200, random.Random(0))
    scene = Image.new("RGB", (640, 480), (120, 130, 140))
    scene.paste(face, (220, 140))
    with serving(parser.parse_args().model) as address:
        model = requests.get(f"{address}/v1/model", timeout=5).json()
        print(f"{model['name']} at {model['img_size']} px, {os.cpu_count()} cores\n")
        rates = webcam(address, images.encode(scene))
        print("| webcam, pictures a second on the page | |\n|---|---:|")
        print(f"| median of {len(rates)} seconds | {statistics.median(rates):.0f} |")
        print(f"| lowest | {min(rates)} |\n")
        print(f"| {CLIENTS} clients at once | pictures a second | median, ms | p95, ms | errors |")
        print("|---|---:|---:|---:|---:|")
        print(row("photographs of 640x480 with a face", address, images.encode(scene)))
        print(row("aligned faces of 200x200", address, images.encode(face), "never"))


@contextmanager
def serving(model: Path) -> Iterator[str]:
    """Start serve.py, yield its address, end it."""
    command = [sys.executable, str(PROGRAM), "--port", "0", "--model", str(model)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address, "the server did not start"
        try:
            yield address[0]
        finally:
            process.send_signal(signal.SIGINT)


def webcam(address: str, frame: bytes) -> list[int]:
    """Pictures a second, as the page shows them from second to second."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        film = Path(folder) / "camera.mjpeg"
        film.write_bytes(2 * frame)
        flags = [
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={film}",
        ]
        rates = []
        with browser.chromium(Path(folder) / "profile", flags) as page:
            page.open(address, 1280)
            page.evaluate("document.getElementById('webcam').click()")
            time.sleep(WARM_UP)
            for _ in range(WATCHED):
                time.sleep(1)
                rates.append(page.evaluate("parseInt(document.getElementById('rate').textContent)"))
    return rates


def row(kind: str, address: str, picture: bytes, detect: str = "auto") -> str:
    """All clients at once: a row of the table."""

    def client(_: int) -> list[tuple[float, bool]]:
        answers = []
        with requests.Session() as session:
            for _ in range(PICTURES):
                start = time.perf_counter()
                url = f"{address}/v1/predict?detect={detect}"
                answer = session.post(url, picture, timeout=60)
                fine = answer.status_code == 200 and len(answer.json()["faces"]) == 1
                answers.append((time.perf_counter() - start, fine))
        return answers

    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = [answer for own in clients.map(client, range(CLIENTS)) for answer in own]
    rate = len(answers) / (time.perf_counter() - start)
    seconds = [1000 * second for second, _ in answers]
    errors = sum(not fine for _, fine in answers)
    median, p95 = np.percentile(seconds, [50, 95])
    return f"| {kind}, {len(answers):,} | {rate:.0f} | {median:.0f} | {p95:.0f} | {errors} |"


if __name__ == "__main__":
    main()
