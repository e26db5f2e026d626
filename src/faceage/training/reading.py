"""How the faces of the splits come to a training: decoded once, or streamed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from faceage.core import tables
from faceage.core.contracts import SPLITS, ContractBroken
from faceage.core.script import UserError
from faceage.core.shards import Shards
from faceage.networks import faces
from faceage.networks.streaming import Places, StreamedNames, StreamedPixels
from faceage.networks.target import Labels, labels
from faceage.training.dataset import FaceDataset

# What a training needs to know of a face besides its pixels.
COLUMNS = ["face", "age", "age_low", "age_high", "age_class", "gender", "race", "weight"]
COLUMNS += ["width", "height", "synthetic"]


@dataclass(frozen=True)
class Read:
    """The faces of the splits train and val.

    side: of the data set's faces, in pixels; synthetic: whether any that is learned from is drawn.
    """

    train: FaceDataset
    val: FaceDataset
    side: int
    synthetic: bool


def decoded(
    splits: dict[str, pd.DataFrame], source: Path | str, img_size: int, classes: Sequence[str]
) -> Read:
    """Decode the faces to the size that the network takes; they stay in memory, or on the disk.

    Parameters
    ----------
    splits : as `tables.read_splits` gives them
    source : of the faces, as `Shards` takes it
    classes : names of the groups that `age_class` is numbered by
    """
    side = faces.stored_side(pd.concat(splits.values()))
    found = {}
    for name in ("train", "val"):
        table = splits[name]
        pixels = faces.decode(table, tables.image_bytes(table["face"], source), side, img_size)
        weights = torch.tensor(table["weight"].to_numpy(dtype="float32"))
        names = table["path"].tolist()
        found[name] = FaceDataset(names, pixels, labels(table, classes), weights)
    return _read(found, side, bool(splits["train"]["synthetic"].any()))


def streamed(source: Path | str, split: Path, img_size: int, classes: Sequence[str]) -> Read:
    """Find out where the faces lie and what they are labelled; their images are read when used.

    Of a face some 50 bytes stay in memory.

    Parameters
    ----------
    split : as `tables.read_splits` takes it; the others as in `decoded`
    """
    shards, split_of = Shards(source), tables.SplitOf(split)
    parts: dict[str, _Part] = {"train": _Part(), "val": _Part()}
    sides, known, synthetic = [], 0, False
    for number in range(len(shards)):
        table = shards.read(number, COLUMNS).to_pandas()
        splits = split_of(table["face"])
        known += int((splits >= 0).sum())
        if split == tables.SPLIT and (splits < 0).any():
            raise ContractBroken(
                f"{source} has faces that {split} lacks: `dvc repro` makes it anew"
            )
        sides.append(table.loc[splits >= 0, ["width", "height"]].astype("int32"))
        synthetic |= bool(table.loc[splits == SPLITS.index("train"), "synthetic"].any())
        rows_of_groups = [
            shards.footer(number).row_group(group).num_rows
            for group in range(shards.footer(number).num_row_groups)
        ]
        for name, part in parts.items():
            part.add(number, rows_of_groups, table, splits == SPLITS.index(name), classes)
    if known < len(split_of):
        raise ContractBroken(f"{split} has faces that {source} lacks: `dvc repro` makes it anew")
    side = faces.stored_side(pd.concat(sides))
    found = {name: part.dataset(shards, side, img_size) for name, part in parts.items()}
    return _read(found, side, synthetic)


@dataclass
class _Part:
    """A split as it comes together, shard by shard."""

    groups: list[tuple[int, int]] = field(default_factory=list)
    group: list[np.ndarray] = field(default_factory=list)
    row: list[np.ndarray] = field(default_factory=list)
    labels: list[Labels] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)

    def add(
        self,
        shard: int,
        rows_of_groups: list[int],
        table: pd.DataFrame,
        wanted: np.ndarray,
        classes: Sequence[str],
    ) -> None:
        """Take the wanted faces of a shard."""
        before = len(self.groups)
        self.groups += [(shard, group) for group in range(len(rows_of_groups))]
        group = np.repeat(np.arange(len(rows_of_groups)), rows_of_groups)
        row = np.concatenate([np.arange(rows) for rows in rows_of_groups])
        self.group.append((before + group[wanted]).astype(np.int32))
        self.row.append(row[wanted].astype(np.int32))
        self.labels.append(labels(table[wanted], classes))
        self.weights.append(torch.tensor(table.loc[wanted, "weight"].to_numpy(dtype="float32")))

    def dataset(self, shards: Shards, side: int, img_size: int) -> FaceDataset:
        places = Places(
            np.array(self.groups, np.int32), np.concatenate(self.group), np.concatenate(self.row)
        )
        known = {
            name: torch.cat([getattr(part, name) for part in self.labels])
            for name in vars(self.labels[0])
        }
        pixels = StreamedPixels(shards, places, side, img_size)
        return FaceDataset(StreamedNames(pixels), pixels, Labels(**known), torch.cat(self.weights))


def _read(found: dict[str, FaceDataset], side: int, synthetic: bool) -> Read:
    if len(found["train"]) < 2:
        raise UserError("train: the training set has fewer than 2 faces; add faces to data.source")
    return Read(found["train"], found["val"], side, synthetic)
