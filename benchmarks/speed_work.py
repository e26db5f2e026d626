"""What the measurements of speed share: a folder to work in, processes, ways measured in turns."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from faceage.experiments.recipes import merged

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 5
RECIPE = "faceage"
Found = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """A folder where UTKFace has been ingested and split, and what that was made from."""

    folder: Path
    utkface: Path
    weights: Path

    def use(self, recipe: str) -> None:
        """Write the params.yaml of a recipe."""
        change = {"data": {"source": str(self.utkface)}, "weights": str(self.weights)}
        write_params(self.folder, change, recipe)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A script of ours, in the folder."""
        return run(self.folder, *command)


@contextmanager
def prepared(utkface: Path, weights: Path) -> Iterator[Work]:
    """Go to a temporary folder with the recipe's params.yaml, faces.parquet and split.csv."""
    with TemporaryDirectory() as place:
        work = Work(Path(place), utkface, weights)
        work.use(RECIPE)
        link_code(work.folder)
        for stage in ("ingest", "split"):
            work.run(f"src/{stage}.py")
        with chdir(work.folder):
            yield work


def link_code(folder: Path) -> None:
    """A folder to work in, with this repository's code and what its stages depend on."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("src", "dvc.yaml"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)


def write_params(folder: Path, change: Mapping[str, Any], recipe: str | None = RECIPE) -> None:
    """params.yaml with a recipe, or none, and what is to be changed, logging nothing."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    keys = yaml.safe_load((ROOT / f"recipes/{recipe}.yaml").read_text()) if recipe else {}
    for layer in (keys, {"tracking": False}, dict(change)):
        params = merged(params, layer)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a Python script, which has to end well; paths are of the repository or absolute."""
    script, *arguments = command
    return subprocess.run(
        [sys.executable, str(ROOT / script), *arguments],
        cwd=folder,
        env=environment(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )


def environment() -> dict[str, str]:
    """That of this process, but for the repository that DVC runs it in."""
    return {name: value for name, value in os.environ.items() if name != "DVC_ROOT"}


def last_line(done: subprocess.CompletedProcess[str]) -> Found:
    """The JSON object that a script printed last."""
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def timed(do: Callable[[], object]) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def in_turns(
    ways: Mapping[str, Callable[[], object]], rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """Seconds of each way in each round; every other round goes backwards, after one uncounted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for do in ways.values():
        do()
    for number in range(rounds):
        order = list(ways) if number % 2 == 0 else list(ways)[::-1]
        for name in order:
            seconds[name].append(timed(ways[name]))
    return seconds


def ratio(above: list[float], below: list[float]) -> Found:
    """Median of the ratios of the rounds, the smallest and the largest; seconds of both."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return {
        "ratio": statistics.median(ratios),
        "smallest": min(ratios),
        "largest": max(ratios),
        "seconds": [statistics.median(above), statistics.median(below)],
        "rounds": len(ratios),
    }
