"""What a model has to beat: always the training median, and a ridge regression on few pixels."""

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

SIDE = 16
STRENGTHS = np.logspace(0, 5, 6)


def median(train_ages: np.ndarray, count: int) -> np.ndarray:
    """The median training age, in years, for each of `count` faces."""
    return np.full(count, float(np.median(train_ages)))


def ridge(train: Tensor, train_ages: np.ndarray, test: Tensor) -> np.ndarray:
    """Ages in years by ridge regression on 16x16 colour pixels.

    The strength is chosen by leave-one-out on the training faces.

    Parameters
    ----------
    train, test : uint8 (n, SIDE, SIDE, 3)
    """
    model = make_pipeline(StandardScaler(), RidgeCV(STRENGTHS))
    model.fit(_rows(train), train_ages)
    return np.clip(model.predict(_rows(test)), 0, None)


def _rows(pixels: Tensor) -> np.ndarray:
    return pixels.reshape(len(pixels), -1).numpy().astype(np.float64)
