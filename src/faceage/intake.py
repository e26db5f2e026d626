"""What the stage `ingest` does with each file: accept it as a labelled face or say why not."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice, repeat
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from faceage import images, utkface
from faceage.crops import find as find_crops
from faceage.duplicates import fingerprint, near_groups
from faceage.progress import bar
from faceage.readers import Labels, NoLabel, Reader
from faceage.reasons import Reason
from faceage.settings import Data
from faceage.sources import Source, Unreadable

# Files read ahead of the decoding threads: bounds the memory, keeps the threads busy.
CHUNK = 256
# Faces cut out of photographs are kept at the size of UTKFace's.
ALIGNED_SIDE = 200


class Rejected(NamedTuple):
    """A file that is not used; one row of data/rejected.csv."""

    path: str
    reason: Reason
    detail: str


@dataclass(frozen=True)
class Candidate:
    """A file that decodes and is labelled."""

    path: str
    face: str  # sha256 of the file's bytes, hexadecimal
    labels: Labels
    width: int
    height: int
    synthetic: bool
    fingerprint: np.ndarray
    aligned: bytes | None = None  # the face as an image file, where it was cut out of a photograph


def inspect(source: Source, reader: Reader, data: Data) -> tuple[list[Candidate], list[Rejected]]:
    """Read and decode every file once; files that are only listed count as found."""
    found: list[Candidate | Rejected] = []
    names = bar(reader.images, "ingest", "file")
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for chunk in _chunks(iter(names)):
            contents = [_read(source, name) for name in chunk]
            found += threads.map(_inspect, chunk, contents, repeat(reader), repeat(data))
    kept = [item for item in found if isinstance(item, Candidate)]
    absent = [Rejected(_printable(name), Reason.ABSENT, "") for name in reader.absent]
    return kept, [item for item in found if isinstance(item, Rejected)] + absent


def resolve_copies(found: list[Candidate]) -> tuple[list[Candidate], list[Rejected]]:
    """Keep byte-identical files once, and none of them where they disagree about the age.

    A gender or race on which the copies disagree counts as missing.
    """
    copies: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in found:
        copies[candidate.face].append(candidate)
    kept, rejected = [], []
    for first, *others in copies.values():
        ages = sorted({_said_age(copy.labels) for copy in [first, *others]})
        if len(ages) > 1:
            detail = f"ages {', '.join(ages)}"
            rejected += [Rejected(copy.path, Reason.CONFLICT, detail) for copy in [first, *others]]
        else:
            kept.append(_agreed(first, others))
            detail = f"of {first.path}"
            rejected += [Rejected(copy.path, Reason.COPY, detail) for copy in others]
    return kept, rejected


def group_near_duplicates(kept: list[Candidate], threshold: float) -> list[str]:
    """Name each face's group of near-identical images after the smallest face in it."""
    numbers = near_groups(np.stack([candidate.fingerprint for candidate in kept]), threshold)
    names: dict[int, str] = {}
    for number, candidate in zip(numbers, kept, strict=True):
        names[number] = min(names.get(number, candidate.face), candidate.face)
    return [names[number] for number in numbers]


def rows(source: Source, kept: list[Candidate], groups: list[str]) -> Iterator[dict[str, object]]:
    """Rows of data/faces.parquet; the bytes are read again rather than held in memory."""
    for candidate, group in zip(kept, groups, strict=True):
        content = candidate.aligned or source.read(candidate.path)
        yield {
            "face": candidate.face,
            "image": {"bytes": content, "path": _printable(candidate.path)},
            "age": candidate.labels.age,
            "age_class": candidate.labels.age_class,
            "gender": candidate.labels.gender,
            "race": candidate.labels.race,
            "group": group,
            "width": candidate.width,
            "height": candidate.height,
            "synthetic": candidate.synthetic,
        }


def count_reasons(rejected: list[Rejected]) -> dict[str, int]:
    """Files by reason, in the order of `Reason`."""
    counts = Counter(item.reason for item in rejected)
    return {str(reason): counts[reason] for reason in Reason if counts[reason]}


def summary(
    origin: str,
    layout: str,
    kept: list[Candidate],
    rejected: list[Rejected],
    groups: list[str],
) -> dict[str, Any]:
    """Content of reports/ingest.json."""
    shared = [count for count in Counter(groups).values() if count > 1]
    return {
        "source": origin,
        "layout": layout,
        "synthetic": any(candidate.synthetic for candidate in kept),
        "found": len(kept) + len(rejected),
        "kept": len(kept),
        "rejected": count_reasons(rejected),
        "missing": {
            "age": sum(candidate.labels.age is None for candidate in kept),
            "gender": sum(candidate.labels.gender is None for candidate in kept),
            "race": sum(candidate.labels.race is None for candidate in kept),
        },
        "near_duplicates": {"groups": len(shared), "faces": sum(shared)},
    }


def _chunks(names: Iterator[str]) -> Iterator[list[str]]:
    while chunk := list(islice(names, CHUNK)):
        yield chunk


def _read(source: Source, name: str) -> bytes | Unreadable:
    try:
        return source.read(name)
    except Unreadable as error:
        return error


def _inspect(
    path: str, content: bytes | Unreadable, reader: Reader, data: Data
) -> Candidate | Rejected:
    """Accept one file or give the first reason against it; never raises."""

    def reject(reason: Reason, detail: object = "") -> Rejected:
        return Rejected(_printable(path), reason, _printable(str(detail)))

    if isinstance(content, Unreadable):
        return reject(Reason.UNREADABLE, content)
    if not content:
        return reject(Reason.EMPTY)
    try:
        image = images.decode(content)
    except images.NotAnImage:
        return reject(Reason.NOT_AN_IMAGE)
    except images.TooManyPixels as error:
        return reject(Reason.TOO_LARGE, error)
    except images.Damaged as error:
        return reject(Reason.TRUNCATED if error.truncated else Reason.DAMAGED, error)
    try:
        labels = reader.labels(path)
    except NoLabel as error:
        return reject(error.reason, error)
    if labels.age is not None and not data.min_age <= labels.age <= data.max_age:
        return reject(Reason.AGE, f"age {labels.age}")
    if min(image.size) < data.min_px:
        return reject(Reason.TOO_SMALL, f"{image.width}x{image.height} pixels")
    aligned = None
    if data.align:
        crops = find_crops(image, "always", ALIGNED_SIDE)
        if not crops:
            return reject(Reason.NO_FACE)
        face = Image.fromarray(crops[0].pixels)
        face.info, image = image.info, face
        aligned = images.encode(face)
    return Candidate(
        path=path,
        face=hashlib.sha256(content).hexdigest(),
        labels=labels,
        width=image.width,
        height=image.height,
        synthetic=image.info.get("comment") == utkface.SYNTHETIC_COMMENT,
        fingerprint=fingerprint(image),
        aligned=aligned,
    )


def _said_age(labels: Labels) -> str:
    return labels.age_class or f"{labels.age}"


def _agreed(first: Candidate, others: list[Candidate]) -> Candidate:
    genders = {copy.labels.gender for copy in [first, *others]} - {None}
    races = {copy.labels.race for copy in [first, *others]} - {None}
    labels = replace(
        first.labels,
        gender=genders.pop() if len(genders) == 1 else None,
        race=races.pop() if len(races) == 1 else None,
    )
    return replace(first, labels=labels)


def _printable(text: str) -> str:
    """File names may hold bytes that are not UTF-8; tables may not."""
    return text.encode("utf-8", "backslashreplace").decode()
