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

from faceage.core.params import IngestParams, load
from faceage.data import duplicates, ingest_cache


def main() -> None:
    """Read the fingerprints, time the search."""
    data = load(IngestParams).data
    pictures = ingest_cache.load(data).records.pictures
    images = pictures.fingerprints(np.arange(len(pictures)))
    start = time.perf_counter()
    pairs = duplicates.near_pairs(images, data.near_duplicate)
    seconds = time.perf_counter() - start
    print(json.dumps({"images": len(images), "pairs": len(pairs), "seconds": seconds}))


if __name__ == "__main__":
    main()
