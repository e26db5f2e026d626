"""Which library streams faces so that a training that is killed goes on exactly: a table.

    python benchmarks/streaming_libraries.py FACES

FACES is the faces.parquet of a run, one file. They are written as shards, read through a shuffle
buffer up to the middle of an epoch, and the rest by a new reader that is given the first one's
state. A library that is not installed is left out; with ours compared are

    pip install datasets==5.2.0
    pip install mosaicml-streaming==0.13.0     # asks for numpy < 2.2 and huggingface-hub < 1
"""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from command_line import asked

from faceage.core import tables
from faceage.core.shards import Shards
from faceage.networks import streaming
from faceage.networks.streaming import Places, StreamedPixels

os.environ["HF_HUB_OFFLINE"] = "1"
SHARD, BUFFER, BATCH, SEED = 500, 1024, 32, 0
# A reader that begins anew, or where the state of another one says: hashes, and its state.
Reader = tuple[Iterator[str], Callable[[], Any]]
Open = Callable[[Any], Reader]


def main() -> None:
    """Print what was found, as a table and as JSON."""
    (faces,) = asked(__doc__, "faces")
    rows = pq.read_table(faces).to_pylist()
    names = {str(row["face"]) for row in rows}
    found = []
    with TemporaryDirectory() as place, chdir(place):
        tables.write_faces(iter(rows), SHARD)
        for package, opened in (
            ("faceage", ours),
            ("datasets", hugging_face),
            ("mosaicml-streaming", mosaic),
        ):
            try:
                found.append({"package": package, **about(package), **measured(opened, names)})
            except ImportError as error:
                print(f"{package} is left out: {error}")
    print("| | version | asks for | faces/s | twice | never | state, bytes | to the next face, s |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for line in found:
        print(
            f"| {line['package']} | {line['version']} | {line['asks_for']} | {line['speed']:.0f}"
            f" | {line['twice']} | {line['never']} | {line['state_bytes']}"
            f" | {line['resumed_after']:.2f} |"
        )
    print(json.dumps(found))


def about(package: str) -> dict[str, Any]:
    """Version and number of required packages."""
    try:
        needed = [line for line in requires(package) or [] if "extra ==" not in line]
        return {"version": version(package), "asks_for": len(needed)}
    except PackageNotFoundError:
        return {"version": "here", "asks_for": 0}


def measured(opened: Open, names: set[str]) -> dict[str, Any]:
    """Read an epoch in two parts, by two readers; and one as a whole, for its speed."""
    half = len(names) // 2 // BATCH * BATCH
    reader, state_of = opened(None)
    seen = Counter(next(reader) for _ in range(half))
    state = json.loads(json.dumps(state_of()))
    del reader
    start = time.perf_counter()
    reader, _ = opened(state)
    seen[next(reader)] += 1
    resumed_after = time.perf_counter() - start
    seen.update(reader)
    start = time.perf_counter()
    reader, _ = opened(None)
    count = sum(1 for _ in reader)
    return {
        "faces": len(names),
        "twice": sum(times > 1 for times in seen.values()),
        "never": len(names - seen.keys()),
        "speed": count / (time.perf_counter() - start),
        "state_bytes": len(json.dumps(state)),
        "resumed_after": resumed_after,
    }


def ours(state: Any) -> Reader:
    """The order and the read-ahead of `StreamedPixels`; nothing is decoded, as in the others."""
    streaming.BUFFER = BUFFER
    shards = Shards(tables.FACES)
    groups = [
        (number, group)
        for number in range(len(shards))
        for group in range(shards.footer(number).num_row_groups)
    ]
    sizes = [shards.footer(number).row_group(group).num_rows for number, group in groups]
    places = Places(
        np.array(groups),
        np.repeat(np.arange(len(groups)), sizes),
        np.concatenate([np.arange(size) for size in sizes]),
    )
    names = np.array(tables.read_faces()["face"])
    pixels = StreamedPixels(shards, places, 1, 1)
    pixels._batch = lambda rows, read: [  # type: ignore[method-assign, assignment, return-value]
        read[places.group[row]].result()[int(places.row[row])].as_py() and names[row]
        for row in rows.tolist()
    ]
    sizes = [len(rows) for rows in torch.arange(len(names)).split(BATCH)]
    order = pixels.order(torch.Generator().manual_seed(SEED), sizes)
    batches = list(order.split(BATCH))[state or 0 :]
    pixels.read_ahead(batches)
    taken = state or 0

    def faces() -> Iterator[str]:
        nonlocal taken
        for rows in batches:
            taken += 1
            yield from pixels[rows]  # type: ignore[misc]

    return faces(), lambda: taken


def hugging_face(state: Any) -> Reader:
    """An IterableDataset over the same shards."""
    import datasets  # noqa: PLC0415 (may be missing)

    datasets.disable_progress_bars()
    files = sorted(str(path) for path in tables.FACES.glob("*.parquet"))
    data = datasets.load_dataset(
        "parquet", data_files=files, split="train", streaming=True, columns=["face", "image"]
    )
    data = data.cast_column("image", datasets.Image(decode=False))
    data = data.shuffle(seed=SEED, buffer_size=BUFFER)
    if state is not None:
        data.load_state_dict(state)
    return (row["face"] for row in data), data.state_dict


def mosaic(state: Any) -> Reader:
    """A StreamingDataset over a copy in its own format."""
    import streaming as mosaicml  # noqa: PLC0415 (may be missing)

    folder = Path("mds")
    if not folder.exists():
        columns = {"face": "str", "image": "bytes"}
        with mosaicml.MDSWriter(out=str(folder), columns=columns, size_limit=1 << 20) as out:
            for face, content in tables.image_bytes(tables.read_faces()["face"]):
                out.write({"face": face, "image": content})
    mosaicml.base.util.clean_stale_shared_memory()
    data = mosaicml.StreamingDataset(
        local=str(folder),
        shuffle=True,
        shuffle_seed=SEED,
        shuffle_block_size=BUFFER,
        batch_size=BATCH,
        num_canonical_nodes=1,
    )
    if state is not None:
        data.load_state_dict(state)
    taken = 0

    def faces() -> Iterator[str]:
        nonlocal taken
        for row in data:
            taken += 1
            yield row["face"]

    return faces(), lambda: data.state_dict(taken, from_beginning=False)


if __name__ == "__main__":
    main()
