"""What the stage `ingest` does with each file: accept it as a labelled face or say why not."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from faceage.core import hash_arrays
from faceage.core.image_files import may_be_image
from faceage.core.progress import bar
from faceage.core.reasons import Reason
from faceage.core.script import UserError
from faceage.data import ingest_cache
from faceage.data.candidates import Candidate, Candidates, printable
from faceage.data.clustering import Clusters
from faceage.data.image_records import ALIGNED_SIDE, ImageRecord, Unusable
from faceage.data.origins import Origin
from faceage.data.readers.base import Labels, NoLabel
from faceage.data.reading import read_all
from faceage.data.records import BATCH, Records, Writer
from faceage.data.sources import Unreadable

# Reasons for which nobody expected an image to be used.
NOT_EXPECTED = (Reason.ABSENT, Reason.SET_ASIDE, Reason.COPY)
AGAIN = "run the same command again when nobody writes there"


class Rejected(NamedTuple):
    """A file that is not used; one row of data/rejected.csv."""

    path: str
    reason: Reason
    detail: str


def inspect(origin: Origin, earlier: Records) -> tuple[Candidates, list[Rejected]]:
    """Read every file once, decode those not seen earlier; what is only listed counts as found.

    Returns the usable files, with the records of all files, and the others.
    """
    rejected = [_rejected(origin.path(name), Reason.ABSENT) for name in origin.reader.absent]
    images = origin.reader.images
    files, rows, writer = array("i"), array("i"), Writer(earlier, ingest_cache.folder())
    found = bar(read_all(origin, earlier.row_of), "ingest", "file", len(images))
    for file, (path, face, record, problem) in enumerate(found):
        if problem:
            rejected.append(_rejected(origin.path(path), Reason.UNREADABLE, problem))
        else:
            files.append(file)
            rows.append(writer.row(face, record))
    records = writer.records()
    # Copies have a record each where the first of them is new.
    seen, numbers = np.unique(records.row_of(records.contents[rows]), return_inverse=True)
    records = records.only(seen)

    def usable() -> Iterator[tuple[int, int, Labels]]:
        for file, number in zip(files, numbers.tolist(), strict=True):
            said = _judge(origin, images[file], records[number])
            if isinstance(said, Labels):
                yield file, number, said
            else:
                rejected.append(said)

    return Candidates.of(origin, records, usable()), rejected


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


def refuse_a_mixture(kept: Candidates) -> None:
    """Raise `UserError` if some faces are labelled with classes and others with ages."""
    (of_classes,) = np.nonzero(kept.of_classes)
    if 0 < len(of_classes) < len(kept):
        raise UserError(
            f"data.sources: {len(of_classes)} faces are labelled with classes, the first"
            f" {kept[int(of_classes[0])].name}, and {len(kept) - len(of_classes)} with ages; one"
            " data set has one or the other"
        )


def rows(kept: Candidates, clusters: Clusters) -> Iterator[dict[str, object]]:
    """Rows of data/faces.parquet; the bytes are read again rather than held in memory."""
    for candidate, row in _described(kept, clusters):
        content = candidate.record.aligned or _read_again(candidate)
        yield row | {"image": {"bytes": content, "path": candidate.name}}


def described(kept: Candidates, clusters: Clusters) -> Iterator[dict[str, object]]:
    """Rows of data/faces.parquet without the images."""
    return (row for _, row in _described(kept, clusters))


def _described(
    kept: Candidates, clusters: Clusters
) -> Iterator[tuple[Candidate, dict[str, object]]]:
    for start in range(0, len(kept), BATCH):
        part = slice(start, start + BATCH)
        names = (
            hash_arrays.hexadecimal(kept.contents[of[part]])
            for of in (clusters.exact, clusters.near, clusters.burst)
        )
        for candidate, exact, near, burst in zip(kept[part], *names, strict=True):
            labels, seen, origin = candidate.labels, candidate.record, candidate.origin
            low, high = labels.years or (None, None)
            yield (
                candidate,
                {
                    "face": candidate.face,
                    "age": labels.middle,
                    "age_low": low,
                    "age_high": high,
                    "age_class": labels.age_class,
                    "gender": labels.gender,
                    "race": labels.race,
                    "exact_cluster": exact,
                    "near_cluster": near,
                    "burst_cluster": burst,
                    "width": ALIGNED_SIDE if seen.aligned else seen.width,
                    "height": ALIGNED_SIDE if seen.aligned else seen.height,
                    "synthetic": seen.synthetic,
                    "weight": origin.weight,
                    "fixed_split": origin.split,
                },
            )


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
    origins: list[Origin], kept: Candidates, rejected: list[Rejected], clusters: Clusters
) -> dict[str, Any]:
    """Content of reports/ingest.json, but for the conflicts; `sources` are the further ones."""
    first, *further = origins
    numbers = kept.column("origin")
    table = kept.table
    return {
        "source": first.data.source,
        "layout": first.reader.layout,
        "sources": {
            origin.name: {
                "source": origin.data.source,
                "layout": origin.reader.layout,
                "found": origin.reader.found,
                "kept": int((numbers == number).sum()),
                "weight": origin.weight,
                "split": origin.split,
            }
            for number, origin in enumerate(further, 1)
        },
        "synthetic": bool(_marked(kept, "synthetic")),
        "found": len(kept) + len(rejected),
        "kept": len(kept),
        "recovered": _marked(kept, "recovered"),
        "rejected": count_reasons(rejected),
        "ignored": sum(origin.source.ignored for origin in origins),
        "bands": len(kept) - table["age_low"].null_count,
        "missing": {
            "age": int(kept.of_classes.sum()),
            "gender": table["gender"].null_count,
            "race": table["race"].null_count,
        },
        "near_duplicates": _shared(clusters.near),
        "bursts": _shared(clusters.burst),
    }


def _marked(kept: Candidates, name: str) -> int:
    """How many have a record of which that is true."""
    return int(kept.records.column(name).to_numpy()[kept.column("record")].sum())


def _shared(clusters: np.ndarray) -> dict[str, int]:
    sizes = np.unique(clusters, return_counts=True)[1]
    return {"clusters": int((sizes > 1).sum()), "faces": int(sizes[sizes > 1].sum())}


def _judge(origin: Origin, path: str, shown: ImageRecord | Unusable) -> Labels | Rejected:
    """The labels of one file, or the first reason against it; a band is as old as its middle."""
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
    return labels


def _rejected(path: str, reason: Reason, detail: str = "") -> Rejected:
    return Rejected(printable(path), reason, printable(detail))
