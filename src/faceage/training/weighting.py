"""How much each training face counts in the loss: by its source, and by how rare its age is."""

import numpy as np
import torch
from torch import Tensor

from faceage.core.settings import Train
from faceage.networks.losses import rarity
from faceage.networks.target import Labels, Target
from faceage.training.dataset import FaceDataset


def of_faces(train: FaceDataset, target: Target, settings: Train) -> Tensor:
    """Weight of each training face in the loss: that of its source, and by how rare its age is."""
    weights = train.weights / train.weights.mean()
    if settings.reweight == "loss":
        weights = weights * rarity_of(train.labels, target, settings)
    return weights


def rarity_of(labels: Labels, target: Target, settings: Train) -> Tensor:
    """How rare the age of each face is, or the class that is learned of it."""
    if settings.reweight == "none":
        return torch.ones(len(labels))
    classes = target.learns_classes
    values = target.encode(labels)[:, 0] if classes else labels.age.round()
    sigma = 0.0 if classes else settings.lds_sigma
    weights = rarity(values.numpy().astype(int), settings.reweight_power, sigma)
    return torch.tensor(weights.astype(np.float32))
