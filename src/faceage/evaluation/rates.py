"""Shares of faces, each with its 95% interval: error rates of age checks and of other decisions.

The intervals are those of the cluster bootstrap. Where none or all of the faces count, every
resample says the same, which is no evidence of certainty: there it is the exact interval of
Clopper & Pearson 1934, with a cluster as one trial.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from faceage.evaluation.bootstrap import LEVEL, Resamples, interval

TAIL = (1 - LEVEL) / 2


class Rate(NamedTuple):
    """Of the faces in `members` those in `hits`: bool, each of all faces that are resampled, (n,).

    about: what stands before the rate in a row of the table.
    """

    about: dict[str, Any]
    hits: np.ndarray
    members: np.ndarray


def table(rates: Iterable[Rate], resamples: Resamples) -> pd.DataFrame:
    """One row a rate: `about`, n (members), rate, low, high; of nobody there are no numbers."""
    rates = list(rates)
    if not rates:
        return pd.DataFrame()
    drawn = draws(rates, resamples)
    rows = []
    for column, (about, hits, members) in enumerate(rates):
        n, hit = int(members.sum()), int((hits & members).sum())
        row = about | {"n": n, "rate": hit / n if n else np.nan}
        if not n:
            low = high = np.nan
        elif hit in (0, n):
            low, high = _exact(resamples.code[members].nunique(), none=hit == 0)
        else:
            low, high = interval(drawn[column])
        rows.append(row | {"low": low, "high": high})
    return pd.DataFrame(rows)


def draws(rates: Iterable[Rate], resamples: Resamples) -> pd.DataFrame:
    """The rates in each resample: one row a resample, one column a rate, in their order."""
    rates = list(rates)
    counted = [rate.hits & rate.members for rate in rates] + [rate.members for rate in rates]
    faces = pd.DataFrame(np.stack(counted, axis=1).astype(float), index=resamples.code.index)
    sums = resamples.sums(faces).to_numpy()
    hits, members = sums[:, : len(rates)], sums[:, len(rates) :]
    return pd.DataFrame(hits).where(members > 0) / pd.DataFrame(members)


def _exact(trials: int, *, none: bool) -> tuple[float, float]:
    """Clopper and Pearson's interval of none, or of all, of so many independent trials."""
    edge = TAIL ** (1 / trials)
    return (0.0, 1 - edge) if none else (edge, 1.0)
