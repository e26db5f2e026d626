"""The page `reports/report.html`: what its template is given, and how values are written in it."""

import base64
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from faceage.gallery import SHOWN, Miss
from faceage.labels import EN_DASH, MINUS, TIMES, age_range, plural, signed
from faceage.results import Results
from faceage.utkface import GENDERS, RACES

TEMPLATE = "report.html.j2"
LISTED = 200  # rejected files named in the page; data/rejected.csv has all of them
NOT_GIVEN = "not given"

PIXELS = f"16{TIMES}16 pixels"
# Each by its name in a table and in a sentence.
BASELINES = {
    "ridge": (f"ridge regression on {PIXELS}", f"a ridge regression on {PIXELS}"),
    "median": ("always the training median", "always answering the training median"),
}
# How a value is written, and with how many decimals in a table; prose has one fewer.
YEARS, SIGNED, PLAIN, PERCENT = "years", "signed", "plain", "percent"
MEASURES = (
    ("mae", "Mean absolute error (MAE), years", YEARS, 2),
    ("median_error", "Median absolute error, years", YEARS, 2),
    ("rmse", "Root mean squared error (RMSE), years", YEARS, 2),
    ("mse", "Mean squared error (MSE), years²", YEARS, 1),
    ("bias", f"Bias (mean of predicted {MINUS} true), years", SIGNED, 2),
    ("r2", "R² (share of the variance explained)", PLAIN, 3),
    ("cs1", "Within 1 year", PERCENT, 1),
    ("cs3", "Within 3 years", PERCENT, 1),
    ("cs5", "Within 5 years", PERCENT, 1),
    ("cs10", "Within 10 years", PERCENT, 1),
    ("group_accuracy", "Right age group", PERCENT, 1),
)


@dataclass(frozen=True)
class Picture:
    """A figure as PNG, for light and for dark screens; both of the same size."""

    light: bytes
    dark: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return Image.open(io.BytesIO(self.light)).size


@dataclass(frozen=True)
class Compared:
    """A row of the comparison: MAE in years with its interval; `less`: by which share ours is."""

    name: str
    phrase: str
    mae: float
    low: float
    high: float
    less: float


def render(found: Results, pictures: Mapping[str, Picture], misses: list[Miss]) -> str:
    """Fill the template; everything that it shows, pictures too, is inside the page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "age_range": age_range,
        "data_uri": data_uri,
        "interval": interval,
        "number": number,
        "plural": plural,
    }
    return environment.get_template(TEMPLATE).render(
        found=found,
        model=found.model["architecture"]["model"],
        test=found.metrics["test"],
        baselines=_baselines(found.metrics),
        measures=_measures(found.metrics["test"]),
        people=_people(pd.concat(found.parts.values())),
        best=found.history.loc[found.history["val_mae"].idxmin()],
        by_decade=found.confusion_by_decade(),
        by_group=found.confusion_by_group(),
        settings=_settings(found.model),
        pictures=pictures,
        misses=misses,
        shown=SHOWN,
        listed=LISTED,
    )


def number(value: float | None, kind: str = YEARS, decimals: int = 1) -> str:
    """Write a measured value; a dash where it is undefined, as R² of a single face is."""
    if value is None or math.isnan(value):
        return EN_DASH
    if kind == PERCENT:
        return f"{value:.{decimals}%}"
    if kind == SIGNED:
        return signed(value, decimals)
    return signed(value, decimals).removeprefix("+")


def interval(measured: Mapping[str, Any], key: str, kind: str = YEARS, decimals: int = 1) -> str:
    """Write the interval of a measure, or nothing where it has none."""
    low, high = measured.get(f"{key}_low"), measured.get(f"{key}_high")
    if low is None or high is None:
        return ""
    return f"{number(low, kind, decimals)} to {number(high, kind, decimals)}"


def data_uri(content: bytes, media_type: str) -> str:
    """Embed a file (RFC 2397)."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _baselines(metrics: Mapping[str, Any]) -> list[Compared]:
    ours = metrics["test"]["mae"]
    rows = []
    for key, (name, phrase) in BASELINES.items():
        theirs = metrics["baselines"][key]
        less = 1 - ours / theirs["mae"] if theirs["mae"] else 0.0
        interval = theirs["mae_low"], theirs["mae_high"]
        rows.append(Compared(name, phrase, theirs["mae"], *interval, less))
    return rows


def _measures(test: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and interval of each measure that was taken, ready to be shown."""
    rows = []
    for key, name, kind, decimals in MEASURES:
        if key in test:
            written = number(test[key], kind, decimals), interval(test, key, kind, decimals)
            rows.append((name, *written))
    return rows


def _people(faces: pd.DataFrame) -> pd.DataFrame:
    """Count faces by ethnicity (rows) and gender (columns), by name, with sums."""
    race = faces["race"].map(dict(enumerate(RACES))).fillna(NOT_GIVEN).rename("race")
    gender = faces["gender"].map(dict(enumerate(GENDERS))).fillna(NOT_GIVEN).rename("gender")
    counts = pd.crosstab(race, gender, margins=True, margins_name="all")
    rows = [name for name in (*RACES, NOT_GIVEN, "all") if name in counts.index]
    columns = [name for name in (*GENDERS, NOT_GIVEN, "all") if name in counts.columns]
    return counts.loc[rows, columns]


def _settings(model: Mapping[str, Any]) -> dict[str, list[tuple[str, Any]]]:
    """Sections of model.json, each as a list of dotted keys and values."""
    return {
        section: list(_flatten(content))
        for section, content in model.items()
        if isinstance(content, Mapping)
    }


def _flatten(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
