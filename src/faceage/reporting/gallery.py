"""The faces that the report shows: picked, decoded, and laid out on sheets."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from faceage.core import images, tables
from faceage.explanation import heatmaps, selection
from faceage.reporting.labels import NOT_GIVEN, plural, signed
from faceage.reporting.results import Results
from faceage.reporting.themes import WIDTH, Theme

SAMPLES = 18
WORST = 24
TYPICAL = 12
LABEL_ISSUES = 100
OUTLIERS = 24
COLUMNS = 6
SIDE = 144  # pixels of a face in the report
JPEG_QUALITY = 85


@dataclass(frozen=True)
class Face:
    """A face as it is shown: pixels, uint8 (SIDE, SIDE, 3), and what stands below it."""

    path: str
    pixels: np.ndarray
    caption: str
    note: str

    def jpeg(self) -> bytes:
        """The face as a small JPEG file."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
        return buffer.getvalue()


@dataclass(frozen=True)
class Gallery:
    """Samples of the data, the worst and typical predictions, and where the network looked.

    label_issues: faces whose labels are probably wrong; outliers: those furthest from all others;
    saliency: for "worst" and "typical" each face followed by itself under its map; may be empty.
    """

    samples: list[Face]
    label_issues: list[Face]
    outliers: list[Face]
    worst: list[Face]
    typical: list[Face]
    saliency: dict[str, list[Face]]


def choose(found: Results) -> Gallery:
    """Pick and decode all faces that are shown; samples only where there are no ages."""
    outliers = _outliers(found.label_issues)
    if not found.has_ages:
        return Gallery(_samples(found.people), [], outliers, [], [], {})
    typical = selection.typical(found.predictions, TYPICAL).sort_values(["age", "face"])
    return Gallery(
        samples=_samples(found.people),
        label_issues=_label_issues(found.label_issues) if found.has_label_issues else [],
        outliers=outliers,
        worst=_predicted(selection.worst(found.predictions, WORST)),
        typical=_predicted(typical),
        saliency=_explained(found.predictions, found.saliency),
    )


def sheet(faces: Sequence[Face], title: str, theme: Theme) -> Figure:
    """Contact sheet: under each face what is to be known of it."""
    cell, head, lines, gap = WIDTH / COLUMNS, 0.35, 0.3, 0.05  # inches
    height = head + -(-len(faces) // COLUMNS) * (cell + lines)
    figure = Figure(figsize=(WIDTH, height))
    figure.text(gap / WIDTH, 1 - 0.1 / height, title, va="top", fontsize=10.5)
    for place, face in enumerate(faces):
        row, column = divmod(place, COLUMNS)
        left, bottom = column * cell + gap, height - head - row * (cell + lines) - cell + gap
        side = cell - 2 * gap
        axes = figure.add_axes((left / WIDTH, bottom / height, side / WIDTH, side / height))
        axes.set_axis_off()
        axes.imshow(face.pixels, interpolation="lanczos")
        middle: dict[str, Any] = {"ha": "center", "va": "top", "transform": axes.transAxes}
        axes.text(0.5, -0.04, face.caption, fontsize=7, **middle)
        axes.text(0.5, -0.16, face.note, fontsize=7, color=theme.faint, **middle)
    return figure


def map_colors() -> list[str]:
    """Colours of a saliency map from little to much, for its legend."""
    return [to_hex(heatmaps.COLORS(share)) for share in np.linspace(0, 1, 6)]


def _samples(people: pd.DataFrame) -> list[Face]:
    """Every so many faces of all, sorted by age: what the data look like, from young to old."""
    ordered = people.sort_values(["age", "age_class", "face"])
    places = np.linspace(0, len(ordered) - 1, min(SAMPLES, len(ordered))).round().astype(int)
    rows = ordered.iloc[places]
    pixels = _pixels(rows["face"])
    return [
        Face(row["path"], pixels[row["face"]], _age(row), _who(row)) for _, row in rows.iterrows()
    ]


def _age(row: Mapping[str, Any]) -> str:
    given = plural(int(row["age"]), "years") if pd.notna(row["age"]) else row["age_class"]
    return str(given)


def _who(row: Mapping[str, str]) -> str:
    given = [row[label] for label in ("gender", "race") if row[label] != NOT_GIVEN]
    return ", ".join(given) or "no other label"


def _label_issues(label_issues: pd.DataFrame) -> list[Face]:
    rows = label_issues.head(LABEL_ISSUES)
    pixels = _pixels(rows["face"])
    return [
        Face(
            path=row["path"],
            pixels=pixels[row["face"]],
            caption=f"labelled {row['age']:.0f}",
            note=f"predicted {row['predicted']:.0f}",
        )
        for _, row in rows.iterrows()
    ]


def _outliers(label_issues: pd.DataFrame) -> list[Face]:
    rows = label_issues.sort_values(["outlier_score", "face"], ascending=[False, True]).head(
        OUTLIERS
    )
    pixels = _pixels(rows["face"])
    return [
        Face(
            path=row["path"],
            pixels=pixels[row["face"]],
            caption=f"{row['outlier_score']:.1f} times",
            note="the mean",
        )
        for _, row in rows.iterrows()
    ]


def _predicted(rows: pd.DataFrame) -> list[Face]:
    pixels = _pixels(rows["face"])
    return [
        Face(
            path=row["path"],
            pixels=pixels[row["face"]],
            caption=f"{row['age']} → {row['predicted']:.0f}",
            note=signed(row["error"], decimals=0),
        )
        for _, row in rows.iterrows()
    ]


def _explained(predictions: pd.DataFrame, saliency: pd.DataFrame) -> dict[str, list[Face]]:
    explained: dict[str, list[Face]] = {}
    for kind, maps in saliency.groupby("kind", sort=False):
        rows = predictions.set_index("face", drop=False).loc[maps["face"]]
        pairs = zip(_predicted(rows), maps["attribution"], strict=True)
        explained[str(kind)] = [
            shown for face, attribution in pairs for shown in (face, _under_map(face, attribution))
        ]
    return explained


def _under_map(face: Face, attribution: bytes) -> Face:
    """The face under its saliency map, a grey PNG of the face's own aspect."""
    strength = images.square(images.decode(attribution), SIDE)[..., 0]
    return replace(face, pixels=heatmaps.over(face.pixels, strength), caption="saliency", note="")


def _pixels(faces: pd.Series) -> dict[str, np.ndarray]:
    return {
        face: images.square(images.decode(content), SIDE)
        for face, content in tables.image_bytes(faces)
    }
