"""The two looks of a figure, light and dark, and how it becomes a PNG file.

Colours are those of Okabe & Ito (https://jfly.uni-koeln.de/color/), which stay apart under the
common colour vision deficiencies.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

WIDTH = 6.4  # inches
DPI = 250  # 1600 pixels across: twice the 800 at which a README shows a picture
PHOTOGRAPHS_DPI = DPI // 2  # photographs take five times the space of drawings
PALETTE = 256  # colours of a drawing: a third of the file's size, and no difference to the eye


@dataclass(frozen=True)
class Theme:
    """Colours of one look; `ramp` runs from nothing to much."""

    paper: str
    ink: str
    faint: str
    grid: str
    first: str
    second: str
    ramp: tuple[str, ...]

    def settings(self) -> dict[str, Any]:
        """Matplotlib's rcParams."""
        return {
            "font.family": "DejaVu Sans",
            "font.size": 9.5,
            "text.color": self.ink,
            "figure.facecolor": self.paper,
            "figure.titlesize": 10.5,
            "savefig.facecolor": self.paper,
            "axes.facecolor": self.paper,
            "axes.edgecolor": self.grid,
            "axes.labelcolor": self.faint,
            "axes.titlesize": 10.5,
            "axes.titlelocation": "left",
            "axes.titlepad": 8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": self.grid,
            "grid.linewidth": 0.7,
            "xtick.color": self.grid,
            "ytick.color": self.grid,
            "xtick.labelcolor": self.faint,
            "ytick.labelcolor": self.faint,
            "xtick.major.size": 0,
            "ytick.major.size": 0,
            "lines.linewidth": 1.8,
            "lines.solid_capstyle": "round",
            "legend.frameon": False,
        }

    def shades(self, start: int = 0) -> LinearSegmentedColormap:
        """Sequential colour map along the ramp, without its first `start` colours."""
        return LinearSegmentedColormap.from_list("ramp", self.ramp[start:])


LIGHT = Theme(
    paper="#ffffff",
    ink="#1f2328",
    faint="#59636e",
    grid="#e3e6ea",
    first="#0072b2",
    second="#d55e00",
    ramp=("#f2f6fa", "#bcd7ec", "#74b2d9", "#2f80bb", "#0d4f8b", "#072f57"),
)
DARK = Theme(
    paper="#1a1d21",
    ink="#e6e8eb",
    faint="#a0a8b1",
    grid="#30353b",
    first="#56b4e9",
    second="#e69f00",
    ramp=("#21262c", "#24465f", "#2f6f9c", "#54a3d6", "#a2d2f1", "#ebf6ff"),
)


def png(draw: Callable[[Theme], Figure], theme: Theme, *, photographs: bool = False) -> bytes:
    """Draw in a theme and encode to bytes that depend on nothing but what is drawn.

    Drawings are stored with a palette of `PALETTE` colours; figures of `photographs` keep all
    colours, at half the size.
    """
    drawn, stored = io.BytesIO(), io.BytesIO()
    # Ticks are made while saving, so that has to happen under the theme's settings too; a
    # matplotlibrc of the user's own would make another picture.
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(theme.settings())
        dpi = PHOTOGRAPHS_DPI if photographs else DPI
        draw(theme).savefig(drawn, format="png", dpi=dpi)
    image = Image.open(drawn).convert("RGB")
    if not photographs:
        image = image.quantize(PALETTE, dither=Image.Dither.NONE)
    image.save(stored, "PNG", optimize=True)
    return stored.getvalue()
