"""Losses of a regression by name, and weights that make rare ages count as much as common ones."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor
from torch.nn import functional as F

# Shape of the focal weight, as published for ages in years.
FOCAL_BETA = 0.2


def _mse(error: Tensor, sd: float, beta: float) -> Tensor:
    return error**2


def _l1(error: Tensor, sd: float, beta: float) -> Tensor:
    return error.abs()


def _smooth_l1(error: Tensor, sd: float, beta: float) -> Tensor:
    return F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=beta / sd)


def _focal_mse(error: Tensor, sd: float, beta: float) -> Tensor:
    """Focal-R (Yang et al. 2021, Delving into Deep Imbalanced Regression) with gamma 1."""
    return (2 * torch.sigmoid(FOCAL_BETA * sd * error.abs()) - 1) * error**2


# Each takes the error in units of `sd`, the spread of the training ages in years, and `beta` in
# years, and returns the loss of each face: (n,) to (n,).
REGRESSION_LOSSES: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "mse": _mse,
    "l1": _l1,
    "smooth_l1": _smooth_l1,
    "focal_mse": _focal_mse,
}


def rarity(values: np.ndarray, power: float, sigma: float) -> np.ndarray:
    """Weight of each face by how rare its age or class is; the mean weight is 1.

    Label distribution smoothing (Yang et al. 2021): the frequency of an age is that of a Gaussian
    neighbourhood, because a face of 41 teaches something about 42 too.

    Parameters
    ----------
    values : whole ages in years, or class numbers (n,)
    power : 1 for inverse frequency, 0.5 for its square root
    sigma : years of the neighbourhood; 0 for classes, which have no neighbours
    """
    start = values.min()
    counts = np.bincount(values - start).astype(float)
    if sigma:
        counts = gaussian_filter1d(counts, sigma, mode="constant")
    weights = counts[values - start] ** -power
    return weights / weights.mean()
