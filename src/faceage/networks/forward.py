"""Forward passes over many faces."""

import torch
from torch import Tensor, nn

from faceage.core.progress import bar
from faceage.networks.age_network import AgeNetwork, BackboneArchitecture, Model
from faceage.networks.faces import Pixels, normalise, slices, to_input

BATCH = 64  # larger ones are slower on a CPU: their feature maps leave its caches


def predict(network: AgeNetwork | Model, pixels: Pixels, dtype: torch.dtype) -> Tensor:
    """Logits of faces, in float32 on the CPU: uint8 (n, side, side, 3) to (n, outputs)."""
    return _forward(network, network.architecture, pixels, dtype)


def extract_features(
    backbone: nn.Module, architecture: BackboneArchitecture, pixels: Pixels
) -> Tensor:
    """What a backbone makes of faces, in float32 on the CPU: as `predict`, to (n, features)."""
    return _forward(backbone, architecture, pixels, torch.float32)


@torch.inference_mode()
def _forward(
    module: nn.Module, architecture: BackboneArchitecture, pixels: Pixels, dtype: torch.dtype
) -> Tensor:
    module.eval()
    device = next(module.parameters()).device
    outputs = []
    batches = list(slices(len(pixels), BATCH))
    if not isinstance(pixels, Tensor):
        pixels.read_ahead(batches)
    for rows in bar(batches, "predict", "batch"):
        images = to_input(pixels, architecture.img_size, device, rows)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            output = module(normalise(images, architecture.mean, architecture.std))
        outputs.append(output.float().cpu())
    return torch.cat(outputs)
