"""Near-duplicates of a source: how many, how long it takes, and pairs of them to look at.

    python benchmarks/duplicates.py UTKFace.tar SHEET.png

Decodes, searches, searches again for 100 images more, and with the index that is for more than
50,000 images; prints a Markdown table. For comparison the clusters are counted that the plain
correlation of small grey crops gives, and which of them are within one of ours. SHEET.png gets 100
random pairs side by side, for judging them by eye: put it outside any repository, because it shows
photographs of people.
"""

import random
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
from command_line import asked
from PIL import Image

from faceage.core import images
from faceage.core.params import IngestParams, load
from faceage.core.script import run
from faceage.data import duplicates, ingest_cache, ingestion, origins
from faceage.data.identities import same_person
from faceage.data.ingest_cache import IngestCache
from faceage.data.records import Records
from faceage.data.sources import open_source

PAIRS, ACROSS, GAP, NEW = 100, 10, 8, 100
# The plain comparison: what is cut off at each border, in shares; pixels; correlation.
CUT, SIDE, ALIKE = 0.12, 32, 0.98


def main() -> None:
    """Time the search, count what it joins, draw pairs."""
    source, sheet = asked(__doc__, "source", "sheet")
    params = load(IngestParams)
    data = params.data.model_copy(update={"source": source})
    start = time.perf_counter()
    with origins.opened(data, params.groupings) as origin:
        found, _ = ingestion.inspect(origin, Records.none())
    decoded = time.perf_counter()
    seen = ingest_cache.compare(found.records, IngestCache(), data)
    searched = time.perf_counter()
    known = found.records.only(np.arange(len(found.records) - NEW))
    earlier = IngestCache(known, known.row_of.only(seen.near), compared=True)
    ingest_cache.compare(found.records, earlier, data)
    added = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    pictures = found.records.pictures
    prints = pictures.fingerprints(np.arange(len(pictures)))
    duplicates.EXACT = 0
    with_index = len(duplicates.near_pairs(prints, data.near_duplicate))
    indexed = time.perf_counter()

    joined = found.records.row_of(seen.near)
    clusters = duplicates.connected(len(found.records), joined)
    ours = clusters[found.column("record")]
    sizes = np.bincount(ours)
    with open_source(source) as files:
        plain = _plainly_alike([files.read(candidate.path) for candidate in found])
    theirs = duplicates.connected(len(found), plain)
    split = np.unique(theirs[plain[ours[plain[:, 0]] != ours[plain[:, 1]], 0]])
    theirs = np.bincount(theirs)
    print(f"| {len(found):,} labelled files, {len(found.records):,} contents | |")
    print("|---|---:|")
    print(f"| decoding | {decoded - start:.1f} s |")
    print(f"| search | {searched - decoded:.1f} s |")
    print(f"| search again, {NEW} images being new | {added - searched:.1f} s |")
    print(f"| largest memory | {peak:.1f} GiB |")
    print(f"| clusters of two files or more, copies included | {(sizes > 1).sum():,} |")
    print(f"| files in them | {sizes[sizes > 1].sum():,} |")
    print(f"| pairs of near-duplicates of different content | {len(joined):,} |")
    print(f"| found with the index instead, in {indexed - added:.1f} s | {with_index} |")
    print(f"| clusters by plain correlation at {ALIKE} | {(theirs > 1).sum():,} |")
    print(f"| files in them | {theirs[theirs > 1].sum():,} |")
    print(f"| of these clusters not within one of ours | {len(split)} |")
    chosen = random.Random(0).sample(range(len(joined)), min(PAIRS, len(joined)))
    _draw(found.records.fingerprints(joined[chosen].ravel())[:], sheet)


def _plainly_alike(contents: list[bytes]) -> np.ndarray:
    """Pairs of files, int (pairs, 2), whose middles correlate."""
    small = np.empty((len(contents), SIDE, SIDE), dtype=np.float32)
    for row, content in enumerate(contents):
        grey = images.decode(content).convert("L")
        box = (CUT * grey.width, CUT * grey.height, *((1 - CUT) * length for length in grey.size))
        small[row] = grey.resize((SIDE, SIDE), Image.Resampling.BOX, box)
    flat = small.reshape(len(small), -1)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    return same_person(flat, ALIKE)


def _draw(faces: np.ndarray, sheet: str) -> None:
    side = duplicates.SIDE
    wide = 2 * side + GAP
    picture = Image.new("L", (ACROSS * wide, -(-len(faces) // 2 // ACROSS) * (side + GAP)), 255)
    for number, face in enumerate(faces):
        row, column = divmod(number // 2, ACROSS)
        place = (column * wide + number % 2 * side, row * (side + GAP))
        picture.paste(Image.fromarray(face), place)
    picture.save(sheet)


if __name__ == "__main__":
    run(main)
