"""How the training went, epoch by epoch."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from faceage.reporting.charts.frame import new_figure
from faceage.reporting.themes import Theme


def history(epochs: pd.DataFrame, monitor: str, sizes: Mapping[str, int], theme: Theme) -> Figure:
    """Loss of train and val, and below it what the best epoch was chosen by, over the epochs.

    Parameters
    ----------
    epochs : history.csv
    monitor : `mae` or `accuracy`
    sizes : faces in the splits `train` and `val`
    """
    figure, (loss, below) = new_figure(4.4, rows=2, sharex=True)
    loss.set_title(f"Loss (n = {sizes['train']:,} training, {sizes['val']:,} validation faces)")
    for number, (_, member) in enumerate(epochs.groupby("member")):
        of_all = {"training": "train_loss", "validation": "val_loss"}
        for (name, column), color, style in zip(
            of_all.items(), (theme.second, theme.first), ("--", "-"), strict=True
        ):
            label = name if number == 0 else "_"
            loss.plot("epoch", column, style, data=member, color=color, label=label)
    loss.set_ylabel("loss")
    losses = epochs[["train_loss", "val_loss"]].to_numpy()
    loss.set_ylim(0, 1.08 * losses.max())
    loss.legend(loc="best")
    _mark_single_points(loss)
    for first in _phase_starts(epochs):
        loss.axvline(first - 0.5, color=theme.faint, linewidth=0.8, linestyle=":")
    if monitor == "mae":
        mae_curve(below, epochs, theme)
        below.set_title(f"Mean absolute error (n = {sizes['val']:,} validation faces)")
    else:
        _accuracy_curve(below, epochs, theme)
        below.set_title(f"Right class (n = {sizes['val']:,} validation faces)")
    return figure


def _phase_starts(epochs: pd.DataFrame) -> list[int]:
    """First epoch of every phase but the first."""
    return sorted(epochs.groupby("phase")["epoch"].min())[1:]


def _accuracy_curve(axes: Axes, epochs: pd.DataFrame, theme: Theme) -> None:
    """Draw the share of validation faces put into the right class, and mark the best one."""
    best = epochs.loc[epochs["val_accuracy"].idxmax()]
    for _, member in epochs.groupby("member"):
        axes.plot("epoch", "val_accuracy", data=member, color=theme.first)
    axes.plot(best["epoch"], best["val_accuracy"], "o", color=theme.first, markersize=5.5)
    axes.set(xlabel="epoch", ylabel="share in the right class", ylim=(0, 1))
    axes.set_title(f"best: {best['val_accuracy']:.0%}", loc="right")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _mark_single_points(axes)


def mae_curve(axes: Axes, epochs: pd.DataFrame, theme: Theme) -> None:
    """Draw the validation MAE over the epochs, of each member, and mark the best one."""
    best = epochs.loc[epochs["val_mae"].idxmin()]
    for _, member in epochs.groupby("member"):
        axes.plot("epoch", "val_mae", data=member, color=theme.first)
    axes.plot(best["epoch"], best["val_mae"], "o", color=theme.first, markersize=5.5)
    axes.annotate(
        f"best: {best['val_mae']:.1f} years",
        (best["epoch"], best["val_mae"]),
        xytext=(0, -9),
        textcoords="offset points",
        ha="right" if best["epoch"] > epochs["epoch"].mean() else "left",
        va="top",
    )
    axes.set(xlabel="epoch", ylabel="validation MAE (years)")
    axes.set_ylim(0, 1.08 * epochs["val_mae"].max())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _mark_single_points(axes)


def _mark_single_points(axes: Axes) -> None:
    """A line of one epoch would be invisible."""
    for line in axes.get_lines():
        if len(line.get_xdata()) == 1:  # type: ignore[arg-type]
            line.set_marker("o")
