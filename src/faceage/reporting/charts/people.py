"""Who is in the data: ages of the splits, faces by gender and ethnicity, ages of these."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from faceage.reporting.charts.frame import in_percent, new_figure, rows_from_the_top
from faceage.reporting.labels import plural
from faceage.reporting.themes import Theme

HISTOGRAM_YEARS = 5
WHISKERS = (5, 95)  # percentiles


def ages_by_split(ages: Mapping[str, pd.Series], faces: str, theme: Theme) -> Figure:
    """Histogram of the ages of each part, as shares so that the parts can be compared."""
    figure, panels = new_figure(4.9, rows=len(ages), sharex=True, sharey=True)
    oldest = max(int(part.max()) for part in ages.values() if len(part))
    edges = np.arange(0, oldest + HISTOGRAM_YEARS + 1, HISTOGRAM_YEARS)
    for axes, (name, part) in zip(panels, ages.items(), strict=True):
        weights = np.full(len(part), 1 / max(1, len(part)))
        axes.hist(part, edges, weights=weights, color=theme.first, rwidth=0.88)
        axes.set_title(f"{name} (n = {plural(len(part), faces)})")
        in_percent(axes.yaxis)
        axes.grid(axis="x", visible=False)
    panels[len(panels) // 2].set_ylabel(f"share of the part's faces per {HISTOGRAM_YEARS} years")
    panels[-1].set_xlabel("age (years)")
    panels[-1].xaxis.set_major_locator(MultipleLocator(10))
    return figure


def gender_and_ethnicity(counts: pd.DataFrame, faces: str, theme: Theme) -> Figure:
    """Number of faces of each ethnicity, a bar for each gender.

    Parameters
    ----------
    counts : rows ethnicities, columns genders, both by name
    """
    figure, axes = new_figure(0.9 + 0.2 * counts.size)
    axes.set_title(f"Gender and ethnicity (n = {plural(int(counts.to_numpy().sum()), faces)})")
    rows = rows_from_the_top(axes, counts.index.to_series())
    thickness = 0.8 / len(counts.columns)
    colors = (theme.first, theme.second, theme.faint)
    for place, (gender, color) in enumerate(zip(counts.columns, colors, strict=False)):
        offset = (place - (len(counts.columns) - 1) / 2) * thickness
        bars = axes.barh(
            rows + offset, counts[gender], 0.9 * thickness, color=color, label=str(gender)
        )
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8.5)
    axes.set_xlim(0, 1.12 * max(1, counts.to_numpy().max()))
    axes.set_xlabel("faces")
    axes.legend(loc="lower right")
    return figure


def ages_by_subgroup(ages: Mapping[str, pd.Series], faces: str, theme: Theme) -> Figure:
    """Box plots of the ages of subgroups of people, and of all of them.

    Parameters
    ----------
    ages : years, by the subgroup's name
    """
    figure, axes = new_figure(0.9 + 0.34 * len(ages))
    total = len(next(iter(ages.values())))
    axes.set_title(f"Ages by gender and ethnicity (n = {plural(total, faces)})")
    names = pd.Series([f"{name}  (n={len(part):,})" for name, part in ages.items()])
    rows = rows_from_the_top(axes, names)
    line = {"color": theme.first, "linewidth": 1.3}
    axes.boxplot(
        [part.to_numpy(dtype=float) for part in ages.values()],
        positions=rows,
        widths=0.55,
        orientation="horizontal",
        whis=WHISKERS,
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": theme.ramp[1], "edgecolor": theme.first, "linewidth": 1.3},
        whiskerprops=line,
        capprops=line,
        medianprops={"color": theme.second, "linewidth": 2.2},
    )
    axes.set_xlim(left=0)
    axes.set_xlabel("age (years)")
    axes.xaxis.set_major_locator(MultipleLocator(10))
    return figure
