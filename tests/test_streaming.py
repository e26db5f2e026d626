"""Faces that are streamed: the pixels of decoded ones, each once an epoch, little read twice."""

import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import photo
from torch import Tensor

from faceage.core import shards, tables
from faceage.core.contracts import ContractBroken
from faceage.core.script import UserError
from faceage.core.shards import Shards
from faceage.networks import streaming
from faceage.networks.streaming import StreamedPixels
from faceage.training import reading
from faceage.training.reading import Read

COUNT, SIDE = 90, 40
IMG_SIZE = 32


def write(count: int = COUNT, shard_faces: int | None = 20, train: int = 4) -> None:
    """Faces of rising age, of which every fifth is for validation; `train` of five are learned."""
    names = [f"{7919 * number % 1009:064x}" for number in range(count)]
    rows: list[dict[str, object]] = [
        {
            **{"face": name, "image": {"bytes": photo(n, (SIDE, SIDE)), "path": f"{n}.jpg"}},
            **dict.fromkeys(("age", "age_low", "age_high"), 100 * n // count),
            "age_class": None,
            **{"gender": n % 2 or None, "race": None, "weight": 1 + n % 3, "fixed_split": None},
            **dict.fromkeys(("exact_cluster", "near_cluster", "burst_cluster"), name),
            **{"width": SIDE, "height": SIDE, "synthetic": True},
        }
        for n, name in enumerate(names)
    ]
    tables.write_faces(rows, shard_faces)
    parts = ["train" if n % 5 < train else "val" for n in range(count)]
    tables.write_split(pd.DataFrame({"face": names, "cluster": names, "split": parts}))


def decoded() -> Read:
    return reading.decoded(tables.read_splits(), tables.FACES, IMG_SIZE, [])


def streamed(source: Path | str = tables.FACES) -> Read:
    return reading.streamed(source, tables.SPLIT, IMG_SIZE, [])


@pytest.fixture(autouse=True)
def small(workspace, monkeypatch):
    monkeypatch.setattr(shards, "ROW_GROUP", 6)
    monkeypatch.setattr(streaming, "BUFFER", 24)


@pytest.fixture
def read(monkeypatch) -> list[tuple[int, int]]:
    """Row groups whose images have been read, by shard and number."""
    found: list[tuple[int, int]] = []
    whole = Shards.read

    def noted(self, number, columns, group=None):
        if group is not None:
            found.append((number, group))
        return whole(self, number, columns, group)

    monkeypatch.setattr(Shards, "read", noted)
    return found


def stream(read: Read) -> StreamedPixels:
    """The pixels of the training faces."""
    assert isinstance(read.train.pixels, StreamedPixels)
    return read.train.pixels


def order_of(read: Read, size: int = 8, processes: int = 1, seed: int = 0) -> list[Tensor]:
    sizes = [len(rows) for rows in torch.arange(len(read.train)).split(size)]
    generator = torch.Generator().manual_seed(seed)
    return list(stream(read).order(generator, sizes, processes).split(size))


@pytest.mark.parametrize("shard_faces", [None, 20])
def test_labels_weights_and_names_are_those_of_decoded_faces(shard_faces):
    write(shard_faces=shard_faces)
    inside, outside = decoded(), streamed()
    for ours, wanted in ((outside.train, inside.train), (outside.val, inside.val)):
        for name, values in vars(wanted.labels).items():
            found = getattr(ours.labels, name)
            assert found.dtype == values.dtype
            assert torch.equal(found.nan_to_num(), values.nan_to_num()), name
        assert torch.equal(ours.weights, wanted.weights)
        assert list(ours.names) == wanted.names
        assert ours.names[2:4] == wanted.names[2:4]
    assert (outside.side, outside.synthetic) == (inside.side, inside.synthetic)


def test_pixels_are_those_of_decoded_faces_in_any_order():
    write()
    inside, outside = decoded().train.pixels, stream(streamed())
    assert len(outside) == len(inside)
    assert torch.equal(outside[:50], inside[:50])
    rows = torch.tensor([71, 3, 3, 20])
    assert torch.equal(outside[rows], inside[rows])
    assert outside[:0].shape == inside[:0].shape
    announced: list[Tensor | slice] = [torch.tensor([5, 60]), slice(10, 14), torch.tensor([7])]
    outside.read_ahead(announced)
    assert torch.equal(outside[announced[0]], inside[announced[0]])
    assert torch.equal(outside[rows], inside[rows])  # something else than was announced
    assert torch.equal(outside.within(slice(10, 30))[2:5], inside[12:15])


@pytest.mark.parametrize("processes", [1, 3])
def test_each_face_is_taken_once_an_epoch_and_each_epoch_in_another_order(processes):
    write()
    found = streamed()
    first, second = (torch.cat(order_of(found, processes=processes, seed=s)) for s in (1, 2))
    assert sorted(first.tolist()) == list(range(len(found.train)))
    assert not torch.equal(first, second)
    assert torch.equal(first, torch.cat(order_of(found, processes=processes, seed=1)))


def test_a_buffer_holds_faces_from_all_over_the_data():
    write(count=900, shard_faces=100)
    found = streamed()
    rows = torch.cat(order_of(found))
    spread = [found.train.labels.age[part].std() for part in rows.split(24)]
    assert float(torch.stack(spread).mean()) > 0.7 * float(found.train.labels.age.std())


def test_processes_have_shards_of_their_own():
    write(count=120, shard_faces=10)
    found = streamed()
    of_process: list[Counter[int]] = [Counter(), Counter(), Counter()]
    places = stream(found).places
    for rows in order_of(found, size=12, processes=3):
        for rank, part in enumerate(rows.split(4)):
            of_process[rank].update(places.groups[places.group[part.numpy()], 0].tolist())
    assert [counter.total() for counter in of_process] == [32, 32, 32]
    # Two of the twelve shards lie at a border.
    assert sum(len(counter) for counter in of_process) <= 12 + 2


def test_a_row_group_is_read_once_an_epoch(read):
    write()
    found = stream(streamed())
    batches = order_of(streamed())
    found.read_ahead(batches)
    for rows in batches:
        found[rows]
    groups = {tuple(group) for group in found.places.groups.tolist()}
    assert Counter(read) == Counter(groups)


def test_who_goes_on_in_the_middle_of_an_epoch_reads_the_rest_of_it(read):
    write(count=300)
    found = stream(streamed())
    batches = order_of(streamed())
    for first in (0, 7, len(batches) - 1):
        read.clear()
        found.read_ahead(batches[first:])
        for rows in batches[first:]:
            found[rows]
        places = found.places
        left = np.unique(places.group[torch.cat(batches[first:]).numpy()])
        assert sorted(read) == sorted(map(tuple, places.groups[left].tolist()))


def test_little_is_read_before_it_is_needed(read):
    write(count=900, shard_faces=100)
    found = stream(streamed())
    batches = order_of(streamed())
    found.read_ahead(batches)
    found[batches[0]]
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(0.05)
    ahead = np.unique(found.places.group[torch.cat(batches[: 1 + streaming.AHEAD]).numpy()])
    assert len(read) <= len(ahead) < len(found.places.groups) / 3


def test_a_split_of_other_faces_is_refused():
    write()
    table = pd.read_csv(tables.SPLIT)
    tables.write_split(table.iloc[:-1])
    with pytest.raises(ContractBroken, match=r"has faces that data/split\.csv lacks"):
        streamed()
    tables.write_split(pd.concat([table, table[:1].assign(face="f" * 64, cluster="f" * 64)]))
    with pytest.raises(ContractBroken, match=r"split\.csv has faces that data/faces"):
        streamed()


def test_a_clean_split_leaves_faces_out():
    write()
    left_out = pd.read_csv(tables.SPLIT)["face"][:3]
    tables.write_clean_split(left_out)
    splits = tables.read_splits(tables.CLEAN_SPLIT)
    found = reading.streamed(tables.FACES, tables.CLEAN_SPLIT, IMG_SIZE, [])
    assert list(found.train.names) == splits["train"]["path"].tolist()


def test_a_damaged_split_is_a_sentence():
    write()
    tables.SPLIT.write_text(tables.SPLIT.read_text().replace("train", "trian", 1))
    with pytest.raises(ContractBroken, match=r"column split breaks the rule `one of train"):
        streamed()
    tables.SPLIT.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UserError, match=r"data/split\.csv is damaged"):
        streamed()
