"""The page of a sweep: what was tried, what mattered, what was best, and whether it is better."""

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from faceage.evaluation.comparison import Comparison
from faceage.experiments.sweeps import Sweep
from faceage.reporting import page as pages
from faceage.reporting import themes
from faceage.reporting.charts import sweep as charts
from faceage.reporting.themes import Theme

SHOWN = 10  # best trials in the table
ENOUGH = 4  # finished trials from which on importances say anything


def page(sweep: Sweep, comparison: Comparison | None) -> str:
    """HTML with everything that it shows inside it.

    Parameters
    ----------
    comparison : of the best trial with the parameters as they are; None while trials are run
    """
    trials = sweep.study.get_trials()
    finished = sorted(
        (trial for trial in trials if trial.state == TrialState.COMPLETE),
        key=lambda trial: (trial.value, trial.number),
    )
    shares = importances(sweep, finished)
    return pages.render(
        "sweep.html.j2",
        {"pictures": _pictures(trials, finished, shares)},
        sweep=sweep,
        states={state: [t for t in trials if t.state == state] for state in TrialState},
        State=TrialState,
        finished=finished[:SHOWN],
        shares=shares,
        comparison=comparison,
        shown=shown,
    )


def importances(sweep: Sweep, finished: list[FrozenTrial]) -> dict[str, float]:
    """Share of the variance of the errors that each parameter explains, by fANOVA.

    Hutter et al. 2014, http://proceedings.mlr.press/v32/hutter14.html. Nothing where too few trials
    have ended, or all of them with the same error.
    """
    if len(finished) < ENOUGH or len({trial.value for trial in finished}) == 1:
        return {}
    evaluator = FanovaImportanceEvaluator(seed=sweep.seed)
    return get_param_importances(sweep.study, evaluator=evaluator)


def shown(value: Any) -> str:
    """Write what was tried, numbers as the trial got them."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _pictures(
    trials: list[FrozenTrial], finished: list[FrozenTrial], shares: dict[str, float]
) -> dict[str, pages.Picture]:
    drawn: dict[str, Callable[[Theme], Figure]] = {}
    if finished:
        best = finished[0].number
        drawn["history"] = lambda theme: charts.history(trials, theme)
        drawn["epochs"] = lambda theme: charts.epochs(trials, best, theme)
    if shares:
        drawn["importances"] = lambda theme: charts.importances(shares, theme)
    return {
        name: pages.Picture(
            light=themes.png(draw, themes.LIGHT), dark=themes.png(draw, themes.DARK)
        )
        for name, draw in drawn.items()
    }
