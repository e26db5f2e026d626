"""What is kept of each content, on the disk, and of each candidate, in columns."""

import hashlib
import random
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from faceage.core import hash_arrays
from faceage.core.params import IngestParams, load
from faceage.core.reasons import Reason
from faceage.data import conflicts, ingest_cache, records
from faceage.data.candidates import Candidates
from faceage.data.duplicates import SIDE
from faceage.data.image_records import ImageRecord, Unusable
from faceage.data.ingest_cache import IngestCache
from faceage.data.readers.base import Labels
from faceage.data.records import Records, Writer

MOST_OF_A_FACE = 200  # bytes


def content(number: int) -> str:
    return hashlib.sha256(f"{number}".encode()).hexdigest()


def record(number: int) -> ImageRecord | Unusable:
    """Every seventh is none."""
    if number % 7 == 6:
        return Unusable(Reason.DAMAGED, f"{number}")
    chance = np.random.default_rng(number)
    return ImageRecord(
        width=200 + number,
        height=100,
        synthetic=number % 2 == 0,
        recovered=number % 3 == 0,
        pixels=content(-number),
        fingerprint=chance.integers(0, 256, (SIDE, SIDE), np.uint8),
        aligned=[None, b"", b"face"][number % 3],
        embedding=chance.random(8, np.float32),
    )


def same(found, wanted) -> bool:
    if isinstance(wanted, Unusable):
        return found == wanted
    arrays = ("fingerprint", "embedding")
    return all(
        np.array_equal(getattr(found, name), getattr(wanted, name)) for name in arrays
    ) and replace(found, **dict.fromkeys(arrays)) == replace(wanted, **dict.fromkeys(arrays))


def written(numbers, folder, earlier=None) -> Records:
    writer = Writer(earlier or Records.none(), folder)
    for number in numbers:
        writer.row(content(number), record(number))
    return writer.records()


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(records, "BATCH", 5)


def test_records_come_back_behind_the_earlier_ones(tmp_path):
    earlier = written(range(12), tmp_path)
    writer = Writer(earlier, tmp_path)
    rows = [writer.row(content(n), None if n < 12 else record(n)) for n in (3, 20, 0, 21, 11)]
    assert rows == [3, 12, 0, 13, 11]
    found = writer.records()
    for row, number in enumerate([*range(12), 20, 21]):
        assert same(found[row], record(number))
        assert found.row_of(hash_arrays.packed([content(number)])).tolist() == [row]
    assert list(tmp_path.iterdir()) == []


def test_some_of_them_are_as_if_the_others_were_not_there(tmp_path):
    first, second = written(range(13), tmp_path), written(range(8, 30), tmp_path)
    numbers = [*range(13), *range(8, 30)]
    chosen = np.array([0, 4, 5, 12, 13, 20, 34])
    some = Records.joined([first, second]).only(chosen)
    wanted = [record(numbers[row]) for row in chosen]
    assert len(some) == len(chosen)
    assert all(map(same, some, wanted))
    assert hash_arrays.hexadecimal(some.contents) == [content(numbers[row]) for row in chosen]
    in_batches = [one for batch in some.batches() for one in batch["content"].to_pylist()]
    assert [one.hex() for one in in_batches] == hash_arrays.hexadecimal(some.contents)
    pictures = [one for one in wanted if isinstance(one, ImageRecord)]
    assert all(map(same, some.pictures, pictures))
    prints = some.pictures.fingerprints(np.arange(len(pictures))[::-1])
    assert np.array_equal(prints[:2], np.stack([one.fingerprint for one in pictures[:-3:-1]]))
    assert np.array_equal(prints[len(pictures) - 1], pictures[0].fingerprint)
    embeddings = np.asarray(some.pictures.embeddings(np.array([1, 0])))
    assert np.array_equal(embeddings, [np.asarray(pictures[row].embedding) for row in (1, 0)])


