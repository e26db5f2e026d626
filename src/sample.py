"""Stage `sample`: draw the built-in data set of synthetic faces, with some files bad on purpose.

    python src/sample.py

Reads  nothing
Writes data/sample/: exactly sample.faces different faces with UTKFace file names, a near-duplicate
       of every hundredth, and two or more files of every kind that ingest rejects
"""

from faceage.core.command_line import no_options

if __name__ == "__main__":
    no_options(__doc__)

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from faceage.core import processes
from faceage.core.outputs import atomic_folder
from faceage.core.params import SampleParams, load
from faceage.core.progress import bar
from faceage.core.script import run
from faceage.sample.sample_files import bad_files, sample_files

SAMPLE = Path("data/sample")


def main() -> None:
    """Draw every face from a seed of its own, on all cores, and write them beside the bad files."""
    params = load(SampleParams)
    if Path(params.data.source) != SAMPLE:
        SAMPLE.mkdir(parents=True, exist_ok=True)  # an output of the stage, drawn or not
        print(f"nothing drawn: data.source is {params.data.source}")
        return
    count, img_size = params.sample.faces, params.sample.img_size
    draw = partial(draw_files, count, img_size, params.seed)
    with (
        atomic_folder(SAMPLE) as folder,
        # Workers are started anew: a copy of this process, which has threads of libraries by now,
        # may find a lock that nobody will open. And they end with it: they would wait for ever for
        # what a killed process no longer sends.
        ProcessPoolExecutor(
            os.cpu_count(), get_context("spawn"), initializer=processes.end_with_parent
        ) as pool,
    ):
        drawn = pool.map(draw, range(count), chunksize=32)
        for files in bar(drawn, "sample", "face", count):
            for name, content in files:
                (folder / name).write_bytes(content)
        for name, content in bad_files(img_size, params.seed):
            (folder / name).write_bytes(content)
    print(f"drew {count} synthetic faces into data/sample/")


def draw_files(count: int, img_size: int, seed: int, index: int) -> list[tuple[str, bytes]]:
    """Files of one face: for a worker process, which cannot send back a generator."""
    return list(sample_files(count, img_size, seed, index))


if __name__ == "__main__":
    run(main)
