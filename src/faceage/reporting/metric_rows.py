"""The metrics of the test set, beside those of the baselines and of the previous run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faceage.reporting.labels import MINUS, PERCENT, PLAIN, SIGNED, TIMES, YEARS, interval, number

PIXELS = f"16{TIMES}16 pixels"
# Each by its name in a table and in a sentence.
BASELINES = {
    "ridge": (f"ridge regression on {PIXELS}", f"a ridge regression on {PIXELS}"),
    "median": ("always the training median", "always answering the training median"),
}
# Metric, name, how it is written, decimals in a table; prose has one fewer.
METRICS = (
    ("mae", "Mean absolute error (MAE), years", YEARS, 2),
    ("balanced_mae", "Balanced MAE (each decade counts the same), years", YEARS, 2),
    ("median_error", "Median absolute error, years", YEARS, 2),
    ("rmse", "Root mean squared error (RMSE), years", YEARS, 2),
    ("mse", "Mean squared error (MSE), years²", YEARS, 1),
    ("bias", f"Bias (mean of predicted {MINUS} true), years", SIGNED, 2),
    ("sd", "Standard deviation of the error, years", YEARS, 2),
    ("r2", "R² (share of the variance explained)", PLAIN, 3),
    ("cs1", "Within 1 year", PERCENT, 1),
    ("cs3", "Within 3 years", PERCENT, 1),
    ("cs5", "Within 5 years", PERCENT, 1),
    ("cs10", "Within 10 years", PERCENT, 1),
    ("group_accuracy", "Right age group", PERCENT, 1),
)


@dataclass(frozen=True)
class Compared:
    """A row of the comparison: MAE in years with its interval; `less`: by which share ours is."""

    name: str
    phrase: str
    mae: float
    low: float
    high: float
    less: float


def with_baselines(metrics: Mapping[str, Any]) -> list[Compared]:
    """Compare the model's MAE with that of each baseline."""
    ours = metrics["test"]["mae"]
    rows = []
    for key, (name, phrase) in BASELINES.items():
        theirs = metrics["baselines"][key]
        less = 1 - ours / theirs["mae"] if theirs["mae"] else 0.0
        ends = theirs["mae_low"], theirs["mae_high"]
        rows.append(Compared(name, phrase, theirs["mae"], *ends, less))
    return rows


def written(test: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and interval of each metric, ready to be shown."""
    return [
        (name, number(test[key], kind, decimals), interval(test, key, kind, decimals))
        for key, name, kind, decimals in METRICS
    ]


def with_previous(
    test: Mapping[str, Any], previous: Mapping[str, Any]
) -> list[tuple[str, str, str, str]]:
    """Name, value now, value then and difference of each metric that both runs have."""
    rows = []
    for key, name, kind, decimals in METRICS:
        then, now = previous.get(key), test.get(key)
        if then is None or now is None:
            continue
        if kind == PERCENT:
            difference = f"{number(100 * (now - then), SIGNED, decimals)} points"
        else:
            difference = number(now - then, SIGNED, decimals)
        rows.append((name, number(now, kind, decimals), number(then, kind, decimals), difference))
    return rows
