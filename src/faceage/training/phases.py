"""What a phase of the training is: the layers that learn, the size of the images."""

from collections.abc import Sequence

from torch import nn

from faceage.core.script import UserError
from faceage.core.settings import Phase
from faceage.networks import backbones
from faceage.networks.age_network import AgeNetwork, Architecture


def check_sizes(phases: Sequence[Phase], architecture: Architecture) -> None:
    """Raise a `UserError` where a phase has images that are not there, or that do not fit."""
    largest = architecture.img_size
    fixed = backbones.registered_config(architecture.model).fixed_input_size
    for number, phase in enumerate(phases):
        key, size = f"train.phases.{number}.img_size", phase.img_size or largest
        if size > largest:
            raise UserError(
                f"params.yaml: {key} is {size}, and faces are kept at train.img_size, {largest}:"
                " raise that, which is the model's own, or lower this"
            )
        if fixed and size != largest:
            raise UserError(
                f"params.yaml: {key} is {size}, and {architecture.model} is built for one size,"
                f" here {largest}: set it to null"
            )


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
