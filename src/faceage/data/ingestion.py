"""What the stage `ingest` does with each file: accept it as a labelled face or say why not."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from faceage.core.image_files import may_be_image
from faceage.core.progress import bar
from faceage.core.reasons import Reason
from faceage.core.script import UserError
from faceage.data import identities, ingest_cache
from faceage.data.bursts import burst_pairs
from faceage.data.duplicates import connected
from faceage.data.image_records import ALIGNED_SIDE, ImageRecord, Unusable
from faceage.data.ingest_cache import IngestCache
from faceage.data.origins import Origin
from faceage.data.readers.base import Labels, NoLabel
from faceage.data.reading import read_all
from faceage.data.sources import Unreadable
from faceage.data.spool import on_disk

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Reasons for which nobody expected an image to be used.
NOT_EXPECTED = (Reason.ABSENT, Reason.SET_ASIDE, Reason.COPY)
AGAIN = "run the same command again when nobody writes there"


class Rejected(NamedTuple):
    """A file that is not used; one row of data/rejected.csv."""

    path: str
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that decodes and is labelled; face: sha256 of its bytes, hexadecimal."""

    origin: Origin
    path: str
    face: str
    labels: Labels
    record: ImageRecord

    @property
    def name(self) -> str:
        """The path as tables can hold it."""
        return printable(self.origin.path(self.path))


@dataclass(frozen=True)
class Clusters:
    """For each face the name of its cluster, by ever weaker likeness: the smallest face in it.

    exact: the same pixels; near: near-duplicates too; burst: the same person, probably, too.
    """

    exact: list[str]
    near: list[str]
    burst: list[str]


def inspect(
    origin: Origin, earlier: IngestCache
) -> tuple[list[Candidate], list[Rejected], dict[str, ImageRecord | Unusable]]:
    """Read every file once, decode those not seen earlier; what is only listed counts as found.

    Returns the usable files, the others, and what was seen of each content.
    """
    kept: list[Candidate] = []
    rejected = [_rejected(origin.path(name), Reason.ABSENT) for name in origin.reader.absent]
    records: dict[str, ImageRecord | Unusable] = {}
    known = earlier.records
    found = on_disk(read_all(origin, known.keys()), ingest_cache.folder())
    for path, face, record, problem in bar(found, "ingest", "file", len(origin.reader.images)):
        if problem:
            rejected.append(_rejected(origin.path(path), Reason.UNREADABLE, problem))
            continue
        if face not in records:
            records[face] = record or known[face]
        item = _judge(origin, path, face, records[face])
        if isinstance(item, Candidate):
            kept.append(item)
        else:
            rejected.append(item)
    return kept, rejected, records


def cluster(
    kept: list[Candidate], near: frozenset[tuple[str, str]], similarity: float = 1.0
) -> Clusters:
    """Join faces of the same pixels, near-duplicates, and what shows the same person.

    Parameters
    ----------
    near : pairs of faces that are near-duplicates; others than those that are kept do not count
    similarity : of embeddings from which on two faces are of one person
    """
    faces = [candidate.face for candidate in kept]
    row_of = {face: row for row, face in enumerate(faces)}
    first_with: dict[str, int] = {}
    same = [(first_with.setdefault(c.record.pixels, row), row) for row, c in enumerate(kept)]
    exact = np.array(same, dtype=int).reshape(-1, 2)
    rows = [(row_of[a], row_of[b]) for a, b in near if a in row_of and b in row_of]
    alike = np.concatenate([exact, np.array(rows, dtype=int).reshape(-1, 2)])
    people_alike = np.concatenate([alike, _same_people(kept, similarity)])
    return Clusters(*(_named(faces, pairs) for pairs in (exact, alike, people_alike)))


