"""What all figures have in common: their width, their layout, bands, shares on an axis."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter

from faceage.reporting.themes import WIDTH, Theme

BAND = 0.62  # width of a band, where 1 is the distance of its neighbour


def new_figure(height: float, rows: int = 1, columns: int = 1, **layout: Any) -> tuple[Figure, Any]:
    """A figure of the report's width and a height in inches, with its axes."""
    layout_engine = ConstrainedLayoutEngine(w_pad=0.07, h_pad=0.07)
    figure = Figure(figsize=(WIDTH, height), layout=layout_engine)
    return figure, figure.subplots(rows, columns, **layout)


def band(theme: Theme) -> dict[str, Any]:
    """Look of an interval: a bar from its lower to its upper end."""
    return {"color": theme.first, "alpha": 0.28, "linewidth": 0}


def rows_from_the_top(axes: Axes, names: pd.Series) -> pd.Series:
    """Give each name a row, the first one at the top; returns the positions, index as `names`."""
    positions = pd.Series(range(len(names)), index=names.index)
    axes.set_yticks(positions, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    return positions


def in_percent(axis: Any) -> None:
    """Write the shares on an axis as percentages."""
    axis.set_major_formatter(PercentFormatter(1, decimals=0))
