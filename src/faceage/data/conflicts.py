"""Files of one picture that disagree about the age: what is done with them, and the list of them.

Byte-identical files conflict if their ages differ at all, near-duplicates if they differ by more
than `YEARS`; bands of ages differ by the years between them, and not where they overlap; classes
conflict if they differ. At least one of the ages is wrong, and the picture
does not say which. The policy `data.conflicts` is one of

drop    none of the files is used
median  byte-identical files count once, near-duplicates each, with the median of their ages, of
        bands from the median of the first years to that of the last; classes have no median: they
        are dropped
keep    byte-identical files count once, with the label of the first, near-duplicates as they are
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from faceage.core import hash_arrays
from faceage.core.reasons import Reason
from faceage.data.candidates import Candidate, Candidates
from faceage.data.ingestion import Rejected
from faceage.data.readers.base import Labels

YEARS = 5
REASONS = {"exact": Reason.CONFLICT, "near": Reason.NEAR_CONFLICT}


class Conflict(NamedTuple):
    """A file of a cluster that disagrees; one row of data/conflicts.csv."""

    kind: str  # exact or near
    cluster: str  # the smallest face of it
    path: str
    label: str  # what the file says: age in years, a band of ages, or a class
    used: str  # the label that it is used with; empty where it is not


@dataclass(frozen=True)
class Resolved:
    """What becomes of candidates, and the conflicts that were found among them."""

    kept: Candidates
    rejected: list[Rejected]
    conflicts: list[Conflict]


def resolve_copies(found: Candidates, policy: str) -> Resolved:
    """Keep byte-identical files once, and where they disagree about the age by the policy.

    Of those that agree the narrowest label counts, an exact age before a band around it. Of copies
    in several sources the one stays whose source has a split of its own. A gender or race on which
    the copies disagree counts as missing.
    """
    changes: dict[int, Labels | None] = {}
    rejected, conflicts = [], []
    number_of = found.column("origin").tolist()
    for rows in _together(found.contents):
        rows.sort(key=lambda row: found.origins[number_of[row]].split is None)
        copies = [found[row] for row in rows]
        first, *others = copies
        changes |= dict.fromkeys(rows)
        if not _disagree(copies, years=0):
            years = min(copies, key=_width).labels.years
            used = [replace(first, labels=first.labels.of_years(*years)) if years else first]
        else:
            used = _settle(copies, policy)[:1]
            label = [_said(one.labels) for one in used] or [""]
            conflicts += _listed("exact", first.face, copies, label + [""] * len(others))
        if used:
            changes[rows[0]] = _agreed(used[0].labels, copies)
            rejected += [Rejected(copy.name, Reason.COPY, f"of {first.name}") for copy in others]
        else:
            rejected += _dropped(copies, "exact")
    return Resolved(found.changed(changes), rejected, conflicts)


def resolve_near(found: Candidates, clusters: np.ndarray, policy: str) -> Resolved:
    """Treat near-duplicates that disagree about the age by the policy.

    Parameters
    ----------
    clusters : for each the row of the smallest in its cluster
    """
    changes: dict[int, Labels | None] = {}
    rejected, conflicts = [], []
    for rows in _together(clusters):
        alike = [found[row] for row in rows]
        if not _disagree(alike, YEARS):
            continue
        used = _settle(alike, policy)
        labels = [_said(candidate.labels) for candidate in used] or [""] * len(alike)
        (cluster,) = hash_arrays.hexadecimal(found.contents[clusters[rows[:1]]])
        conflicts += _listed("near", cluster, alike, labels)
        changes |= dict.fromkeys(rows)
        if used:
            changes |= {row: one.labels for row, one in zip(rows, used, strict=True)}
        else:
            rejected += _dropped(alike, "near")
    return Resolved(found.changed(changes), rejected, conflicts)


def summary(policy: str, conflicts: list[Conflict]) -> dict[str, Any]:
    """Clusters and files in conflict: a section of reports/ingest.json."""
    counts = {}
    for kind in REASONS:
        clusters = [conflict.cluster for conflict in conflicts if conflict.kind == kind]
        counts[kind] = {"clusters": len(set(clusters)), "files": len(clusters)}
    return {"policy": policy, **counts}


def _together(names: np.ndarray) -> Iterator[list[int]]:
    """Rows that have one name, where there are several."""
    _, which, sizes = np.unique(names, return_inverse=True, return_counts=True)
    (rows,) = np.nonzero(sizes[which] > 1)
    rows = rows[np.argsort(which[rows], kind="stable")]
    ends = np.flatnonzero(np.diff(which[rows])) + 1
    return (part.tolist() for part in np.split(rows, ends) if len(part))


def _disagree(alike: list[Candidate], years: int) -> bool:
    classes = {one.labels.age_class for one in alike}
    bands = _bands(alike)
    apart = max(low for low, _ in bands) - min(high for _, high in bands) if bands else 0
    return len(classes) > 1 or apart > years


def _settle(alike: list[Candidate], policy: str) -> list[Candidate]:
    """The candidates with the labels that they are used with; none where they are not used."""
    bands = _bands(alike)
    if policy == "keep":
        return alike
    if policy == "median" and len(bands) == len(alike):
        low, high = (round(statistics.median(ends)) for ends in zip(*bands, strict=True))
        return [replace(one, labels=one.labels.of_years(low, high)) for one in alike]
    return []


def _bands(alike: list[Candidate]) -> list[tuple[int, int]]:
    """First and last year of each that is labelled with an age or a band."""
    return [one.labels.years for one in alike if one.labels.years is not None]


def _width(candidate: Candidate) -> int:
    low, high = candidate.labels.years or (0, 0)
    return high - low


def _said(labels: Labels) -> str:
    if labels.years is None:
        return f"{labels.age_class}"
    low, high = labels.years
    return f"{low}" if low == high else f"{low}-{high}"


def _listed(kind: str, cluster: str, alike: list[Candidate], used: list[str]) -> list[Conflict]:
    pairs = zip(alike, used, strict=True)
    return [Conflict(kind, cluster, one.name, _said(one.labels), label) for one, label in pairs]


def _dropped(alike: list[Candidate], kind: str) -> list[Rejected]:
    labels = {_said(candidate.labels) for candidate in alike}
    detail = f"ages {', '.join(sorted(labels))}"
    return [Rejected(candidate.name, REASONS[kind], detail) for candidate in alike]


def _agreed(used: Labels, copies: list[Candidate]) -> Labels:
    genders = {copy.labels.gender for copy in copies} - {None}
    races = {copy.labels.race for copy in copies} - {None}
    return replace(
        used,
        gender=genders.pop() if len(genders) == 1 else None,
        race=races.pop() if len(races) == 1 else None,
    )