def test_a_cache_gives_back_what_it_was_given(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(ingest_cache, "folder", lambda: tmp_path)
    data = load(IngestParams).data
    found = written(range(40), tmp_path).only(np.arange(1, 40, 3))
    near = found.contents[np.array([[0, 3], [0, 1], [5, 2]])]
    ingest_cache.save(data, IngestCache(found, near, compared=True), IngestCache())
    again = ingest_cache.load(data)
    assert again.compared
    assert all(map(same, again.records, found))
    assert sorted(map(tuple, again.near.tolist())) == sorted(map(tuple, near.tolist()))
    other = ingest_cache.load(data.model_copy(update={"near_duplicate": 0.9}))
    assert not other.compared
    assert len(other.records) == len(found)
    assert len(other.near) == 0


def origin(count: int):
    reader = SimpleNamespace(images=[f"{number:06}.jpg" for number in range(count)])
    return SimpleNamespace(reader=reader, split=None, path=lambda name: name)


def labels(number: int) -> Labels:
    kinds = (
        {"age": number % 100, "taken": number / 7},
        {"age_low": 3, "age_high": 9, "identity": f"set/{number % 5}"},
        {"age_class": "OLD"},
    )
    return Labels(**kinds[number % 3], gender=(None, 0, 1)[number % 3])


def candidates(numbers, folder) -> Candidates:
    found = written(numbers, folder)
    rows = ((n, row, labels(n)) for row, n in enumerate(numbers) if n % 7 != 6)
    return Candidates.of(origin(max(numbers) + 1), found, rows)


def said(found) -> list[tuple[str, str, Labels]]:
    return [(one.path, one.face, one.labels) for one in found]


def test_candidates_are_what_was_said_of_them(tmp_path):
    numbers = [3, 4, 5, 6, 20, 21, 22]
    found = candidates(numbers, tmp_path)
    wanted = [(f"{n:06}.jpg", content(n), labels(n)) for n in numbers if n % 7 != 6]
    assert said(found) == wanted
    assert said([found[row] for row in range(len(found))]) == wanted
    assert said(found[1:3]) == wanted[1:3]
    assert all(same(one.record, record(int(one.path[:6]))) for one in found)


def test_changed_candidates_stay_in_their_places(tmp_path):
    found = candidates(list(range(30)), tmp_path)
    chance = random.Random(0)
    changes = {row: chance.choice([None, Labels(age=99)]) for row in chance.sample(range(20), 9)}
    wanted = [
        (path, face, changes.get(row) or own)
        for row, (path, face, own) in enumerate(said(found))
        if changes.get(row, own) is not None
    ]
    assert said(found.changed(changes)) == wanted
    assert said(found.changed({})) == said(found)
    assert said(found.only(np.arange(len(found)) % 2 == 0)) == said(found)[::2]


def test_candidates_of_several_sources_keep_their_files_and_records(tmp_path):
    parts = [candidates(list(range(start, 20)), tmp_path) for start in (0, 10, 15)]
    joined = Candidates.joined(parts)
    assert said(joined) == [one for part in parts for one in said(part)]
    assert all(same(one.record, record(int(one.path[:6]))) for one in joined)
    assert [one.origin for one in joined] == [part.origins[0] for part in parts for _ in part]
    kept = conflicts.resolve_copies(joined, "drop").kept
    assert said(kept) == said(parts[0])


def test_little_is_held_of_each_face(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "BATCH", 1024)
    one = record(1)
    count = 20_000
    faces = origin(count)
    in_arrow = pa.total_allocated_bytes()
    tracemalloc.start()
    writer = Writer(Records.none(), tmp_path)
    for number in range(count):
        writer.row(content(number), one)
    found = writer.records()
    rows = ((number, number, labels(number)) for number in range(count))
    kept = Candidates.of(faces, found, rows)
    del rows
    assert len(kept.contents) == count
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    held += pa.total_allocated_bytes() - in_arrow
    assert held / count < MOST_OF_A_FACE
