"""How far ages jump in a film of one person, as they are predicted and smoothed.

    python benchmarks/film.py [--model models]

Draws films of ten seconds at 25 frames a second, each of one person who sways, nods and tilts the
head before a camera with noise, in light that flickers (tests/drawn_film.py), and predicts them as
predict.py does. Prints a Markdown table.
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import drawn_film
import pandas as pd

from faceage.detection import crops
from faceage.inference import film_prediction, films
from faceage.inference.image_files import PhotoFile
from faceage.inference.torch_predictor import TorchPredictor

AGES = (10, 25, 40, 55, 70)
SECONDS, FPS = 10, 25


def main() -> None:
    """Draw and predict a film of each person."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("models"))
    model = TorchPredictor(parser.parse_args().model)
    architecture = model.network.architecture
    print(f"{architecture.model} at {architecture.img_size} px, {films.FPS:g} frames a second\n")
    print("| drawn person of | standard deviation, years | smoothed | largest step | smoothed |")
    print("|---|---:|---:|---:|---:|")
    for age in AGES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "film.mp4"
            drawn_film.write(path, drawn_film.one_person(age, SECONDS, FPS), FPS)
            find = partial(crops.find, mode="always", side=model.side)
            rows = pd.DataFrame(film_prediction.rows(PhotoFile(path), find, model, films.FPS))
        assert rows["error"].isna().all() and set(rows["track"]) == {1}
        ages = rows[["age", "smoothed_age"]]
        spread, step = ages.std(), ages.diff().abs().max()
        shown = (*spread, *step)
        print(f"| {age} | " + " | ".join(f"{value:.2f}" for value in shown) + " |")


if __name__ == "__main__":
    main()
