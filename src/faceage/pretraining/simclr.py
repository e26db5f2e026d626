"""SimCLR (Chen et al. 2020): to know a view of a face again among the views of others.

It needs no second network and no queue, and on few steps: VICReg, tried beside it, had hardly left
its plateau when this told the faces of a batch apart.
"""

from typing import Any

from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from torch import Tensor

from faceage.pretraining.pretrainer import Objective
from faceage.training.transforms import make_transforms

WIDTH = 128  # of the projection, as in the paper
TEMPERATURE = 0.2  # of the softmax over the views, as in MoCo v2 (Chen et al. 2020)

# What makes two views of a face, as `train.augment` has it. The zoom stands for the paper's random
# crops, which could show a cheek and a forehead and so not one age.
VIEWS: list[dict[str, Any]] = [
    {"name": "flip", "p": 0.5},
    {"name": "affine", "rotate": 10, "zoom": 0.25, "shift": 0.1, "fill": 0.0},
    {"name": "jitter", "brightness": 0.4, "contrast": 0.4, "saturation": 0.4},
    {"name": "grayscale", "p": 0.2},
    {"name": "gaussian_blur", "p": 0.5, "sigma": 0.02},
    {"name": "erase", "p": 0.2},
]


class SimCLR(Objective):
    """Each face is to be nearest to itself; how hard that is depends on the size of the batch."""

    views = 2

    def __init__(self, features: int) -> None:
        self.projection = SimCLRProjectionHead(features, features, WIDTH)
        self.transforms = make_transforms(VIEWS, "views")
        self.criterion = NTXentLoss(TEMPERATURE)

    def loss(self, projected: Tensor, rows: Tensor) -> Tensor:
        """NT-Xent of the two views of each face."""
        loss: Tensor = self.criterion(*projected.chunk(2))
        return loss
