"""Predicted against true ages, and the error at each age."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import gaussian_filter

from faceage.reporting.charts.frame import BAND, band, in_percent, new_figure
from faceage.reporting.charts.training import mae_curve
from faceage.reporting.labels import age_range, plural
from faceage.reporting.themes import Theme

DENSITY_YEARS = 2.0  # standard deviation of the Gaussian over which density is averaged
CLOSE_YEARS = 5


def scatter(predictions: pd.DataFrame, faces: str, theme: Theme) -> Figure:
    """Predicted against true age, coloured by density."""
    figure, axes = new_figure(5.5)
    axes.set_title(f"Predicted and true age (n = {plural(len(predictions), faces)})")
    points = _age_scatter(axes, predictions, theme)
    bar = figure.colorbar(points, ax=axes, aspect=36, pad=0.02)
    bar.set_label("density: faces per square year")
    bar.outline.set_visible(False)
    axes.legend(loc="upper left")
    return figure


def error_by_age(decades: pd.DataFrame, overall: float, faces: str, theme: Theme) -> Figure:
    """MAE of each decade with its interval, and the bias below it.

    Parameters
    ----------
    decades : table `decades`
    overall : MAE of all faces in years
    """
    figure, (mae, bias) = new_figure(5.2, rows=2, sharex=True, height_ratios=(3, 2))
    position = decades["decade"].str[:3].astype(int) // 10
    mae.set_title(f"Error by age (n = {plural(int(decades['n'].sum()), faces)})")
    height = decades["mae_high"] - decades["mae_low"]
    mae.bar(position, height, BAND, bottom=decades["mae_low"], label="95% interval", **band(theme))
    mae.plot(
        position, decades["mae"], "o", color=theme.first, markersize=5.5, label="MAE of a decade"
    )
    mae.axhline(
        overall, color=theme.second, linestyle="--", linewidth=1.4, label="MAE of all faces"
    )
    mae.set_ylabel("mean absolute error (years)")
    mae.set_ylim(0, 1.25 * max(1, decades["mae_high"].max()))
    mae.legend(loc="upper left", ncols=3, fontsize=8.5)
    mae.yaxis.set_major_locator(MaxNLocator(6, integer=True))

    bias.set_title("Bias: above 0 predicted too old, below 0 too young")
    bias.bar(position, decades["bias"], width=BAND, color=theme.first)
    bias.axhline(0, color=theme.faint, linewidth=1)
    bias.set_ylabel("mean error (years)")
    names = decades["decade"].map(age_range) + "\n" + decades["n"].map("n={:,}".format)
    bias.set_xticks(position, names, fontsize=7)
    bias.set_xlim(position.min() - 1, position.max() + 1)
    bias.set_xlabel("true age (years)")
    for axes in (mae, bias):
        axes.grid(axis="x", visible=False)
    return figure


def overview(predictions: pd.DataFrame, epochs: pd.DataFrame, faces: str, theme: Theme) -> Figure:
    """Three small panels for the head of the README: scatter, validation MAE, cumulative score."""
    errors = predictions["error"].abs()
    figure, (ages, mae, score) = new_figure(2.4, columns=3)
    figure.suptitle(
        f"Mean absolute error {errors.mean():.1f} years (n = {plural(len(predictions), faces)})",
        x=0.012,
        ha="left",
    )
    _age_scatter(ages, predictions, theme).set_sizes([4])
    mae_curve(mae, epochs, theme)
    _cumulative_score(score, errors, theme)
    titles = ("Predicted and true age", "Validation while training", "Cumulative score")
    for axes, title in zip((ages, mae, score), titles, strict=True):
        axes.set_title(title, fontsize=8.5)
        axes.tick_params(labelsize=7)
        axes.xaxis.label.set_fontsize(7.5)
        axes.yaxis.label.set_fontsize(7.5)
        for text in axes.texts:
            text.set_fontsize(7.5)
    return figure


def _age_scatter(axes: Axes, predictions: pd.DataFrame, theme: Theme) -> Any:
    density = _density(predictions["age"].to_numpy(), predictions["predicted"].to_numpy())
    table = predictions.assign(density=density).sort_values("density", kind="stable")
    limit = 5 * np.ceil((table[["age", "predicted"]].to_numpy().max() + 3) / 5)
    diagonal = np.array([0, limit])
    axes.fill_between(
        diagonal,
        diagonal - CLOSE_YEARS,
        diagonal + CLOSE_YEARS,
        color=theme.second,
        alpha=0.13,
        linewidth=0,
        label=f"within {CLOSE_YEARS} years",
    )
    axes.plot(diagonal, diagonal, "--", color=theme.second, linewidth=1.3, label="predicted = true")
    points = axes.scatter(
        table["age"],
        table["predicted"],
        c=table["density"],
        s=np.clip(3000 / len(table), 4, 24),  # few dots are hard to see, many hide each other
        linewidths=0,
        cmap=theme.shades(2),
        norm=Normalize(0, float(density.max())),
    )
    axes.set(xlim=(0, limit), ylim=(0, limit), aspect="equal")
    axes.set(xlabel="true age (years)", ylabel="predicted age (years)")
    return points


def _density(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Faces per square year around each point: a histogram of 1-year cells, smoothed."""
    cells = np.arange(0, np.ceil(max(x.max(), y.max())) + 2)
    counts, _, _ = np.histogram2d(x, y, bins=[cells, cells])
    smooth = gaussian_filter(counts, DENSITY_YEARS, mode="constant")
    return np.asarray(smooth[x.astype(int), y.astype(int)])


def _cumulative_score(axes: Axes, errors: pd.Series, theme: Theme) -> None:
    ordered = np.sort(errors.to_numpy())
    shares = np.arange(1, len(ordered) + 1) / len(ordered)
    axes.step([0, *ordered], [0, *shares], where="post", color=theme.first)
    for years in (1, CLOSE_YEARS, 10):
        share = float((ordered <= years).mean())
        axes.plot(years, share, "o", color=theme.first, markersize=4.5)
        axes.annotate(f"{share:.0%}", (years, share), (5, -9), textcoords="offset points")
    axes.set(xlim=(0, 20), ylim=(0, 1.02))
    axes.set(xlabel="absolute error, at most (years)", ylabel="share of test faces")
    in_percent(axes.yaxis)
