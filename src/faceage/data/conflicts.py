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
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from faceage.core.reasons import Reason
from faceage.data.ingestion import Candidate, Rejected
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

    kept: list[Candidate]
    rejected: list[Rejected]
    conflicts: list[Conflict]


def resolve_copies(found: list[Candidate], policy: str) -> Resolved:
    """Keep byte-identical files once, and where they disagree about the age by the policy.

    Of those that agree the narrowest label counts, an exact age before a band around it. Of copies
    in several sources the one stays whose source has a split of its own. A gender or race on which
    the copies disagree counts as missing.
    """
    result = Resolved([], [], [])
    for face, copies in _together(found, [candidate.face for candidate in found]):
        copies.sort(key=lambda copy: copy.origin.split is None)
        first, *others = copies
        rest = [Rejected(copy.name, Reason.COPY, f"of {first.name}") for copy in others]
        if not _disagree(copies, years=0):
            years = min(copies, key=_width).labels.years
            known = replace(first, labels=first.labels.of_years(*years)) if years else first
            result.kept.append(_agreed(known, copies))
            result.rejected.extend(rest)
            continue
        used = _settle(copies, policy)
        label = _said(used[0].labels) if used else ""
        result.conflicts.extend(_listed("exact", face, copies, [label] + [""] * len(others)))
        if used:
            result.kept.append(_agreed(used[0], copies))
            result.rejected.extend(rest)
        else:
            result.rejected.extend(_dropped(copies, "exact"))
    return result


def resolve_near(found: list[Candidate], clusters: list[str], policy: str) -> Resolved:
    """Treat near-duplicates that disagree about the age by the policy."""
    result = Resolved([], [], [])
    for cluster, alike in _together(found, clusters):
        if not _disagree(alike, YEARS):
            result.kept.extend(alike)
            continue
        used = _settle(alike, policy)
        labels = [_said(candidate.labels) for candidate in used] or [""] * len(alike)
        result.conflicts.extend(_listed("near", cluster, alike, labels))
        result.kept.extend(used)
        if not used:
            result.rejected.extend(_dropped(alike, "near"))
    order = {candidate.face: number for number, candidate in enumerate(found)}
    result.kept.sort(key=lambda candidate: order[candidate.face])
    return result


def summary(policy: str, conflicts: list[Conflict]) -> dict[str, Any]:
    """Clusters and files in conflict: a section of reports/ingest.json."""
    counts = {}
    for kind in REASONS:
        clusters = [conflict.cluster for conflict in conflicts if conflict.kind == kind]
        counts[kind] = {"clusters": len(set(clusters)), "files": len(clusters)}
    return {"policy": policy, **counts}


def _together(
    found: list[Candidate], names: Iterable[str]
) -> Iterable[tuple[str, list[Candidate]]]:
    members: dict[str, list[Candidate]] = defaultdict(list)
    for name, candidate in zip(names, found, strict=True):
        members[name].append(candidate)
    return members.items()


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


def _agreed(used: Candidate, copies: list[Candidate]) -> Candidate:
    genders = {copy.labels.gender for copy in copies} - {None}
    races = {copy.labels.race for copy in copies} - {None}
    labels = replace(
        used.labels,
        gender=genders.pop() if len(genders) == 1 else None,
        race=races.pop() if len(races) == 1 else None,
    )
    return replace(used, labels=labels)
