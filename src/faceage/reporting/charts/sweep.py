"""How a sweep went: errors by trial and by epoch, and which parameters mattered."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.trial import FrozenTrial, TrialState

from faceage.reporting.charts.frame import new_figure, rows_from_the_top
from faceage.reporting.themes import Theme


def history(trials: Sequence[FrozenTrial], theme: Theme) -> Figure:
    """Draw the validation error of each trial, the best so far, and where some were stopped."""
    figure, axes = new_figure(3.2)
    errors = pd.Series({t.number: t.value for t in trials if t.state == TrialState.COMPLETE})
    stopped = pd.Series(
        {
            t.number: min(t.intermediate_values.values())
            for t in trials
            if t.state == TrialState.PRUNED
        },
        dtype=float,
    )
    axes.plot(errors.index, errors, "o", color=theme.first, label="finished")
    axes.plot(stopped.index, stopped, "x", color=theme.faint, label="stopped early")
    best = errors.cummin()
    axes.step(best.index, best, where="post", color=theme.second, label="best so far")
    axes.set(xlabel="trial", ylabel="validation error")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(loc="best")
    return figure


def epochs(trials: Sequence[FrozenTrial], best: int, theme: Theme) -> Figure:
    """Draw the validation error of each trial over its epochs, the best one in front."""
    figure, axes = new_figure(3.2)
    for trial in sorted(trials, key=lambda each: each.number == best):
        chosen = trial.number == best
        color = theme.first if chosen else theme.faint
        steps, errors = list(trial.intermediate_values), list(trial.intermediate_values.values())
        axes.plot(
            steps,
            errors,
            "-" if trial.state == TrialState.COMPLETE else ":",
            color=color,
            alpha=1 if chosen else 0.55,
            linewidth=2.2 if chosen else 1,
            marker="o" if len(steps) == 1 else None,
        )
    axes.set(xlabel="epoch", ylabel="validation error")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return figure


def importances(shares: Mapping[str, float], theme: Theme) -> Figure:
    """Draw which share of the differences between trials each parameter explains."""
    figure, axes = new_figure(0.9 + 0.32 * len(shares))
    rows = rows_from_the_top(axes, pd.Series(list(shares)))
    axes.barh(rows, list(shares.values()), height=0.6, color=theme.first)
    axes.set(xlabel="share of the variance", xlim=(0, 1))
    return figure
