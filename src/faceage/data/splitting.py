"""Stratified assignment of whole groups of faces to the three parts."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

POINTS = 1.0  # percentage points by which a part may miss its share without a word


def age_bins(ages: pd.Series, width: int, smallest: int) -> pd.Series:
    """Name the age bin of each face, `000-004`; bins under `smallest` join the next older one.

    The oldest bins join the next younger one, for lack of an older. With fewer than `smallest`
    faces in all there is one bin.
    """
    starts = ages // width * width
    counts = starts.value_counts().sort_index()
    merged: list[list[int]] = []  # [first start, last start, faces]
    for start, count in counts.items():
        if merged and merged[-1][2] < smallest:
            merged[-1][1:] = [int(str(start)), merged[-1][2] + count]
        else:
            merged.append([int(str(start)), int(str(start)), count])
    if len(merged) > 1 and merged[-1][2] < smallest:
        *merged, before, last = merged
        merged.append([before[0], last[1], before[2] + last[2]])
    edges = np.array([first for first, _, _ in merged])
    names = np.array([f"{first:03d}-{last + width - 1:03d}" for first, last, _ in merged])
    return pd.Series(names[np.searchsorted(edges, ages, side="right") - 1], index=ages.index)


def assign(faces: pd.DataFrame, shares: Mapping[str, float], seed: int) -> pd.Series:
    """Assign every face to a part: balanced over `bin`, groups kept whole.

    Within a bin, groups come largest first and then in an order drawn by `seed`; each goes to the
    part that lacks most faces in proportion to its share, so that every part gets its share of
    the large groups too. What a bin leaves over or short is carried into the next one, so
    that rounding does not add up. The result depends on the set of faces and not on their order.

    Parameters
    ----------
    faces : columns `face` (unique), `group`, `bin`
    shares : wanted share of each part; they add up to 1

    Returns
    -------
    Series of part names, index as `faces`.
    """
    groups = faces.groupby("group").agg(size=("face", "size"), bin=("bin", "min"))
    groups["draw"] = [_draw(seed, str(group)) for group in groups.index]
    groups = groups.sort_values(["bin", "size", "draw"], ascending=[True, False, True])

    lacking = dict.fromkeys(shares, 0.0)
    part_of: dict[str, str] = {}
    for _, stratum in groups.groupby("bin", sort=True):
        for part, share in shares.items():
            lacking[part] += share * stratum["size"].sum()
        for group, size in stratum["size"].items():
            part = max(shares, key=lambda name: lacking[name] / shares[name])
            lacking[part] -= size
            part_of[str(group)] = part
    return faces["group"].map(part_of)


def uneven(faces: pd.DataFrame, shares: Mapping[str, float]) -> list[str]:
    """Say of each part that misses its share by more than `POINTS` why that could not be helped.

    A part takes whole groups, the largest first: none can end further from its share than twice
    the largest group, and with few faces one of them is more than a point.

    Parameters
    ----------
    faces : columns `face`, `group`, `part`
    """
    largest, count = int(faces["group"].value_counts().max()), len(faces)
    reasons = []
    for part, share in shares.items():
        got = float((faces["part"] == part).mean())
        if abs(got - share) > POINTS / 100:
            reasons.append(
                f"{part} has {got:.1%} of the faces instead of {share:.0%}: groups stay whole, the"
                f" largest has {largest} of {count} faces, {largest / count:.1%}"
            )
    return reasons


def summary(faces: pd.DataFrame, shares: Mapping[str, float]) -> dict[str, Any]:
    """Counts, ages and the largest deviation from the wanted shares: reports/split.json.

    Parameters
    ----------
    faces : columns `face`, `age`, `group`, `bin`, `part`
    """
    counts = pd.crosstab(faces["bin"], faces["part"]).reindex(columns=list(shares), fill_value=0)
    points = 100 * counts.div(counts.sum(axis=1), axis=0) - 100 * pd.Series(shares)
    bin_at, part_at = np.unravel_index(np.abs(points.to_numpy()).argmax(), points.shape)
    return {
        "parts": {name: _describe(faces[faces["part"] == name], len(faces)) for name in shares},
        "bins": counts.reset_index().to_dict(orient="records"),
        "largest_deviation": {
            "bin": points.index[bin_at],
            "part": points.columns[part_at],
            "points": float(points.to_numpy()[bin_at, part_at]),
        },
    }


def _describe(part: pd.DataFrame, total: int) -> dict[str, object]:
    age = part["age"]
    counts: dict[str, object] = {
        "faces": len(part),
        "groups": int(part["group"].nunique()),
        "share": len(part) / total,
    }
    if age.isna().any():  # a source of classes
        return counts
    return counts | {
        "age": {
            "mean": float(age.mean()),
            "sd": float(age.std(ddof=0)),
            "median": float(age.median()),
            "min": int(age.min()),
            "max": int(age.max()),
        },
    }


def _draw(seed: int, group: str) -> str:
    return hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()
