"""How the training went, epoch by epoch."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from faceage.charts.frame import new_figure
from faceage.themes import Theme


def history(epochs: pd.DataFrame, sizes: Mapping[str, int], theme: Theme) -> Figure:
    """Loss of train and val, and the validation MAE below it, over the epochs.

    Parameters
    ----------
    epochs : history.csv
    sizes : faces in the parts `train` and `val`
    """
    figure, (loss, mae) = new_figure(4.4, rows=2, sharex=True)
    loss.set_title(f"Loss (n = {sizes['train']:,} training, {sizes['val']:,} validation faces)")
    for number, (_, member) in enumerate(epochs.groupby("member")):
        of_all = {"training": "train_loss", "validation": "val_loss"}
        for (name, column), color, style in zip(
            of_all.items(), (theme.second, theme.first), ("--", "-"), strict=True
        ):
            label = name if number == 0 else None
            loss.plot("epoch", column, style, data=member, color=color, label=label)
    loss.set_ylabel("loss")
    losses = epochs[["train_loss", "val_loss"]].to_numpy()
    loss.set_ylim(0, 1.08 * losses.max())
    loss.legend(loc="best")
    _mark_single_points(loss)
    mae_curve(mae, epochs, theme)
    mae.set_title(f"Mean absolute error (n = {sizes['val']:,} validation faces)")
    return figure


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
