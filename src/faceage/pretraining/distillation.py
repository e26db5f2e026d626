"""Distillation of features: to see in a face what a model that was trained already sees in it.

The student's features, through a linear layer that is dropped afterwards, are to predict those of
the teacher, as FitNets do with hints (Romero et al. 2015). The teacher looks at each face once,
unchanged; the student at a changed view of it, so that it learns what the changes leave alone, too.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from faceage.core import tables
from faceage.networks import devices, faces, saved_model
from faceage.networks.age_network import AgeNetwork, Model
from faceage.networks.forward import extract_features
from faceage.pretraining.pretrainer import Objective
from faceage.training.checkpoints import Checkpoint
from faceage.training.transforms import make_transforms


class Distillation(Objective):
    """The loss is the share of the teacher's variance that the student leaves unexplained.

    Parameters
    ----------
    features : how many the student has
    changes : as in `train.augment`
    teacher : float (faces, features of the teacher)
    """

    views = 1

    def __init__(self, features: int, changes: list[dict[str, Any]], teacher: Tensor) -> None:
        self.teacher = standardised(teacher)
        self.projection = nn.Linear(features, self.teacher.shape[1])
        self.transforms = make_transforms(changes)

    def loss(self, projected: Tensor, rows: Tensor) -> Tensor:
        """Mean squared error of the standardised features."""
        return F.mse_loss(projected, self.teacher[rows].to(projected.device))


def standardised(features: Tensor) -> Tensor:
    """Each feature with mean 0 and variance 1 over the faces, without constant ones."""
    spread = features.std(dim=0, correction=0)
    told_apart = spread > 1e-6
    return ((features - features.mean(dim=0)) / spread)[:, told_apart]


class Teacher(nn.Module):
    """What a model sees: of each member the mean over a face and its mirror image."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        members = [member for member in model.members if isinstance(member, AgeNetwork)]
        self.backbones = nn.ModuleList([member.backbone for member in members])

    def forward(self, images: Tensor) -> Tensor:
        """Features of normalised images: (n, 3, size, size) to (n, features of all members)."""
        seen = [backbone(images) + backbone(images.flip(-1)) for backbone in self.backbones]
        return torch.cat(seen, dim=1) / 2


def teacher_features(folder: Path, table: pd.DataFrame) -> Tensor:
    """What a saved model sees in faces: float (faces, features), row for row as the table.

    Parameters
    ----------
    folder : of a model
    table : columns `face`, `width`, `height`

    Raises
    ------
    UserError
        If the folder holds no whole model.
    """
    model, _ = saved_model.load(folder)
    side, img_size = faces.stored_side(table), model.architecture.img_size
    pixels = faces.decode(table, tables.image_bytes(table["face"]), side, img_size)
    return extract_features(Teacher(model).to(devices.pick()), model.architecture, pixels)


def kept_teacher_features(kept: Checkpoint, folder: Path, table: pd.DataFrame) -> Tensor:
    """`teacher_features`, from where a pre-training that was interrupted has `kept` them."""
    state = kept.load()
    if state is None:
        state = {"features": teacher_features(folder, table)}
        kept.save(state)
    features: Tensor = state["features"]
    return features
