"""What learns in a phase of the training, and what it learns from.

Where only the head learns, the backbone's answer to an image is always the same. Without
augmentation it is computed once, and the head is trained on features, which takes a small part of
the time and ends with the same head.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor, nn

from faceage.core.settings import Phase, Train
from faceage.networks.age_network import AgeNetwork
from faceage.networks.faces import normalise, to_input
from faceage.networks.forward import predict
from faceage.training.transforms import augment


class Inputs(Protocol):
    """Faces in the form that the learning module takes."""

    def batch(self, rows: Tensor, generator: Generator) -> Tensor:
        """Those of some rows, for training."""

    def predict(self, module: nn.Module, dtype: torch.dtype) -> Tensor:
        """Logits of all faces, unchanged: float (n, outputs) on the CPU."""


@dataclass(frozen=True)
class Images:
    """Pixels, uint8 (n, side, side, 3), as images on the device, augmented where asked."""

    pixels: Tensor
    network: AgeNetwork
    settings: Train

    def batch(self, rows: Tensor, generator: Generator) -> Tensor:
        architecture = self.network.architecture
        device = next(self.network.parameters()).device
        images = to_input(self.pixels, architecture.img_size, device, rows)
        images = augment(images, self.settings.augment, generator)
        return normalise(images, architecture.mean, architecture.std)

    def predict(self, module: nn.Module, dtype: torch.dtype) -> Tensor:
        assert isinstance(module, AgeNetwork)
        return predict(module, self.pixels, dtype)


@dataclass(frozen=True)
class Features:
    """What the frozen backbone makes of the pixels: float (n, features)."""

    features: Tensor

    def batch(self, rows: Tensor, generator: Generator) -> Tensor:
        return self.features[rows]

    @torch.inference_mode()
    def predict(self, module: nn.Module, dtype: torch.dtype) -> Tensor:
        module.eval()
        logits: Tensor = module(self.features).float().cpu()
        return logits


def freeze(network: AgeNetwork, phase: Phase) -> nn.Module:
    """Let only the layers of the phase learn; return the module to train: the network or its head.

    A layer is a module with parameters of its own (a convolution, a norm, a linear layer), counted
    in the order in which the backbone holds them.
    """
    network.requires_grad_(True)
    if phase.layers == "all":
        return network
    network.backbone.requires_grad_(False)
    if phase.layers == "head":
        return network.head
    for layer in layers(network.backbone)[-phase.layers :]:
        layer.requires_grad_(True)
    return network


def layers(backbone: nn.Module) -> list[nn.Module]:
    """Modules with parameters of their own, in order."""
    return [module for module in backbone.modules() if list(module.parameters(recurse=False))]


def set_training(module: nn.Module) -> None:
    """Put the module into training mode, but for what is frozen.

    Of a network that learns in part all batch norms keep their statistics: a few layers at a low
    rate would not make up for what every later layer suddenly gets.
    """
    module.train()
    in_part = not all(parameter.requires_grad for parameter in module.parameters())
    for layer in layers(module):
        frozen = not any(parameter.requires_grad for parameter in layer.parameters(recurse=False))
        if frozen or (in_part and isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)):
            layer.eval()


def inputs_of(network: AgeNetwork, phase: Phase, pixels: Tensor, settings: Train) -> Inputs:
    """Images, or for a phase of the head alone their features."""
    if phase.layers != "head":
        return Images(pixels, network, settings)
    features = predict(network, pixels, torch.float32, through=network.backbone)
    # A copy, because gradients may not flow past what was made in inference mode.
    return Features(features.to(next(network.parameters()).device).clone())
