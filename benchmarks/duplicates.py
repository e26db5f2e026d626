"""Near-duplicates of a source: how many, how long it takes, and pairs of them to look at.

    python benchmarks/duplicates.py ../shared/data/UTKFace.tar SHEET.png

Decodes, searches, and searches again for 100 images more; prints a Markdown table. SHEET.png gets
100 random pairs side by side, for judging them by eye: put it outside any repository, because it
shows photographs of people.
"""

import random
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
from PIL import Image

from faceage import duplicates, intake, memory, readers
from faceage.memory import Memory
from faceage.params import IngestParams, load
from faceage.sources import open_source

PAIRS, ACROSS, GAP, NEW = 100, 10, 8, 100


def main() -> None:
    """Time the search, count what it joins, draw pairs."""
    source, sheet = sys.argv[1:]
    params = load(IngestParams)
    data = params.data.model_copy(update={"source": source})
    start = time.perf_counter()
    with open_source(source) as files:
        reader = readers.choose(files, data, params.groupings)
        found, _, looks = intake.inspect(files, reader, data, Memory())
    decoded = time.perf_counter()
    seen = memory.compare(looks, Memory(), data)
    searched = time.perf_counter()
    known = dict(list(looks.items())[:-NEW])
    pairs = frozenset(pair for pair in seen.near if known.keys() >= set(pair))
    memory.compare(looks, Memory(known, pairs, frozenset(known)), data)
    added = time.perf_counter()

    numbers = {content: number for number, content in enumerate(seen.looks)}
    joined = np.array([(numbers[a], numbers[b]) for a, b in sorted(seen.near)])
    groups = duplicates.connected(len(numbers), joined)
    sizes = np.bincount([groups[numbers[candidate.face]] for candidate in found])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"| {len(found):,} labelled files, {len(numbers):,} contents | |")
    print("|---|---:|")
    print(f"| decoding | {decoded - start:.1f} s |")
    print(f"| search | {searched - decoded:.1f} s |")
    print(f"| search again, {NEW} images being new | {added - searched:.1f} s |")
    print(f"| largest memory | {peak:.1f} GiB |")
    print(f"| groups of two files or more, copies included | {(sizes > 1).sum():,} |")
    print(f"| files in them | {sizes[sizes > 1].sum():,} |")
    print(f"| pairs of near-duplicates of different content | {len(joined):,} |")
    _draw([looks[content] for pair in _sample(seen) for content in pair], sheet)


def _sample(seen: Memory) -> list[tuple[str, str]]:
    return random.Random(0).sample(sorted(seen.near), min(PAIRS, len(seen.near)))


def _draw(faces: list, sheet: str) -> None:
    side = duplicates.SIDE
    wide = 2 * side + GAP
    picture = Image.new("L", (ACROSS * wide, -(-len(faces) // 2 // ACROSS) * (side + GAP)), 255)
    for number, face in enumerate(faces):
        row, column = divmod(number // 2, ACROSS)
        place = (column * wide + number % 2 * side, row * (side + GAP))
        picture.paste(Image.fromarray(face.fingerprint), place)
    picture.save(sheet)


if __name__ == "__main__":
    main()
