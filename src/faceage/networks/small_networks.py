"""Two small convolutional networks of published recipes, in timm's registry like any other."""

from itertools import pairwise
from typing import Any

import torch
from timm.models import register_model
from torch import Tensor, nn


class SmallNetwork(nn.Module):
    """Blocks of convolutions, features from their last map: as much of timm's models as is used.

    num_classes: 0 for a backbone without a classifier, as elsewhere in this project.
    """

    def __init__(self, blocks: nn.Module, neck: nn.Module, num_features: int) -> None:
        super().__init__()
        self.blocks, self.neck, self.num_features = blocks, neck, num_features

    def forward_features(self, images: Tensor) -> Tensor:
        """Feature maps: (n, 3, size, size) to (n, channels, size / 16, size / 16)."""
        maps: Tensor = self.blocks(images)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Features: (n, num_features)."""
        features: Tensor = self.neck(self.forward_features(images))
        return features


class ChannelAttention(nn.Module):
    """Scale channels by what their average and their maximum say (Woo et al. 2018, CBAM)."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.shared = nn.Sequential(
            nn.Linear(channels, channels // reduction),
            nn.ReLU(),
            nn.Linear(channels // reduction, channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps in, maps of the same shape out."""
        weight = torch.sigmoid(self.shared(maps.mean((2, 3))) + self.shared(maps.amax((2, 3))))
        return maps * weight[:, :, None, None]


def _pooled(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]


@register_model
def cnn_scratch(pretrained: bool = False, **kwargs: Any) -> SmallNetwork:
    """Four blocks of convolution and max-pooling, 32 to 128 filters, 128 px, dense 512."""
    widths = pairwise([3, 32, 64, 128, 128])
    blocks = [layer for inputs, outputs in widths for layer in _pooled(inputs, outputs)]
    # A fixed grid of 8x8, that of 128 px, whatever the size of the input.
    neck = [nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(128 * 64, 512), nn.ReLU()]
    return SmallNetwork(nn.Sequential(*blocks), nn.Sequential(*neck), 512)


@register_model
def attention_cnn(pretrained: bool = False, **kwargs: Any) -> SmallNetwork:
    """Four blocks of convolution, batch norm, max-pooling, spatial dropout; channel attention."""
    widths = [3, 32, 64, 128, 256]
    blocks: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        blocks += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
        blocks += [nn.Dropout2d(0.1)]
    blocks.append(ChannelAttention(widths[-1]))
    neck = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return SmallNetwork(nn.Sequential(*blocks), neck, widths[-1])
