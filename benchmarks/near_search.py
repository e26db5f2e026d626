"""Search once more, and from nothing, for near-duplicates among what `ingest` has cached.

    python benchmarks/near_search.py

Runs where .ingest/ is. Prints a JSON object: images, pairs that were found, seconds of the search.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
from pyarrow import feather

from faceage.core.params import IngestParams, load
from faceage.data import duplicates


def main() -> None:
    """Read the fingerprints, time the search."""
    (cached,) = Path(".ingest").glob("*.feather")
    prints = feather.read_table(cached, columns=["fingerprint"]).column(0).drop_null().to_pylist()
    side = duplicates.SIDE
    images = np.stack([np.frombuffer(one, np.uint8).reshape(side, side) for one in prints])
    start = time.perf_counter()
    pairs = duplicates.near_pairs(images, load(IngestParams).data.near_duplicate)
    seconds = time.perf_counter() - start
    print(json.dumps({"images": len(images), "pairs": len(pairs), "seconds": seconds}))


if __name__ == "__main__":
    main()
