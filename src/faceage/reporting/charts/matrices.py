"""Age estimation as classification: confusion matrices."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from faceage.reporting.charts.frame import new_figure
from faceage.reporting.labels import plural
from faceage.reporting.themes import Theme


def confusion(counts: pd.DataFrame, of_what: str, faces: str, theme: Theme) -> Figure:
    """Counts, and beside them the shares of each row.

    Parameters
    ----------
    counts : rows the true class, columns the predicted one, both named as they are to be shown
    of_what : what the classes are, for the axes: "decade", "age group"
    """
    percent = 100 * counts.div(counts.sum(axis=1).where(lambda row: row > 0), axis=0)
    figure, (left, right) = new_figure(4.2 if _is_large(counts) else 3.85, columns=2, sharey=True)
    _matrix(left, counts, max(1, counts.to_numpy().max()), theme)
    _matrix(right, percent.fillna(0), 100, theme)
    left.set_title("counts", fontsize=9.5)
    right.set_title("% of each row", fontsize=9.5)
    left.set_ylabel(f"true {of_what} (years)")
    total = plural(int(counts.to_numpy().sum()), faces)
    figure.suptitle(f"True and predicted {of_what} (n = {total})", x=0.012, ha="left")
    figure.supxlabel(f"predicted {of_what} (years)", color=theme.faint, fontsize=9.5)
    return figure


def _matrix(axes: Axes, values: pd.DataFrame, full: float, theme: Theme) -> None:
    """A cell's value is written in it, unless it is 0; the cells that are right are framed."""
    axes.imshow(values, cmap=theme.shades(), norm=Normalize(0, full), aspect="equal")
    large = _is_large(values)
    for (row, column), value in np.ndenumerate(values.to_numpy()):
        color = theme.paper if value > 0.55 * full else theme.ink
        text = f"{value:.0f}" if value else ""
        axes.text(
            column, row, text, ha="center", va="center", fontsize=6 if large else 9, color=color
        )
    for place in range(len(values)):
        corner = (place - 0.5, place - 0.5)
        frame = Rectangle(corner, 1, 1, fill=False, edgecolor=theme.second, clip_on=False)
        axes.add_patch(frame)
    axes.set_xticks(range(len(values)), values.columns, rotation=90 if large else 0)
    axes.set_yticks(range(len(values)), values.index)
    axes.tick_params(labelsize=7.5 if large else 9)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _is_large(matrix: pd.DataFrame) -> bool:
    return len(matrix) > 6