def refuse_losses(origin: Origin, kept: int, rejected: list[Rejected]) -> None:
    """Raise `UserError` if less than `data.min_kept` of the images are usable, or none is.

    Copies, what the data set itself puts aside and what is no image by its name do not count.
    """
    reader, data = origin.reader, origin.data
    lost = [
        item for item in rejected if may_be_image(item.path) and item.reason not in NOT_EXPECTED
    ]
    images = kept + len(lost)
    if kept and kept >= data.min_kept * images:
        return
    usable, verb = f"only {kept}" if kept else "none", "are" if kept > 1 else "is"
    reasons = ", ".join(f"{count} {reason}" for reason, count in count_reasons(lost).items())
    shown = "; ".join(f"{path}: {reason} {detail}".rstrip() for path, reason, detail in lost[:3])
    cure = f"; to go on with what there is: -S data.min_kept={0.99 * kept / images:.2g}"
    raise UserError(
        f"data.source: {usable} of the {images} images in {data.source} {verb} usable: {reasons}"
        f" ({shown}); in the layout {reader.layout} faces come as {reader.shown}"
        f"{cure if kept else ''}"
    )


def refuse_unlabelled(origin: Origin) -> None:
    """Raise `UserError` if too few images are labelled, before any is decoded."""
    unlabelled = origin.reader.unlabelled.items()
    lost = [_rejected(origin.path(name), no.reason, str(no)) for name, no in unlabelled]
    refuse_losses(origin, len(origin.reader.labelled), lost)


def refuse_a_mixture(kept: list[Candidate]) -> None:
    """Raise `UserError` if some faces are labelled with classes and others with ages."""
    of_classes = [candidate for candidate in kept if candidate.labels.years is None]
    if of_classes and len(of_classes) < len(kept):
        raise UserError(
            f"data.sources: {len(of_classes)} faces are labelled with classes, the first"
            f" {of_classes[0].name}, and {len(kept) - len(of_classes)} with ages; one data set has"
            " one or the other"
        )


def rows(kept: list[Candidate], clusters: Clusters) -> Iterator[dict[str, object]]:
    """Rows of data/faces.parquet; the bytes are read again rather than held in memory."""
    for candidate, row in zip(kept, described(kept, clusters), strict=True):
        content = candidate.record.aligned or _read_again(candidate)
        yield row | {"image": {"bytes": content, "path": candidate.name}}


def described(kept: list[Candidate], clusters: Clusters) -> Iterator[dict[str, object]]:
    """Rows of data/faces.parquet without the images."""
    for number, candidate in enumerate(kept):
        labels, seen, origin = candidate.labels, candidate.record, candidate.origin
        low, high = labels.years or (None, None)
        yield {
            "face": candidate.face,
            "age": labels.middle,
            "age_low": low,
            "age_high": high,
            "age_class": labels.age_class,
            "gender": labels.gender,
            "race": labels.race,
            "exact_cluster": clusters.exact[number],
            "near_cluster": clusters.near[number],
            "burst_cluster": clusters.burst[number],
            "width": ALIGNED_SIDE if seen.aligned else seen.width,
            "height": ALIGNED_SIDE if seen.aligned else seen.height,
            "synthetic": seen.synthetic,
            "weight": origin.weight,
            "fixed_split": origin.split,
        }


def _read_again(candidate: Candidate) -> bytes:
    """Bytes of a file that was read before; raises `UserError` if they are not the same."""
    origin, place = candidate.origin, f"{candidate.origin.data.source}: {candidate.path}"
    try:
        content = origin.source.read(candidate.path)
    except Unreadable as error:
        raise UserError(f"{place} was read once and not again ({error}); {AGAIN}") from None
    if hashlib.sha256(content).hexdigest() != candidate.face:
        raise UserError(f"{place} changed while it was read; {AGAIN}")
    return content


def count_reasons(rejected: list[Rejected]) -> dict[str, int]:
    """Files by reason, in the order of `Reason`."""
    counts = Counter(item.reason for item in rejected)
    return {str(reason): counts[reason] for reason in Reason if counts[reason]}


