"""Errors on sources elsewhere, beside those at home."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from faceage.reporting.charts.frame import new_figure
from faceage.reporting.labels import plural
from faceage.reporting.themes import Theme

THICKNESS = 0.4  # of a bar, two of which stand side by side for each age


def errors_by_age(sources: Mapping[str, pd.DataFrame], home: str, theme: Theme) -> Figure:
    """Error and bias of each decade or band, there and at home: a row of panels a source.

    Parameters
    ----------
    sources : `reporting.elsewhere.by_age`, by the source's name
    home : what the faces at home are called
    """
    figure, panels = new_figure(0.6 + 1.9 * len(sources), len(sources), 2, squeeze=False)
    for (error, bias), (name, table) in zip(panels, sources.items(), strict=True):
        error.set_title(f"{name} (n = {plural(int(table['n'].sum()), 'faces')})", fontsize=9.5)
        error.set_ylabel("mean error (years)")
        bias.set_title("Bias: above 0 predicted too old", fontsize=9.5)
        rows = np.arange(len(table))
        for axes, column in ((error, "error"), (bias, "bias")):
            axes.bar(rows - THICKNESS / 2, table[f"{column}_home"], THICKNESS, color=theme.faint)
            axes.bar(rows + THICKNESS / 2, table[column], THICKNESS, color=theme.first)
            axes.axhline(0, color=theme.faint, linewidth=1)
            axes.set_xticks(rows, table["age"], fontsize=7.5, rotation=0 if len(table) < 7 else 45)
            axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            axes.grid(axis="x", visible=False)
    for axes in panels[-1]:
        axes.set_xlabel("true age (years)")
    colors = {home: theme.faint, "faces elsewhere": theme.first}
    handles = [Patch(color=color, label=label) for label, color in colors.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, fontsize=8.5)
    return figure
