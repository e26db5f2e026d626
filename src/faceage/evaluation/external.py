"""A finished model on faces from elsewhere: the same metrics, beside those at home.

`there` is the table of predictions on the other source, a row a face: `face`, `cluster`,
`predicted` in years, and as label `age` in years or the band `age_low` to `age_high`; `home` has
the same columns, with ages, of the test set that the model was measured on.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from faceage.core.outputs import records
from faceage.core.params import EvaluateParams
from faceage.evaluation import age_bands, metrics, subgroups
from faceage.evaluation.age_bins import bin_index
from faceage.evaluation.assessment import TABLES, Evaluation
from faceage.evaluation.bootstrap import Resamples, interval
from faceage.evaluation.conformal import Calibration
from faceage.evaluation.metrics import Number, number
from faceage.evaluation.subgroups import age_standardised_mae
from faceage.networks.targets import Target

SMALLEST_CALIBRATION = 20  # faces; of fewer a bias and a quantile are a matter of luck
# Tables of `evaluate` that are not made there: decades and bands are among the metrics; photographs
# are changed, faces looked for and people seen twice at home; challenge ages are chosen on val.
AT_HOME_ONLY = {
    *("decades", "bands", "challenge_ages"),
    *("robustness", "small_changes", "both_sides", "failure_to_acquire"),
}
OF_BANDS = ("in_band", "distance", "bias")
Metrics = dict[str, Any]


def measure(
    there: pd.DataFrame,
    home: pd.DataFrame | None,
    calibration: Calibration | None,
    boundaries: list[int],
    count: int,
    seed: int,
) -> Metrics:
    """All metrics of the faces there.

    Parameters
    ----------
    home : None where the model came without its data
    calibration : of the intervals made at home; None where there are none
    boundaries : first age of each headline age group but the first
    count, seed : of the resamples behind each 95% interval
    """
    exact, banded = _with_ages(there), _with_bands(there)
    found: Metrics = {"n": len(there)}
    if len(exact):
        found |= {"ages": of_ages(exact, boundaries, count, seed)}
        if home is not None:
            found["against_home"] = against_home(exact, home, count, seed)
    if len(banded):
        found |= {"bands": of_bands(banded, count, seed)}
        if home is not None:
            found["bands_against_home"] = bands_against_home(banded, home, count, seed)
    if calibration:
        found["intervals"] = coverage(there, calibration)
    return found


def of_ages(there: pd.DataFrame, boundaries: list[int], count: int, seed: int) -> Metrics:
    """Metrics of the faces with exact ages, of all and of each decade."""
    age, predicted = there["age"].to_numpy(dtype=float), there["predicted"].to_numpy(dtype=float)
    groups = bin_index(age, boundaries), bin_index(predicted, boundaries)
    errors = metrics.errors(age, predicted, groups)
    resamples = Resamples(there["cluster"].reset_index(drop=True), count, seed)
    decades = metrics.by_decade(errors, resamples)
    return metrics.compute(errors, resamples) | {"decades": decades.to_dict("records")}


def of_bands(there: pd.DataFrame, count: int, seed: int) -> Metrics:
    """Metrics of the faces with bands of ages, of all and of each band."""
    low, high = _bands(there)
    errors = age_bands.errors(low, high, there["predicted"].to_numpy(dtype=float))
    resamples = Resamples(there["cluster"].reset_index(drop=True), count, seed)
    bands = age_bands.by_band(errors)
    return age_bands.summary(errors, resamples) | {"by_band": bands.to_dict("records")}


def against_home(there: pd.DataFrame, home: pd.DataFrame, count: int, seed: int) -> Metrics:
    """MAE at home in years, and by how much that there differs, with its 95% interval.

    The faces are others, so each set is resampled by clusters on its own. mae_standardised: MAE
    there if the ages were mixed as at home (direct standardisation, see `subgroups`).
    """
    errors = [(table["predicted"] - table["age"]).abs() for table in (there, home)]
    draws = [
        Resamples(table["cluster"], count, seed + number).means(absolute)
        for number, (table, absolute) in enumerate(zip((there, home), errors, strict=True))
    ]
    low, high = interval(draws[0] - draws[1])
    aged = pd.DataFrame({"age": there["age"].astype(float), "absolute": errors[0]})
    mae_there, mae_home = (float(absolute.mean()) for absolute in errors)
    return {
        "mae_home": mae_home,
        "difference": mae_there - mae_home,
        "difference_low": low,
        "difference_high": high,
        "mae_standardised": age_standardised_mae(aged, home["age"].astype(float)),
    }


def bands_against_home(there: pd.DataFrame, home: pd.DataFrame, count: int, seed: int) -> Metrics:
    """Metrics of bands at home, and by how much those there differ, with 95% intervals.

    At home counts who is of an age in one of the bands there; it is nothing where nobody is.
    distance_standardised: mean distance there, in years, if the bands were as frequent as at home.
    """
    bands = there[["age_low", "age_high"]].astype(float).drop_duplicates().sort_values("age_low")
    at_home = _in_bands(home, bands)
    if at_home.empty:
        return {}
    errors, draws = [], []
    for place, table in enumerate((there, at_home)):
        errors.append(age_bands.errors(*_bands(table), table["predicted"].to_numpy(dtype=float)))
        draws.append(Resamples(table["cluster"].reset_index(drop=True), count, seed + place))
    found: Metrics = {"n": len(at_home)}
    for metric in OF_BANDS:
        values = [part[metric] for part in errors]
        low, high = interval(draws[0].means(values[0]) - draws[1].means(values[1]))
        found |= {
            metric: float(values[1].mean()),
            f"{metric}_difference": float(values[0].mean() - values[1].mean()),
            f"{metric}_difference_low": low,
            f"{metric}_difference_high": high,
        }
    by_band = [age_bands.by_band(part) for part in errors]
    both = by_band[0].merge(by_band[1], on=["age_low", "age_high"], suffixes=("_there", "_home"))
    standardised = float(np.average(both["distance_there"], weights=both["n_home"]))
    return found | {"distance_standardised": standardised, "by_band": records(by_band[1])}


def tables(
    there: pd.DataFrame,
    logits: Tensor,
    target: Target,
    calibration: Calibration | None,
    params: EvaluateParams,
) -> dict[str, list[Metrics]]:
    """The tables of `evaluate`, as rows, of the faces with exact ages; of bands the subgroups.

    Parameters
    ----------
    there : with the columns `gender` and `race`, codes or null
    logits : of the model for these faces (n, outputs)
    calibration : of the intervals made at home; without it there is no table of their coverage
    """
    found = {}
    exact = there["age"].notna()
    if exact.any():
        known = {"test": logits[np.flatnonzero(exact)]}
        measured = _Elsewhere(
            params, {"test": _with_ages(there)}, target, known, at_home=calibration
        )
        left_out = AT_HOME_ONLY if calibration else AT_HOME_ONLY | {"coverage"}
        found = {name: records(TABLES[name](measured)) for name in TABLES if name not in left_out}
    if not exact.all():
        banded = _with_bands(there)
        errors = age_bands.errors(*_bands(banded), banded["predicted"].to_numpy(dtype=float))
        by_people = age_bands.by_subgroup(errors, subgroups.labels(banded))
        found["subgroups_of_bands"] = records(by_people)
    return found


@dataclass(frozen=True)
class _Elsewhere(Evaluation):
    """What a model says about faces elsewhere, with the intervals that were calibrated at home."""

    at_home: Calibration | None = None

    @property
    def calibration(self) -> Calibration:
        """As it was made at home."""
        assert self.at_home
        return self.at_home


def coverage(there: pd.DataFrame, calibration: Calibration) -> dict[str, Number]:
    """Share of true ages that the intervals hold, or of bands that they meet, and mean width."""
    intervals = calibration.intervals(there["predicted"].to_numpy(dtype=float))
    low, high = _bands(there)
    exact = there["age"].notna().to_numpy()
    # An exact age is to lie inside; of a band, which ends just before the next year, any part.
    start = intervals["low"].to_numpy()
    meets = np.where(exact, start <= low, start < high + 1)
    meets &= intervals["high"].to_numpy() >= low
    known = intervals["low"].notna().to_numpy()
    width = (intervals["high"] - intervals["low"]).mean()
    return {
        "nominal": calibration.coverage,
        "coverage": number(meets[known].mean()),
        "mean_width": number(width),
    }


def recalibrated(
    there: pd.DataFrame,
    at_home: Calibration | None,
    nominal: float,
    size: int,
    boundaries: list[int],
    count: int,
    seed: int,
) -> Metrics:
    """What a bias and intervals learned from `size` faces there make of the other faces.

    The bias is the mean of the errors, taken off every prediction; of a face with a band the
    error is the distance to it, so that intervals come out too narrow where bands are wide.

    Raises
    ------
    ValueError
        If there are too few faces to learn from, or none left to measure.
    """
    if not SMALLEST_CALIBRATION <= size < len(there):
        raise ValueError(
            f"take at least {SMALLEST_CALIBRATION} of the {len(there)} faces, and leave some"
        )
    sample = there.sample(size, random_state=seed)
    rest = there.drop(sample.index).reset_index(drop=True)
    bias = float(_errors(sample).mean())
    corrected = sample.assign(predicted=(sample["predicted"] - bias).clip(lower=0))
    predicted = corrected["predicted"].to_numpy(dtype=float)
    calibration = Calibration.fit(predicted - _errors(corrected).to_numpy(), predicted, nominal)
    after = rest.assign(predicted=(rest["predicted"] - bias).clip(lower=0))
    return {
        "faces": size,
        "bias": bias,
        "before": measure(rest, None, at_home, boundaries, count, seed),
        "after": measure(after, None, calibration, boundaries, count, seed),
    }


def _with_ages(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["age"].notna()].reset_index(drop=True)


def _with_bands(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["age"].isna()].reset_index(drop=True)


def _in_bands(table: pd.DataFrame, bands: pd.DataFrame) -> pd.DataFrame:
    """Faces with exact ages that lie in one of the bands, with that as label; else left out."""
    placed = []
    rest = table
    for low, high in bands.itertuples(index=False):
        inside = rest["age"].between(low, high)
        placed.append(rest[inside].assign(age=np.nan, age_low=low, age_high=high))
        rest = rest[~inside]
    return pd.concat(placed, ignore_index=True)


def _bands(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """First and last year of each face's label; of an exact age both are the age."""
    age = table["age"].astype(float)
    ends = (table[name].astype(float) for name in ("age_low", "age_high"))
    low, high = (end.where(age.isna(), age).to_numpy() for end in ends)
    return low, high


def _errors(table: pd.DataFrame) -> pd.Series:
    """Signed errors in years; of a band, the distance to it."""
    low, high = _bands(table)
    predicted = table["predicted"].to_numpy(dtype=float)
    to_band = age_bands.distance(low, high, predicted)
    exact = table["age"].notna().to_numpy()
    return pd.Series(np.where(exact, predicted - low, to_band), index=table.index)
