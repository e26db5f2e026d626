"""Age checks: error rates by threshold, by legal age, by group, and the price of a low one."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, MultipleLocator

from faceage.reporting.charts.frame import BAND, band, in_percent, new_figure, rows_from_the_top
from faceage.reporting.charts.reliability import FEW
from faceage.reporting.labels import GROUPINGS, PERCENT, age_range, number, plural
from faceage.reporting.themes import Theme

FALSE_POSITIVE, FALSE_NEGATIVE = "false_positive_rate", "false_negative_rate"
LEAST_HEIGHT = 0.05  # of an axis of rates: nought is to look like little


def error_rates(table: pd.DataFrame, single_ages: pd.DataFrame, faces: str, theme: Theme) -> Figure:
    """Error rates of one legal age by threshold, and the errors of each age around it.

    Parameters
    ----------
    table : rows of `age_checks` of one legal age
    single_ages : table of that name
    """
    figure, (rates, errors) = new_figure(5.6, rows=2, height_ratios=(3, 2))
    legal_age = int(table["legal_age"].iloc[0])
    _, just_below, over = _whom(table)
    of = dict(zip(table["ages"], table["n"], strict=True))
    counts = f"{plural(of[just_below], faces)} of {age_range(just_below)}, {of[over]:,} of {over}"
    rates.set_title(f"“At least {legal_age}” (n = {counts})")
    _curve(rates, table, FALSE_POSITIVE, just_below, theme.second, "o-", "pass")
    _curve(rates, table, FALSE_NEGATIVE, over, theme.first, "s--", "turned away")
    rates.set(xlabel="threshold: pass from this estimated age on (years)", ylabel="share")
    _rates(rates, table[table["ages"].isin([just_below, over])])
    rates.legend(loc="upper center", fontsize=8.5)
    rates.xaxis.set_major_locator(MultipleLocator(1))

    of_all = single_ages[single_ages["gender"] == "all"]
    errors.set_title(f"Error of each age (n = {plural(int(of_all['n'].sum()), faces)})")
    errors.bar(of_all["age"], of_all["mae"], BAND, color=theme.first, label="mean absolute error")
    look: dict[str, Any] = {"marker": "D", "linestyle": "none", "markersize": 4.5}
    label = "standard deviation"
    errors.plot(of_all["age"], of_all["sd"], color=theme.second, label=label, **look)
    names = of_all["age"].astype(str) + "\n" + of_all["n"].map("{:,}".format)
    errors.set_xticks(of_all["age"], names, fontsize=7.5)
    errors.set(xlabel="true age (years), and number of faces", ylabel="years")
    errors.set_ylim(0, 1.35 * max(1, of_all[["mae", "sd"]].max(axis=None)))
    errors.legend(loc="upper left", ncols=2, fontsize=8.5)
    errors.grid(axis="x", visible=False)
    return figure


def legal_ages(table: pd.DataFrame, faces: str, theme: Theme) -> Figure:
    """False positive rate by threshold for each legal age: of all below, and of those just below.

    Parameters
    ----------
    table : `age_checks`
    """
    parts = dict(iter(table[table["error"] == FALSE_POSITIVE].groupby("legal_age")))
    rows = -(-len(parts) // 2)
    figure, panels = new_figure(0.7 + 2.3 * rows, rows=rows, columns=2, squeeze=False)
    for axes in panels.flat[len(parts) :]:
        axes.set_visible(False)
    for axes, (legal_age, part) in zip(panels.flat, parts.items(), strict=False):
        below, just_below = part["ages"].unique()
        of = dict(zip(part["ages"], part["n"], strict=True))
        title = (
            f"“At least {legal_age}” (n = {of[below]:,}, of which {of[just_below]:,} just below)"
        )
        axes.set_title(title, fontsize=8.5)
        _curve(axes, part, FALSE_POSITIVE, just_below, theme.second, "o-")
        _curve(axes, part, FALSE_POSITIVE, below, theme.first, "s--")
        for line in axes.get_lines():
            line.set_markersize(3.5)
        _rates(axes, part)
        axes.xaxis.set_major_locator(MultipleLocator(3, offset=int(str(legal_age)) % 3))
        axes.tick_params(labelsize=8)
    figure.suptitle(f"False positive rates, {faces} below the legal age", x=0.012, ha="left")
    for axes in panels.flat[max(0, len(parts) - 2) : len(parts)]:
        axes.set_xlabel("threshold (years)", fontsize=8.5)
    handles = [
        Line2D([], [], color=theme.second, marker="o", markersize=4, label="5 years just below"),
        Line2D([], [], color=theme.first, marker="s", ls="--", markersize=4, label="all below"),
        Patch(label="95% intervals", **band(theme)),
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=3, fontsize=8.5)
    return figure


def false_positives(table: pd.DataFrame, faces: str, theme: Theme) -> Figure:
    """False positive rates of ages and subgroups at two thresholds; of few faces paler.

    Parameters
    ----------
    table : rows of `false_positives` of one legal age, single ages and subgroups of all below it
    """
    thresholds = list(table["threshold"].unique())
    parts = dict(iter(table.groupby("grouping", sort=False)))
    sizes = [len(part) // len(thresholds) for part in parts.values()]
    figure, panels = new_figure(
        1.2 + 0.4 * len(parts) + 0.235 * sum(sizes),
        rows=len(parts), columns=len(thresholds), sharex="col", sharey="row",
        height_ratios=sizes, squeeze=False,
    )  # fmt: skip
    for line, (grouping, part) in zip(panels, parts.items(), strict=True):
        for axes, threshold in zip(line, thresholds, strict=True):
            at = part[part["threshold"] == threshold].reset_index(drop=True)
            rows = rows_from_the_top(axes, at["subgroup"] + at["n"].map("  (n={:,})".format))
            axes.tick_params(axis="y", labelsize=8)
            for row, rate in zip(rows, at.itertuples(), strict=True):
                paler = {} if rate.enough else {"alpha": FEW}
                axes.barh(row, rate.high - rate.low, BAND, left=rate.low, **band(theme) | paler)
                color = theme.first if rate.enough else theme.faint
                axes.plot(rate.rate, row, "o", color=color, markersize=5, clip_on=False)
        name = {"age": "Single age", "all": "All"}.get(str(grouping)) or GROUPINGS[str(grouping)]
        line[0].set_title(name, fontsize=9.5)
    for axes, threshold in zip(panels[-1], thresholds, strict=True):
        axes.set_xlabel(f"pass at the threshold {threshold}")
        axes.set_xlim(0, 1.0 if table["high"].isna().all() else min(1.0, 1.05 * _highest(table)))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        in_percent(axes.xaxis)
    legal_age = int(table["legal_age"].iloc[0])
    total = plural(int(table.loc[table["grouping"] == "all", "n"].iloc[0]), faces)
    title = f"False positive rates by group (n = {total} under {legal_age})"
    figure.suptitle(title, x=0.012, ha="left")
    return figure


def challenge_ages(table: pd.DataFrame, faces: str, theme: Theme) -> Figure:
    """False negative rates of adults by age, at the threshold chosen for each target.

    Parameters
    ----------
    table : rows of `challenge_ages` of one legal age
    """
    figure, axes = new_figure(3.4)
    refused = table[table["error"] == FALSE_NEGATIVE]
    everybody, *bands = refused["ages"].unique()
    total = plural(int(refused.loc[refused["ages"] == everybody, "n"].iloc[0]), faces)
    legal_age = int(table["legal_age"].iloc[0])
    axes.set_title(f"What a low rate costs (n = {total} of {legal_age} and over)")
    targets: Sequence[float] = list(refused["target"].unique())
    width = 0.8 / len(targets)
    for place, (target, color) in enumerate(
        zip(targets, (theme.ramp[4], theme.ramp[3], theme.ramp[2]), strict=True)
    ):
        chosen = refused[refused["target"] == target]
        part = chosen[chosen["ages"].isin(bands)]
        x = [number + (place - (len(targets) - 1) / 2) * width for number in range(len(bands))]
        threshold = number(chosen["threshold"].iloc[0])
        label = f"under {number(target, PERCENT, 0)}: threshold {threshold}"
        axes.bar(x, part["rate"], 0.9 * width, color=color, label=label)
        low, high = part["rate"] - part["low"], part["high"] - part["rate"]
        axes.errorbar(x, part["rate"], [low, high], fmt="none", ecolor=theme.ink, elinewidth=1)
    of = refused.drop_duplicates("ages").set_index("ages")["n"]
    names = [f"{age_range(name)}\nn={of[name]:,}" for name in bands]
    axes.set_xticks(range(len(bands)), names, fontsize=8)
    axes.set(xlabel="true age (years)", ylabel="turned away")
    axes.set_ylim(0, 1.02)
    in_percent(axes.yaxis)
    axes.grid(axis="x", visible=False)
    axes.legend(loc="upper right", fontsize=8.5, title="false positive rate", title_fontsize=8.5)
    return figure


def _whom(table: pd.DataFrame) -> list[str]:
    """All below the legal age, those just below it, those over it."""
    return list(table["ages"].unique())


def _curve(
    axes: Axes,
    table: pd.DataFrame,
    error: str,
    ages: str,
    color: str,
    style: str,
    outcome: str = "",
) -> None:
    part = table[(table["error"] == error) & (table["ages"] == ages)]
    label = f"{age_range(ages)}: {outcome}"
    axes.fill_between(
        part["threshold"], part["low"], part["high"], color=color, alpha=0.2, linewidth=0
    )
    look: dict[str, Any] = {"color": color, "label": label, "markersize": 5, "clip_on": False}
    axes.plot(part["threshold"], part["rate"], style, **look)


def _rates(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_ylim(0, min(1.02, 1.1 * max(LEAST_HEIGHT, _highest(table))))
    axes.set_xlim(table["threshold"].min() - 0.5, table["threshold"].max() + 0.5)
    in_percent(axes.yaxis)


def _highest(table: pd.DataFrame) -> float:
    highest = table["high"].max()
    return LEAST_HEIGHT if pd.isna(highest) else max(LEAST_HEIGHT, float(highest))
