"""The faces whose age was missed by most: picked, decoded, and laid out on one sheet."""

import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from faceage import images, selection, tables
from faceage.labels import plural, signed
from faceage.themes import WIDTH, Theme

SHOWN = 24
COLUMNS = 6
SIDE = 144  # pixels of a face in the report
JPEG_QUALITY = 85


@dataclass(frozen=True)
class Miss:
    """A face, its true and its predicted age in years, and its pixels: uint8 (side, side, 3)."""

    path: str
    age: int
    predicted: float
    pixels: np.ndarray

    @property
    def ages(self) -> str:
        """True and predicted age."""
        return f"{self.age} → {self.predicted:.0f}"

    @property
    def error(self) -> str:
        """Predicted minus true age, with its sign."""
        return signed(self.predicted - self.age, decimals=0)

    def jpeg(self) -> bytes:
        """The face as a small JPEG file."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
        return buffer.getvalue()


def worst(predictions: pd.DataFrame) -> list[Miss]:
    """The `SHOWN` faces with the largest absolute errors, or all if there are fewer.

    Parameters
    ----------
    predictions : predictions.csv
    """
    ranked = selection.worst(predictions, SHOWN)
    pixels = {
        face: images.square(images.decode(content), SIDE)
        for face, content in tables.image_bytes(ranked["face"])
    }
    return [
        Miss(row["path"], int(row["age"]), float(row["predicted"]), pixels[row["face"]])
        for _, row in ranked.iterrows()
    ]


def sheet(misses: list[Miss], faces: str, theme: Theme) -> Figure:
    """Contact sheet: under each face the true and the predicted age and the error in years."""
    rows = -(-len(misses) // COLUMNS)
    cell = WIDTH / COLUMNS
    figure = Figure(figsize=(WIDTH, 0.4 + rows * (cell + 0.16)), layout="constrained")
    figure.suptitle(
        f"Largest errors: true → predicted age in years (n = {plural(len(misses), faces)})",
        x=0.012,
        ha="left",
    )
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, miss in zip(panels, misses, strict=False):
        axes.imshow(miss.pixels, interpolation="lanczos")
        middle = {"ha": "center", "va": "top", "transform": axes.transAxes}
        axes.text(0.5, -0.04, f"{miss.ages}  ({miss.error})", fontsize=7.5, **middle)
    return figure
