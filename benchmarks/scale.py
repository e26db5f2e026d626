"""What a core does in a second, and what that makes of a million, 100 million, 5 billion faces.

    python benchmarks/scale.py measure UTKFace.tar    writes benchmarks/scale.json
    python benchmarks/scale.py derive                 writes the table of docs/scale.md from it

Measured in seconds of the processor and in one thread, so that other work on the machine counts
little; several cores share caches and memory, so that so many of them do less than so many times as
much. What a stage holds in memory for a face comes from benchmarks/ray_ingest.json.
"""

import json
import os
import sys
import tarfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # read when the libraries below are loaded
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import torch
from ray_ingest import FOUND as RAY
from ray_ingest import ingest
from speed_work import ROOT

from faceage.core import images
from faceage.data import duplicates
from faceage.data.image_records import ImageRecord, read_record
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks import saved_model
from faceage.networks.faces import to_input

FOUND, PAGE = ROOT / "benchmarks/scale.json", ROOT / "docs/scale.md"
MARKS = "<!-- scale -->", "<!-- end of scale -->"
SIZES = {"1M": 1e6, "100M": 1e8, "5B": 5e9}
EPOCHS, TRAINED = 12, 0.7  # of the recipe faceage, and the share of the faces that is learned from
# Assumed, and not looked up: what an hour of a core costs, and a GB in an object store for a month.
CORE_HOUR, GB_MONTH = 0.04, 0.02
CELL = 136  # bytes of an image in the index: 64 numbers of 2 bytes, and its own of 8
SEARCHED = (5_000, 10_000, 20_000)
FACES, STEPS, BATCH = 2_000, 20, 32


def main() -> None:
    """Measure, or derive."""
    match sys.argv[1:]:
        case ["measure", utkface]:
            FOUND.write_text(json.dumps(measured(Path(utkface).resolve()), indent=2) + "\n")
        case ["derive"]:
            before, after = PAGE.read_text().split(MARKS[0])
            tail = after.split(MARKS[1])[1]
            PAGE.write_text(f"{before}{MARKS[0]}\n{table()}{MARKS[1]}{tail}")
        case _:
            sys.exit(__doc__)


def table() -> str:
    """The table of docs/scale.md, from what was measured last."""
    on_ray = json.loads(RAY.read_text()) if RAY.exists() else {}
    return derived(json.loads(FOUND.read_text()), on_ray)


