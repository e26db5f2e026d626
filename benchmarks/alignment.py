"""What finding and aligning faces is worth: errors on test faces as they are, and loosened.

    python benchmarks/alignment.py

In a repository whose latest run was on photographs. The ages of 500 faces of the test set are
predicted as they are cut, found and aligned again, and after loosening: turned by up to 30 degrees
and shrunk to between 50% and 80% of the picture, whose borders are repeated. Prints a Markdown
table.
"""

import cmath
import math
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
from PIL import Image

from faceage.core import images, tables
from faceage.core.progress import bar
from faceage.core.script import run
from faceage.detection import crops
from faceage.detection.alignment import Similarity, warp
from faceage.inference.torch_predictor import TorchPredictor

FACES = 500


def main() -> None:
    """Predict each face in four ways."""
    model = TorchPredictor()
    test = tables.read_splits()["test"].sample(FACES, random_state=0)
    rng = random.Random(0)
    contents = dict(tables.image_bytes(test["face"]))
    pictures = [images.decode(contents[face]) for face in test["face"]]
    loose = [loosened(picture, rng) for picture in pictures]
    ages = test["age"].to_numpy(dtype=float)
    print("| | faces found | MAE, years, of those found in both |\n|---|---:|---:|")
    taken = {
        (name, mode): [_largest(picture, mode, model.side) for picture in bar(some, name, "face")]
        for name, some in {"as they are": pictures, "loosened": loose}.items()
        for mode in ("never", "always")
    }
    both = np.all([[cut is not None for cut in cuts] for cuts in taken.values()], axis=0)
    for (name, mode), cuts in taken.items():
        kept = np.stack(
            [cut for cut, use in zip(cuts, both, strict=True) if use and cut is not None]
        )
        error = np.abs(model.predict(kept).age - ages[both]).mean()
        found = np.mean([cut is not None for cut in cuts])
        print(f"| {name}, `--detect {mode}` | {found:.1%} | {error:.2f} |")


def loosened(picture: Image.Image, rng: random.Random) -> Image.Image:
    """The square picture, turned and shrunk into one as large."""
    side = picture.width
    a = cmath.rect(1 / rng.uniform(0.5, 0.8), math.radians(rng.uniform(-30, 30)))
    middle = complex(side, side) / 2
    return Image.fromarray(warp(picture, Similarity(a, middle - a * middle), side))


def _largest(picture: Image.Image, mode: str, side: int) -> np.ndarray | None:
    found = crops.find(picture, mode, side)
    return found[0].pixels if found else None


if __name__ == "__main__":
    run(main)
