"""The same person seen twice: how far estimates lie apart, and when they disagree about a check.

Twice means in a burst, photographs of probably one person that were found within seconds of each
other; or once in one photograph, as it is and with the small changes that another moment would
bring: a crop a little tighter or looser or beside, a little more or less light, the mirror image.
The repeatability standard deviation is the pooled standard deviation of one person's estimates
(ISO 5725-1).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from faceage.evaluation import rates
from faceage.evaluation.age_checks import MARGIN
from faceage.evaluation.bootstrap import Resamples, interval
from faceage.evaluation.metrics import number
from faceage.evaluation.rates import Rate
from faceage.evaluation.robustness import ages_of_changed
from faceage.networks.age_network import Model
from faceage.networks.targets import Target

UNCHANGED = "none"
NEAR = 5  # years between a person's age and a threshold within which it is a close call


def moved(images: Tensor, scale: float = 1.0, right: float = 0.0, down: float = 0.0) -> Tensor:
    """Show another part: so many times as wide, shifted by shares of the side; borders repeated."""
    view = torch.tensor([[scale, 0.0, 2 * right], [0.0, scale, 2 * down]], device=images.device)
    grid = F.affine_grid(view.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def lit(images: Tensor, gain: float) -> Tensor:
    """Multiply the light; what gets brighter than white is white."""
    return (images * gain).clamp(0, 1)


# Images in and out: float (n, 3, size, size) in 0..1.
CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    UNCHANGED: lambda images: images,
    "crop 5% tighter": lambda images: moved(images, scale=0.95),
    "crop 5% looser": lambda images: moved(images, scale=1.05),
    "crop 5% to the right": lambda images: moved(images, right=0.05),
    "crop 5% lower": lambda images: moved(images, down=0.05),
    "10% darker": lambda images: lit(images, 0.9),
    "10% brighter": lambda images: lit(images, 1.1),
    "mirror image": lambda images: images.flip(-1),
}


@dataclass(frozen=True)
class Changed:
    """rows: numbers of the test faces that were changed (k,); predicted: years, by change (k,)."""

    rows: np.ndarray
    predicted: Mapping[str, np.ndarray]


def predict(network: Model, target: Target, pixels: Tensor, rows: np.ndarray) -> Changed:
    """Predict ages from these faces as they are and with each of `CHANGES`.

    In float32: the differences are of the size of what faster arithmetic rounds.

    Parameters
    ----------
    pixels : uint8 (faces, side, side, 3), of all test faces
    """
    predicted = ages_of_changed(network, target, pixels[rows], CHANGES, torch.float32)
    return Changed(rows, predicted)


def by_change(changed: Changed | None) -> pd.DataFrame:
    """What each change does to the estimate, in years: table `small_changes`.

    mean_difference and mean_absolute_difference from the unchanged face; p95: 95% of the faces
    change by no more. Without rows where nothing was changed.
    """
    if changed is None:
        return pd.DataFrame()
    unchanged = changed.predicted[UNCHANGED]
    rows = []
    for name, ages in changed.predicted.items():
        if name != UNCHANGED:
            difference = ages - unchanged
            rows.append(
                {
                    "change": name,
                    "n": len(difference),
                    "mean_difference": difference.mean(),
                    "mean_absolute_difference": np.abs(difference).mean(),
                    "p95": np.quantile(np.abs(difference), 0.95),
                }
            )
    return pd.DataFrame(rows)


def people_seen_twice(
    faces: pd.DataFrame, predicted: np.ndarray, changed: Changed | None
) -> pd.DataFrame:
    """One row a person who was seen more than once; the index is that of one of their faces.

    seen: in what way; age: true, in years, the mean; low, high: extreme estimates, in years;
    squares, freedom: sum of squares about the mean, and its degrees of freedom. Of near-duplicates,
    which are one photograph, the first counts.

    Parameters
    ----------
    faces : test faces, with `age`, `near_cluster`, `burst_cluster`
    predicted : years, of all test faces (n,)
    """
    photographs = faces.assign(predicted=predicted).drop_duplicates("near_cluster")
    photographs = photographs.assign(row=photographs.index)
    bursts = photographs.groupby("burst_cluster", sort=False).agg(
        row=("row", "first"),
        age=("age", "mean"),
        low=("predicted", "min"),
        high=("predicted", "max"),
        variance=("predicted", "var"),
        freedom=("predicted", lambda estimates: len(estimates) - 1),
    )
    seen = [bursts[bursts["freedom"] > 0].set_index("row").assign(seen="burst")]
    if changed is not None:
        estimates = np.stack(list(changed.predicted.values()))
        columns = {
            "age": faces["age"].to_numpy(dtype=float)[changed.rows],
            "low": estimates.min(axis=0),
            "high": estimates.max(axis=0),
            "variance": estimates.var(axis=0, ddof=1),
            "freedom": len(estimates) - 1,
        }
        seen.append(pd.DataFrame(columns, index=changed.rows).assign(seen="small changes"))
    people = pd.concat(seen)
    return people.assign(squares=people["variance"] * people["freedom"]).drop(columns="variance")


def both_sides(
    people: pd.DataFrame, legal_ages: Iterable[int], resamples: Resamples
) -> pd.DataFrame:
    """Share of people whose estimates lie on both sides of a threshold: table `both_sides`.

    For the legal age and the challenge age; ages: of all, and of those whose true age is within
    `NEAR` years of the threshold.

    Parameters
    ----------
    people : result of `people_seen_twice`
    """
    found = []
    for seen, part in people.groupby("seen", sort=False):
        everybody = resamples.code.index.isin(part.index)
        # Of faces that are in no pair the columns are not numbers, and no comparison holds.
        spread = part[["age", "low", "high"]].astype(float).reindex(resamples.code.index)
        for legal_age in legal_ages:
            for threshold in (legal_age, legal_age + MARGIN):
                split = (spread["low"] < threshold) & (spread["high"] >= threshold)
                near = (spread["age"] - threshold).abs() <= NEAR
                about = {"seen": seen, "legal_age": legal_age, "threshold": threshold}
                for ages, members in {"all": everybody, "near": near.to_numpy()}.items():
                    found.append(Rate(about | {"ages": ages}, split.to_numpy(), members))
    return rates.table(found, resamples)


def summary(people: pd.DataFrame, resamples: Resamples) -> dict[str, dict[str, Any]]:
    """Repeatability standard deviation, in years, with its interval, by how people were seen.

    Parameters
    ----------
    people : result of `people_seen_twice`
    """
    found = {}
    for seen in ("burst", "small changes"):
        part = people.loc[people["seen"] == seen, ["squares", "freedom"]].astype(float)
        row: dict[str, Any] = {"n": len(part)} | dict.fromkeys(("sd", "sd_low", "sd_high"))
        if len(part):
            total, drawn = part.sum(), resamples.sums(part)
            low, high = interval(np.sqrt(drawn["squares"] / drawn["freedom"]))
            sd = np.sqrt(total["squares"] / total["freedom"])
            row |= {"sd": number(sd), "sd_low": number(low), "sd_high": number(high)}
        found[seen.replace(" ", "_")] = row
    return found
