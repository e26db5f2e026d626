"""Assignment of whole clusters of faces to the three splits, and what leaks between those."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

POINTS = 1.0  # percentage points by which a split may miss its share without a word
# Kinds of clusters, each joined from those before it, and what is known of their faces.
KINDS = {
    "exact": "the same picture",
    "near": "near-duplicates",
    "burst": "bursts, probably of the same person",
}


def cluster_names(faces: pd.DataFrame, kind: str) -> pd.Series:
    """The cluster of each face, of a kind that `split.clusters` names; none: itself."""
    return faces["face" if kind == "none" else f"{kind}_cluster"]


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
    """Assign every face to a split: balanced over `bin`, clusters kept whole.

    Within a bin, clusters come largest first and then in an order drawn by `seed`; each goes to the
    split that lacks most faces in proportion to its share, so that every split gets its share of
    the large clusters too. What a bin leaves over or short is carried into the next one, so
    that rounding does not add up. The result depends on the set of faces and not on their order.

    Parameters
    ----------
    faces : columns `face` (unique), `cluster`, `bin`
    shares : wanted share of each split; they add up to 1

    Returns
    -------
    Series of split names, index as `faces`.
    """
    clusters = faces.groupby("cluster").agg(size=("face", "size"), bin=("bin", "min"))
    clusters["draw"] = [_draw(seed, str(cluster)) for cluster in clusters.index]
    clusters = clusters.sort_values(["bin", "size", "draw"], ascending=[True, False, True])

    lacking = dict.fromkeys(shares, 0.0)
    split_of: dict[str, str] = {}
    for _, stratum in clusters.groupby("bin", sort=True):
        for name, share in shares.items():
            lacking[name] += share * stratum["size"].sum()
        for cluster, size in stratum["size"].items():
            name = max(shares, key=lambda name: lacking[name] / shares[name])
            lacking[name] -= size
            split_of[str(cluster)] = name
    return faces["cluster"].map(split_of)


def fixed(faces: pd.DataFrame, order: Sequence[str]) -> pd.Series:
    """The split of each face whose cluster has one with a fixed split; None for the others.

    A cluster with several goes into the last of them in `order`, so that what is tested on is not
    learned from.

    Parameters
    ----------
    faces : columns `cluster`, `fixed_split`
    """
    place = faces["fixed_split"].map({name: number for number, name in enumerate(order)})
    last = place.groupby(faces["cluster"]).transform("max")
    return last.map(dict(enumerate(order))).astype(object)


def count_fixed(faces: pd.DataFrame) -> dict[str, int]:
    """Faces of sources with a split of their own, and what became of clusters with such faces.

    Parameters
    ----------
    faces : columns `fixed_split`, `drawn`, `split`

    Returns
    -------
    faces; joined: others that went with them; moved: of the faces, to another split than theirs.
    """
    own = faces["fixed_split"].notna()
    return {
        "faces": int(own.sum()),
        "joined": int((~own & ~faces["drawn"]).sum()),
        "moved": int((own & (faces["split"] != faces["fixed_split"])).sum()),
    }


def uneven(faces: pd.DataFrame, shares: Mapping[str, float]) -> list[str]:
    """Say of each split that misses its share by more than `POINTS` why that could not be helped.

    A split takes whole clusters, the largest first: none can end further from its share than twice
    the largest cluster, and with few faces one of them is more than a point.

    Parameters
    ----------
    faces : columns `face`, `cluster`, `split`
    """
    largest, count = int(faces["cluster"].value_counts().max()), len(faces)
    reasons = []
    for name, share in shares.items():
        got = float((faces["split"] == name).mean())
        if abs(got - share) > POINTS / 100:
            reasons.append(
                f"{name} has {got:.1%} of the faces instead of {share:.0%}: clusters stay whole,"
                f" the largest has {largest} of {count} faces, {largest / count:.1%}"
            )
    return reasons


def leaks(faces: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Clusters of each kind that lie in more than one split.

    Parameters
    ----------
    faces : columns `split` and the cluster of each kind

    Returns
    -------
    For each kind: clusters; faces in them; test_faces, those of them that are in test.
    """
    found = {}
    for kind in KINDS:
        sides = faces.groupby(cluster_names(faces, kind))["split"].transform("nunique")
        leaking = faces[sides > 1]
        found[kind] = {
            "clusters": int(cluster_names(leaking, kind).nunique()),
            "faces": len(leaking),
            "test_faces": int((leaking["split"] == "test").sum()),
        }
    return found


def kept_whole(leaks: Mapping[str, Mapping[str, int]]) -> str:
    """The widest kind of clusters of which none leaks, as `split.clusters` would name it."""
    whole = [kind for kind in KINDS if not leaks[kind]["clusters"]]
    return whole[-1] if whole else "none"


def leaks_in_words(leaks: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A line for each kind of clusters that leaks."""
    return [
        f"on more than one side, {KINDS[kind]}: {found['clusters']} clusters of {found['faces']}"
        f" faces, {found['test_faces']} of these in test"
        for kind, found in leaks.items()
        if found["clusters"]
    ]


def summary(faces: pd.DataFrame, shares: Mapping[str, float]) -> dict[str, Any]:
    """Counts, ages and the largest deviation from the wanted shares: reports/split.json.

    Parameters
    ----------
    faces : columns `face`, `age`, `cluster`, `bin`, `split`; `drawn`: whether the shares are meant
        to hold for them
    """
    counts, drawn = (
        pd.crosstab(part["bin"], part["split"]).reindex(columns=list(shares), fill_value=0)
        for part in (faces, faces[faces["drawn"]])
    )
    points = 100 * drawn.div(drawn.sum(axis=1), axis=0) - 100 * pd.Series(shares)
    bin_at, split_at = np.unravel_index(np.abs(points.to_numpy()).argmax(), points.shape)
    return {
        "splits": {name: _describe(faces[faces["split"] == name], len(faces)) for name in shares},
        "bins": counts.reset_index().to_dict(orient="records"),
        "largest_deviation": {
            "bin": points.index[bin_at],
            "split": points.columns[split_at],
            "points": float(points.to_numpy()[bin_at, split_at]),
        },
    }


def _describe(faces: pd.DataFrame, total: int) -> dict[str, object]:
    age = faces["age"]
    counts: dict[str, object] = {
        "faces": len(faces),
        "clusters": int(faces["cluster"].nunique()),
        "share": len(faces) / total,
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


def _draw(seed: int, cluster: str) -> str:
    return hashlib.sha256(f"{seed}:{cluster}".encode()).hexdigest()
