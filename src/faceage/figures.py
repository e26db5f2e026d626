"""The figures of the report: each is drawn from a table, in a light or in a dark theme.

Every function takes tables in the columns of `reports/*.csv` and returns a figure, which
`themes.png` turns into a file.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, MultipleLocator, PercentFormatter
from scipy.ndimage import gaussian_filter

from faceage.labels import age_range, plural
from faceage.themes import WIDTH, Theme

HISTOGRAM_YEARS = 5
DENSITY_YEARS = 2.0  # standard deviation of the Gaussian over which density is averaged
CLOSE_YEARS = 5


def history(epochs: pd.DataFrame, sizes: Mapping[str, int], theme: Theme) -> Figure:
    """Loss of train and val, and the validation MAE below it, over the epochs.

    Parameters
    ----------
    epochs : history.csv
    sizes : faces in the parts `train` and `val`
    """
    figure, (loss, mae) = _figure(4.4, rows=2, sharex=True)
    loss.set_title(f"Loss (n = {sizes['train']:,} training, {sizes['val']:,} validation faces)")
    loss.plot("epoch", "train_loss", "--", data=epochs, color=theme.second, label="training")
    loss.plot("epoch", "val_loss", data=epochs, color=theme.first, label="validation")
    loss.set_ylabel("smooth L1 loss")
    loss.set_ylim(0, 1.08 * epochs[["train_loss", "val_loss"]].to_numpy().max())
    loss.legend(loc="best")
    _mae_curve(mae, epochs, theme)
    mae.set_title(f"Mean absolute error (n = {sizes['val']:,} validation faces)")
    for axes in (loss, mae):
        _mark_single_points(axes)
    return figure


def scatter(predictions: pd.DataFrame, faces: str, theme: Theme) -> Figure:
    """Predicted against true age, coloured by density; `faces` names them, "test faces" say."""
    figure, axes = _figure(5.5)
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
    decades : decades.csv
    overall : MAE of all faces in years
    """
    figure, (mae, bias) = _figure(5.2, rows=2, sharex=True, height_ratios=(3, 2))
    position = decades["decade"].str[:3].astype(int) // 10
    mae.set_title(f"Error by age (n = {plural(int(decades['n'].sum()), faces)})")
    height = decades["mae_high"] - decades["mae_low"]
    band = {"width": 0.62, "color": theme.first, "alpha": 0.28, "linewidth": 0}
    mae.bar(position, height, bottom=decades["mae_low"], label="95% interval", **band)
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

    bias.set_title("Bias: above 0 estimated too old, below 0 too young")
    bias.bar(position, decades["bias"], width=0.62, color=theme.first)
    bias.axhline(0, color=theme.faint, linewidth=1)
    bias.set_ylabel("mean error (years)")
    names = decades["decade"].map(age_range) + "\n" + decades["n"].map("n={:,}".format)
    bias.set_xticks(position, names, fontsize=7)
    bias.set_xlim(position.min() - 1, position.max() + 1)
    bias.set_xlabel("true age (years)")
    for axes in (mae, bias):
        axes.grid(axis="x", visible=False)
    return figure


def confusion(counts: pd.DataFrame, of_what: str, faces: str, theme: Theme) -> Figure:
    """Counts, and beside them the shares of each row.

    Parameters
    ----------
    counts : rows the true class, columns the predicted one, both named as they are to be shown
    of_what : what the classes are, for the axes: "decade", "age group"
    """
    percent = 100 * counts.div(counts.sum(axis=1).where(lambda row: row > 0), axis=0)
    figure, (left, right) = _figure(4.2 if _is_large(counts) else 3.85, columns=2, sharey=True)
    _matrix(left, counts, max(1, counts.to_numpy().max()), theme)
    _matrix(right, percent.fillna(0), 100, theme)
    left.set_title("counts", fontsize=9.5)
    right.set_title("% of each row", fontsize=9.5)
    left.set_ylabel(f"true {of_what} (years)")
    total = plural(int(counts.to_numpy().sum()), faces)
    figure.suptitle(f"True and predicted {of_what} (n = {total})", x=0.012, ha="left")
    figure.supxlabel(f"predicted {of_what} (years)", color=theme.faint, fontsize=9.5)
    return figure


def ages_by_split(ages: Mapping[str, pd.Series], faces: str, theme: Theme) -> Figure:
    """Histogram of the ages of each part, as shares so that the parts can be compared."""
    figure, panels = _figure(4.9, rows=len(ages), sharex=True, sharey=True)
    oldest = max(int(part.max()) for part in ages.values() if len(part))
    edges = np.arange(0, oldest + HISTOGRAM_YEARS + 1, HISTOGRAM_YEARS)
    for axes, (name, part) in zip(panels, ages.items(), strict=True):
        weights = np.full(len(part), 1 / max(1, len(part)))
        axes.hist(part, edges, weights=weights, color=theme.first, rwidth=0.88)
        axes.set_title(f"{name} (n = {plural(len(part), faces)})")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(axis="x", visible=False)
    panels[len(panels) // 2].set_ylabel(f"share of the part's faces per {HISTOGRAM_YEARS} years")
    panels[-1].set_xlabel("age (years)")
    panels[-1].xaxis.set_major_locator(MultipleLocator(10))
    return figure


def overview(predictions: pd.DataFrame, epochs: pd.DataFrame, faces: str, theme: Theme) -> Figure:
    """Three small panels for the head of the README: scatter, validation MAE, cumulative score."""
    errors = predictions["error"].abs()
    figure, (ages, mae, score) = _figure(2.4, columns=3)
    figure.suptitle(
        f"Mean absolute error {errors.mean():.1f} years (n = {plural(len(predictions), faces)})",
        x=0.012,
        ha="left",
    )
    _age_scatter(ages, predictions, theme).set_sizes([4])
    _mae_curve(mae, epochs, theme)
    _mark_single_points(mae)
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


def _figure(height: float, rows: int = 1, columns: int = 1, **layout: Any) -> tuple[Figure, Any]:
    layout_engine = ConstrainedLayoutEngine(w_pad=0.07, h_pad=0.07)
    figure = Figure(figsize=(WIDTH, height), layout=layout_engine)
    return figure, figure.subplots(rows, columns, **layout)


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


def _mae_curve(axes: Axes, epochs: pd.DataFrame, theme: Theme) -> None:
    best = epochs.loc[epochs["val_mae"].idxmin()]
    axes.plot("epoch", "val_mae", data=epochs, color=theme.first)
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


def _mark_single_points(axes: Axes) -> None:
    """A line of one epoch would be invisible."""
    for line in axes.get_lines():
        if len(line.get_xdata()) == 1:  # type: ignore[arg-type]
            line.set_marker("o")


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
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


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
