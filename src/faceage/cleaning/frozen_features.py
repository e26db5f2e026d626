"""Features of faces from what is not trained: a pretrained backbone, or else oriented gradients."""

import math

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from faceage.core import tables
from faceage.networks import age_network, devices, faces
from faceage.networks.forward import extract_features

IMG_SIZE = 128  # side of a backbone's input: enough for features, and quick
GRADIENT_SIZE, CELL, ORIENTATIONS = 64, 8, 8


def of_faces(table: pd.DataFrame, model: str, weights: str) -> np.ndarray:
    """Features of faces: float32 (n, features), row for row as the table.

    They are those of the backbone, or where there are no weights, and a backbone would see nothing
    but noise, oriented gradients.

    Parameters
    ----------
    table : columns `face`, `width`, `height`
    model, weights : as in params.yaml

    Raises
    ------
    UserError
        If the weights cannot be had or do not fit the model.
    """
    side = faces.stored_side(table)
    pixels = faces.decode(table, tables.image_bytes(table["face"]), side)
    if weights == "none":
        return oriented_gradients(pixels).numpy()
    architecture = age_network.for_features(model, IMG_SIZE)
    backbone, _ = age_network.build_backbone(architecture, weights)
    return extract_features(backbone.to(devices.pick()), architecture, pixels).numpy()


def oriented_gradients(pixels: Tensor) -> Tensor:
    """Histograms of oriented gradients in cells (Dalal & Triggs 2005): float (n, 512).

    They are normalised over the whole face, which light changes as a whole.

    Parameters
    ----------
    pixels : uint8 (n, side, side, 3)
    """
    return torch.cat([_oriented_gradients(batch) for batch in pixels.split(256)])


def _oriented_gradients(pixels: Tensor) -> Tensor:
    size = (GRADIENT_SIZE, GRADIENT_SIZE)
    colours = pixels.permute(0, 3, 1, 2).float()
    grey = F.interpolate(colours, size, mode="bilinear", antialias=True).mean(1, keepdim=True)
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    strength = torch.hypot(across, down)
    turn = torch.atan2(down, across).remainder(math.pi) / math.pi
    orientation = (turn * ORIENTATIONS).long().clamp(max=ORIENTATIONS - 1)
    maps = torch.zeros(len(pixels), ORIENTATIONS, *size).scatter_(1, orientation, strength)
    cells = F.avg_pool2d(maps, CELL)
    mean = cells.mean(dim=(1, 2, 3), keepdim=True)
    return (cells / (mean + 1e-6)).sqrt().flatten(1)
