"""What stands between a backbone's features and the logits."""

from itertools import pairwise

import torch
from coral_pytorch.layers import CoralLayer
from torch import Tensor, nn
from torch.nn import functional as F


class Head(nn.Module):
    """Linear and ReLU for each of `hidden`, dropout, a last layer: (n, features) to (n, outputs).

    Parameters
    ----------
    hidden : widths of the hidden layers
    outputs : logits of the target
    coral : one weight vector for all of the target's logits, which differ by their biases only
    auxiliary : logits of further linear heads on the same layers, after those of the target
    init : of the linear layers, `default` or `xavier_uniform` (Glorot and Bengio 2010)
    """

    def __init__(
        self,
        features: int,
        hidden: list[int],
        dropout: float,
        outputs: int,
        coral: bool,
        auxiliary: int,
        init: str,
    ) -> None:
        super().__init__()
        widths = [features, *hidden]
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.dropout = nn.Dropout(dropout)
        self.last = CoralLayer(widths[-1], outputs + 1) if coral else nn.Linear(widths[-1], outputs)
        self.auxiliary = nn.Linear(widths[-1], auxiliary) if auxiliary else None
        if init == "xavier_uniform":
            for layer in self.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_uniform_(layer.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Logits of features."""
        for layer in self.hidden:
            features = F.relu(layer(features))
        features = self.dropout(features)
        logits: Tensor = self.last(features)
        if self.auxiliary is None:
            return logits
        return torch.cat([logits, self.auxiliary(features)], dim=1)
