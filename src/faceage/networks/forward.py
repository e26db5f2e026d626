"""Forward passes over many faces."""

import torch
from torch import Tensor, nn

from faceage.core.progress import bar
from faceage.networks.age_network import AgeNetwork, Model
from faceage.networks.faces import normalise, slices, to_input

BATCH = 64  # larger ones are slower on a CPU: their feature maps leave its caches


@torch.inference_mode()
def predict(
    network: AgeNetwork | Model,
    pixels: Tensor,
    dtype: torch.dtype,
    through: nn.Module | None = None,
) -> Tensor:
    """Logits of faces, in float32 on the CPU: uint8 (n, side, side, 3) to (n, k).

    Parameters
    ----------
    through : a part of the network that gives something else than logits, its backbone say
    """
    network.eval()
    apply = through or network
    architecture = network.architecture
    device = next(network.parameters()).device
    batches = list(slices(len(pixels), BATCH))
    logits = []
    for rows in bar(batches, "predict", "batch"):
        images = to_input(pixels, architecture.img_size, device, rows)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            output = apply(normalise(images, architecture.mean, architecture.std))
        logits.append(output.float().cpu())
    return torch.cat(logits)