def summary(
    origins: list[Origin], kept: list[Candidate], rejected: list[Rejected], clusters: Clusters
) -> dict[str, Any]:
    """Content of reports/ingest.json, but for the conflicts; `sources` are the further ones."""
    first, *further = origins
    kept_of = Counter(candidate.origin.name for candidate in kept)
    return {
        "source": first.data.source,
        "layout": first.reader.layout,
        "sources": {
            origin.name: {
                "source": origin.data.source,
                "layout": origin.reader.layout,
                "found": origin.reader.found,
                "kept": kept_of[origin.name],
                "weight": origin.weight,
                "split": origin.split,
            }
            for origin in further
        },
        "synthetic": any(candidate.record.synthetic for candidate in kept),
        "found": len(kept) + len(rejected),
        "kept": len(kept),
        "recovered": sum(candidate.record.recovered for candidate in kept),
        "rejected": count_reasons(rejected),
        "ignored": sum(origin.source.ignored for origin in origins),
        "bands": sum(c.labels.age is None and c.labels.years is not None for c in kept),
        "missing": {
            "age": sum(candidate.labels.years is None for candidate in kept),
            "gender": sum(candidate.labels.gender is None for candidate in kept),
            "race": sum(candidate.labels.race is None for candidate in kept),
        },
        "near_duplicates": _shared(clusters.near),
        "bursts": _shared(clusters.burst),
    }


def _same_people(kept: list[Candidate], similarity: float) -> np.ndarray:
    """Pairs of one identity, of bursts, and of embeddings that are as similar as that."""
    known = ["age", "gender", "race", "taken"]
    people = pd.DataFrame({n: [getattr(one.labels, n) for one in kept] for n in known})
    pairs = [_named_alike(kept), burst_pairs(people)]
    embeddings = [c.record.embedding for c in kept if c.record.embedding is not None]
    if embeddings:
        pairs.append(identities.same_person(np.stack(embeddings), similarity))
    return np.concatenate(pairs)


def _named_alike(kept: list[Candidate]) -> np.ndarray:
    """Each face that a source gives an identity, int (pairs, 2), with the first one that has it."""
    first_of: dict[str, int] = {}
    pairs = [
        (first_of.setdefault(candidate.labels.identity, row), row)
        for row, candidate in enumerate(kept)
        if candidate.labels.identity
    ]
    return np.array(pairs, dtype=int).reshape(-1, 2)


def _shared(clusters: list[str]) -> dict[str, int]:
    counts = [count for count in Counter(clusters).values() if count > 1]
    return {"clusters": len(counts), "faces": sum(counts)}


def _named(faces: list[str], pairs: np.ndarray) -> list[str]:
    numbers = connected(len(faces), pairs)
    names: dict[int, str] = {}
    for number, face in zip(numbers, faces, strict=True):
        names[number] = min(names.get(number, face), face)
    return [names[number] for number in numbers]


def _judge(
    origin: Origin, path: str, face: str, shown: ImageRecord | Unusable
) -> Candidate | Rejected:
    """Accept one file or give the first reason against it; a band is as old as its middle."""
    data, name = origin.data, origin.path(path)
    if isinstance(shown, Unusable):
        return _rejected(name, shown.reason, shown.detail)
    try:
        labels = origin.reader.labels(path)
    except NoLabel as error:
        return _rejected(name, error.reason, str(error))
    if labels.middle is not None and not data.min_age <= labels.middle <= data.max_age:
        age = labels.age if labels.age is not None else labels.in_words
        return _rejected(name, Reason.AGE, f"age {age}")
    if min(shown.width, shown.height) < data.min_img_size:
        return _rejected(name, Reason.TOO_SMALL, f"{shown.width}x{shown.height} pixels")
    if shown.aligned == b"":
        return _rejected(name, Reason.NO_FACE)
    return Candidate(origin, path, face, labels, shown)


def _rejected(path: str, reason: Reason, detail: str = "") -> Rejected:
    return Rejected(printable(path), reason, printable(detail))


def printable(text: str) -> str:
    """File names may hold bytes that are not UTF-8, and ends of lines; tables may not."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return CONTROL.sub(lambda character: character[0].encode("unicode_escape").decode(), text)