def measured(utkface: Path) -> dict[str, Any]:
    """Rates in faces a second of one core, seconds of the search, bytes of a face."""
    contents = read(utkface, max(SEARCHED))
    some = contents[:FACES]
    records: list[Any] = []
    decode = cpu(lambda: records.extend(read_record(one, "never", None) for one in some))
    rest = (read_record(one, "never", None) for one in contents[FACES:])
    prints = [r.fingerprint for r in (*records, *rest) if isinstance(r, ImageRecord)]
    duplicates.EXACT = 0
    searches = {count: partial(duplicates.near_pairs, prints[:count], 0.98) for count in SEARCHED}
    search = {count: cpu(search) for count, search in searches.items()}
    duplicates.PROBED *= 2
    twice = cpu(searches[max(SEARCHED)])
    duplicates.PROBED //= 2
    model = TorchPredictor(ROOT / "pretrained")
    predict = cpu(lambda: model.predict(decoded(some[: FACES // 4], model.side)))
    with TemporaryDirectory() as place:
        ingest(utkface, Path(place) / "work", None)
        faces = Path(place) / "work/data/faces.parquet"
        kept = json.loads((Path(place) / "work/reports/ingest.json").read_text())["kept"]
        stored = faces.stat().st_size / kept
    return {
        "decode": FACES / decode,
        "search": {f"{count}": seconds for count, seconds in search.items()},
        "search in twice the cells": twice,
        "train": STEPS * BATCH / cpu(training(decoded(some[:BATCH], model.side))),
        "predict": FACES // 4 / predict,
        "bytes": {"file": sum(map(len, contents)) / len(contents), "faces.parquet": stored},
    }


def cpu(do: Callable[[], object]) -> float:
    """Seconds of the processor that it takes."""
    start = time.process_time()
    do()
    return time.process_time() - start


def read(utkface: Path, count: int) -> list[bytes]:
    """So many files of the archive, evenly spread."""
    with tarfile.open(utkface) as archive:
        members = [member for member in archive if member.name.endswith(".jpg")]
        chosen = members[:: len(members) // count][:count]
        return [archive.extractfile(member).read() for member in chosen]  # type: ignore[union-attr]


def decoded(contents: list[bytes], side: int) -> np.ndarray:
    """Pixels of faces: uint8 (n, side, side, 3)."""
    return np.stack([images.square(images.decode(content), side) for content in contents])


def training(pixels: np.ndarray) -> Callable[[], None]:
    """Steps of the network in pretrained/, forwards and backwards, of pictures as they are."""
    network = saved_model.load(ROOT / "pretrained")[0].first.float().train()
    optimizer = torch.optim.AdamW(network.parameters())
    size = network.architecture.img_size

    def steps() -> None:
        for _ in range(STEPS):
            batch = to_input(torch.from_numpy(pixels), size, torch.device("cpu"))
            loss = network(batch).float().logsumexp(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return steps


def derived(found: dict[str, Any], on_ray: dict[str, Any]) -> str:
    """The table, of the contents of scale.json and ray_ingest.json."""
    search = {int(count): seconds for count, seconds in found["search"].items()}
    linear, power, square = law(search, found["search in twice the cells"])
    of_bytes = found["bytes"]

    def hours(rate: float) -> Callable[[float], float]:
        return lambda faces: faces / rate / 3600

    work = {
        f"decoding, at {found['decode']:.0f} faces a second of a core": hours(found["decode"]),
        "search for near-duplicates, part with the number"
        f" ({1e6 * linear:.0f} s a million)": lambda n: linear * n / 3600,
        "search for near-duplicates, part with its power of 1.5"
        f" ({1e9 * power:.0f} s for a million)": lambda n: power * n**1.5 / 3600,
        "search for near-duplicates, part with its square"
        f" ({1e12 * square:.0f} s for a million)": lambda n: square * n**2 / 3600,
        f"training, {EPOCHS} epochs of {TRAINED:.0%}, at {found['train']:.0f} a second": lambda n: (
            n * TRAINED * EPOCHS / found["train"] / 3600
        ),
        f"predicting, at {found['predict']:.0f} a second": hours(found["predict"]),
    }
    disk = {
        f"files, {of_bytes['file']:,.0f} bytes each": of_bytes["file"],
        f"faces.parquet, {of_bytes['faces.parquet']:,.0f} bytes each": of_bytes["faces.parquet"],
    }
    memory = growth(on_ray.get("memory", [])) | {
        f"memory of the index, {CELL} bytes a face": CELL,
    }
    lines = [f"| | {' | '.join(SIZES)} |", f"|---|{'---:|' * len(SIZES)}"]
    for name, each in (disk | memory).items():
        lines.append(row(name, [in_bytes(each * n) for n in SIZES.values()]))
    for name, of in work.items():
        lines.append(row(f"{name}, core-hours", [in_figures(of(n)) for n in SIZES.values()]))
    total = [sum(of(n) for of in work.values()) for n in SIZES.values()]
    lines.append(
        row(f"all hours at $ {CORE_HOUR}", [f"$ {in_figures(CORE_HOUR * t)}" for t in total])
    )
    stored = [sum(disk.values()) * n / 1e9 * GB_MONTH for n in SIZES.values()]
    lines.append(
        row(f"a month of both stored at $ {GB_MONTH} a GB", [f"$ {in_figures(s)}" for s in stored])
    )
    return "\n".join(lines) + "\n"


def growth(measured: list[dict[str, Any]]) -> dict[str, float]:
    """What ingest holds in memory for a face, as a row; none where one source was measured."""
    if len(measured) < 2:
        return {}
    few, *_, many = measured
    held = (many["peak"] - few["peak"]) * 1e9 / (many["files"] - few["files"])
    return {
        f"memory of ingest as it reads, beside {few['peak']:.1f} GB, {held:,.0f} bytes a face": held
    }


def law(seconds: dict[int, float], twice: float) -> tuple[float, float, float]:
    """Seconds of the search for a face, for its power of 1.5 and for its square.

    Of so few faces a cell of the index has `LEARNED`, so the faces of the cells that are looked
    into, beside which an image is held, are as many for each image; of many faces they grow as
    their root does. What one of them takes is told by a search in twice the cells, and taken out of
    the part that grows with the number.

    Parameters
    ----------
    seconds : by the number of faces
    twice : of the largest, where twice the cells are looked into
    """
    counts = np.array(list(seconds), dtype=float)
    terms = np.stack([counts, counts**2], axis=1) / counts[:, None]
    (linear, square), *_ = np.linalg.lstsq(terms, np.array(list(seconds.values())) / counts)
    most, held = max(seconds), duplicates.PROBED * duplicates.LEARNED
    beside = (twice - seconds[most]) / most / held
    return (
        float(linear - held * beside),
        duplicates.PROBED / duplicates.CELLS * beside,
        float(square),
    )


def row(name: str, values: list[str]) -> str:
    """A line of the table."""
    return f"| {name} | {' | '.join(values)} |"


def in_figures(value: float) -> str:
    """Two significant digits, without an exponent."""
    return f"{float(f'{value:.2g}'):,.10g}"


def in_bytes(value: float) -> str:
    """Bytes in GB or TB."""
    return f"{in_figures(value / 1e9)} GB" if value < 1e12 else f"{in_figures(value / 1e12)} TB"


if __name__ == "__main__":
    main()
