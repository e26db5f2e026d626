"""For whom and when the predictions hold: subgroups, intervals, worse photographs."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from scipy.stats import binom

from faceage.reporting.charts.frame import BAND, band, in_percent, new_figure, rows_from_the_top
from faceage.reporting.labels import GROUPINGS, METHODS, age_range, plural
from faceage.reporting.themes import Theme

FEW = 0.13  # opacity of the band of a subgroup with few faces
CHANCE = 0.95  # of the coverages that chance alone makes, this share is shaded


def subgroups(table: pd.DataFrame, overall: float, faces: str, theme: Theme) -> Figure:
    """MAE of each subgroup with its interval, and with the age mix of all faces; few faces paler.

    Parameters
    ----------
    table : `subgroups`
    overall : MAE of all faces in years
    """
    parts = dict(iter(table.groupby("grouping", sort=False)))
    sizes = [len(part) for part in parts.values()]
    height = 1.3 + 0.4 * len(parts) + 0.235 * sum(sizes)
    figure, panels = new_figure(
        height, rows=len(parts), sharex=True, height_ratios=sizes, squeeze=False
    )
    dot: dict[str, Any] = {"marker": "o", "markersize": 5.5, "linestyle": "none"}
    # Larger than the dot, so that neither hides the other.
    diamond: dict[str, Any] = dot | {"marker": "D", "markersize": 7.5, "fillstyle": "none"}
    line: dict[str, Any] = {"color": theme.second, "linestyle": "--", "linewidth": 1.4}
    for axes, (grouping, part) in zip(panels[:, 0], parts.items(), strict=True):
        title = f"{GROUPINGS[str(grouping)]} (n = {plural(int(part['n'].sum()), faces)})"
        axes.set_title(title, fontsize=9.5)
        rows = rows_from_the_top(axes, part["subgroup"] + part["n"].map("  (n={:,})".format))
        axes.tick_params(axis="y", labelsize=8.5)
        axes.axvline(overall, zorder=0, **line)
        for row, subgroup in zip(rows, part.itertuples(), strict=True):
            paler = {} if subgroup.enough else {"alpha": FEW}
            width = subgroup.mae_high - subgroup.mae_low
            axes.barh(row, width, BAND, left=subgroup.mae_low, **band(theme) | paler)
            color = theme.first if subgroup.enough else theme.faint
            axes.plot(subgroup.mae, row, color=color, **dot)
        axes.plot(part["mae_age_standardised"], rows, color=theme.ink, **diamond)
    axes.set_xlim(0, 1.05 * max(1, table["mae_high"].max()))
    axes.set_xlabel("mean absolute error (years)")
    handles = [
        Line2D([], [], color=theme.first, label="MAE", **dot),
        Patch(label="95% interval", **band(theme)),
        Line2D([], [], color=theme.ink, label="at equal age mix", **diamond),
        Line2D([], [], label="all faces", **line),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=4, fontsize=8.5)
    return figure


def coverage(table: pd.DataFrame, nominal: float, faces: str, theme: Theme) -> Figure:
    """Share of true ages inside the intervals, and their width, of each subgroup and method.

    Parameters
    ----------
    table : `coverage`
    nominal : coverage that the intervals are made for
    """
    methods = dict(iter(table.groupby("method", sort=False)))
    listed = next(iter(methods.values())).reset_index(drop=True)
    figure, (shares, widths) = new_figure(
        1.5 + 0.235 * len(listed), columns=2, sharey=True, width_ratios=(3, 2)
    )
    names = listed["subgroup"].where(listed["grouping"] != "all", "all faces")
    names = names.where(
        listed["grouping"] != "decade", listed["subgroup"].map(age_range) + " years"
    )
    rows = rows_from_the_top(shares, names + listed["n"].map("  (n={:,})".format))
    widths.grid(axis="y", visible=False)
    low, high = np.array(binom.interval(CHANCE, listed["n"], nominal)) / listed["n"].to_numpy()
    shares.barh(
        rows, high - low, BAND, left=low, color=theme.grid, label=f"{CHANCE:.0%} range of chance"
    )
    shares.axvline(nominal, color=theme.faint, linewidth=1.2, label=f"nominal {nominal:.0%}")
    looks = {"plain": ("s", theme.second, "none"), "by_age": ("o", theme.first, "full")}
    for method, (marker, color, fill) in looks.items():
        look = {"color": color, "markersize": 5.5, "fillstyle": fill, "label": METHODS[method]}
        shares.plot(methods[method]["coverage"], rows, marker, **look)
        widths.plot(methods[method]["mean_width"], rows, marker, **look)
    for axes in (shares, widths):
        for above in listed.index[listed["grouping"] != listed["grouping"].shift()][1:]:
            axes.axhline(above - 0.5, color=theme.grid, linewidth=1)
    total = plural(int(listed["n"].iloc[0]), faces)
    figure.suptitle(f"Intervals made for {nominal:.0%} (n = {total})", x=0.012, ha="left")
    shares.set_xlabel("share of true ages inside")
    shares.set_xlim(min(0.6, table["coverage"].min() - 0.05), 1.02)
    in_percent(shares.xaxis)
    widths.set_xlabel("mean width (years)")
    widths.set_xlim(left=0)
    widths.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    shares.tick_params(axis="y", labelsize=8.5)
    handles, labels = shares.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=4, fontsize=8.5)
    return figure


def robustness(corruptions: pd.DataFrame, faces: str, theme: Theme) -> Figure:
    """Rise of the MAE by corruption, at three strengths; what hurts most on average comes first.

    Parameters
    ----------
    corruptions : table `robustness`
    """
    rises = corruptions.pivot(index="corruption", columns="strength", values="rise")
    rises = rises.loc[rises.mean(axis=1).sort_values(ascending=False, kind="stable").index]
    figure, axes = new_figure(1.3 + 0.32 * len(rises))
    total = plural(int(corruptions["n"].iloc[0]), faces)
    axes.set_title(f"Error on worse photographs (n = {total})")
    rows = rows_from_the_top(axes, rises.index.to_series())
    axes.hlines(rows, rises.min(axis=1).clip(upper=0), rises.max(axis=1), color=theme.grid, lw=2)
    axes.axvline(0, color=theme.faint, linewidth=1)
    looks = zip(rises, ("weak", "middle", "strong"), "o^s", theme.ramp[2:5], strict=True)
    for strength, label, marker, color in looks:
        edge = {"markeredgecolor": theme.paper, "markeredgewidth": 0.6}
        axes.plot(rises[strength], rows, marker, color=color, markersize=8, label=label, **edge)
    axes.set_xlabel("rise of the mean absolute error (years)")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.legend(loc="lower right")
    return figure


def distribution(levels: pd.DataFrame, faces: str, theme: Theme) -> Figure:
    """Share of true ages inside the central intervals of the predicted distributions.

    Parameters
    ----------
    levels : table `distribution`
    """
    figure, axes = new_figure(3.4)
    count = int(levels["n"].iloc[0])
    nominal = levels["nominal"].to_numpy()
    low, high = binom.interval(CHANCE, count, nominal)
    axes.set_title(f"Predicted distributions (n = {plural(count, faces)})")
    axes.plot([0, 1], [0, 1], color=theme.second, linestyle="--", label="as it claims")
    axes.vlines(
        nominal, low / count, high / count, color=theme.faint, linewidth=6, alpha=0.4,
        label=f"{CHANCE:.0%} range of chance",
    )  # fmt: skip
    axes.plot(nominal, levels["coverage"], "o", color=theme.first, label="measured")
    axes.set(xlabel="share that an interval claims to hold", ylabel="share of true ages inside")
    axes.set(xlim=(0.4, 1), ylim=(0, 1.02))
    in_percent(axes.xaxis)
    in_percent(axes.yaxis)
    axes.legend(loc="lower right")
    return figure
