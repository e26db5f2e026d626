"""predict.py against the model alone: throughput and memory on a folder of crops.

    python benchmarks/predict.py FOLDER [--model models]

FOLDER has 5,000 aligned faces of 200 px, by any names. In turns, three times each: the model on
crops that are decoded already, in batches of 64, and everything that predict.py does, from the file
to the row. Prints a Markdown table with medians.
"""

import argparse
import resource
import statistics
import sys
import time
from functools import partial
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import torch

from faceage.core import images
from faceage.detection import crops
from faceage.inference import batch_prediction, image_files
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks import forward

ROUNDS = 3


def main() -> None:
    """Time both ways in turns; take the peak memory after the first and after all files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", help="5,000 aligned faces")
    parser.add_argument("--model", type=Path, default=Path("models"))
    asked = parser.parse_args()
    model = TorchPredictor(asked.model)
    files = list(image_files.find([asked.folder]))
    find = partial(crops.find, mode="never", side=model.side)

    list(batch_prediction.rows(islice(files, 500), find, model))
    few = peak()
    list(batch_prediction.rows(files, find, model))
    many = peak()
    decoded = [images.square(images.decode(file.read()), model.side) for file in files[:1024]]
    pixels = np.stack(decoded)

    alone, whole = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for batch in np.array_split(pixels, len(pixels) // forward.BATCH):
            model.predict(batch)
        alone.append(len(pixels) / (time.perf_counter() - start))
        start = time.perf_counter()
        count = sum(1 for _ in batch_prediction.rows(files, find, model))
        whole.append(count / (time.perf_counter() - start))
    one, two = statistics.median(alone), statistics.median(whole)
    architecture = model.network.architecture
    print(
        f"{architecture.model} at {architecture.img_size} px, {torch.get_num_threads()} threads\n"
    )
    print("| | faces a second |\n|---|---:|")
    print(f"| the model alone | {one:.0f} |")
    print(f"| predict.py, {len(files):,} files | {two:.0f} |\n")
    print(f"{two / one:.1%} of the model's throughput.")
    print(f"Peak memory after 500 files {few:.0f} MB, after {len(files):,} files {many:.0f} MB.")


def peak() -> float:
    """Largest resident memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main()
