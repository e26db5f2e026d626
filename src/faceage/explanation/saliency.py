"""What in the image a predicted age is attributed to: HiResCAM.

HiResCAM (Draelos & Carin 2020, arXiv:2011.08891) multiplies a feature map with the gradient of the
output, place by place, and sums over channels. Grad-CAM (Selvaraju et al., ICCV 2017) takes one
mean gradient a channel; both agree before an average pooling and a linear head, but of an earlier
map, which small inputs need, Grad-CAM also marks places that the output does not depend on.

Maps of classifiers drop what is negative, as attributed to other classes. A regression has no other
classes: what makes a face look younger than the training mean, at which the logit is 0, explains
the prediction as much as what makes it look older (on reference values and signs in regression:
Letzgus et al., IEEE Signal Processing Magazine 39(4), 2022). So nothing is dropped here, and the
absolute value is shown: how much a place counts, either way.
"""

import io
from typing import Any

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradientXActivation
from PIL import Image
from torch import Tensor, nn

from faceage.networks.age_network import AgeNetwork
from faceage.networks.faces import normalise, to_input
from faceage.networks.targets import Target

# Cells a side of the last map where networks see the 224 pixels that they were designed for. Of
# small inputs it has fewer, down to one, which tell no places apart: then an earlier map is taken.
SMALLEST_MAP = 7


def last_feature_map(network: AgeNetwork) -> nn.Module | None:
    """The last module of the backbone that leaves a map of `SMALLEST_MAP` or more cells a side.

    Of those that timm's `feature_info` names. None if none of them leaves a map with channels
    first: transformers pass on a row of tokens, and where a class token is read in the end the
    others of the last block have no gradient.
    """
    backbone, img_size = network.backbone, network.architecture.img_size
    modules = dict(backbone.named_modules())
    named = [info for info in getattr(backbone, "feature_info", []) if info["module"] in modules]
    outputs: dict[nn.Module, Any] = {}

    def keep(module: nn.Module, _: Any, output: Any) -> None:
        outputs[module] = output

    hooks = [modules[info["module"]].register_forward_hook(keep) for info in named]
    with torch.no_grad():
        backbone(torch.zeros(1, 3, img_size, img_size))
    for hook in hooks:
        hook.remove()
    for info in reversed(named):
        module = modules[info["module"]]
        if _is_map(outputs.get(module), info["num_chs"]):
            return module
    return None


def hires_cam(network: AgeNetwork, target: Target, layer: nn.Module, pixels: Tensor) -> Tensor:
    """Absolute HiResCAM of the predicted age at the network's input size: uint8 (n, size, size).

    255 is where a face's own map is largest, so that maps of two faces cannot be compared in
    strength; a map without any attribution is 0 everywhere.

    Parameters
    ----------
    layer : of the backbone, with output (n, channels, height, width)
    pixels : uint8 (n, side, side, 3)
    """
    network.eval()
    architecture = network.architecture
    img_size = architecture.img_size
    images = to_input(pixels, img_size, next(network.parameters()).device)
    images = normalise(images, architecture.mean, architecture.std)
    explained = nn.Sequential(network, _AttributionOutput(target))
    products = LayerGradientXActivation(explained, layer).attribute(images)
    by_place = products.detach().sum(dim=1, keepdim=True)
    strength = LayerAttribution.interpolate(by_place.abs(), (img_size, img_size), "bilinear")[:, 0]
    largest = strength.amax(dim=(1, 2), keepdim=True)
    scaled = torch.where(largest > 0, strength / largest, 0)
    return (255 * scaled).round().to(torch.uint8).cpu()


class _AttributionOutput(nn.Module):
    """What of the logits is explained."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    def forward(self, logits: Tensor) -> Tensor:
        return self.target.attribution_output(logits)


def png(attribution: np.ndarray) -> bytes:
    """An 8-bit greyscale PNG file of a map: uint8 (size, size)."""
    buffer = io.BytesIO()
    Image.fromarray(attribution).save(buffer, "PNG")
    return buffer.getvalue()


def _is_map(output: Any, channels: int) -> bool:
    """Whether it is a tensor (1, channels, height, width), high and wide enough."""
    if not isinstance(output, Tensor) or output.ndim != 4:
        return False
    return output.shape[1] == channels and min(output.shape[2:]) >= SMALLEST_MAP
