"""What a face costs: size of the model, arithmetic, and time on this machine."""

import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from faceage.networks.age_network import Model

BATCH = 64
MIN_SECONDS = 1.0  # that are measured for
WARM_UP = 2  # first passes that do not count: they allocate memory and choose algorithms


@torch.inference_mode()
def measure(network: Model, folder: Path) -> dict[str, Any]:
    """Parameters, multiply-adds a face, bytes in `folder`, latency and throughput.

    latency_ms: median for one face; throughput: faces a second in batches of 64. Both in float32
    and without decoding the file, and both of this machine: unlike all other numbers they differ
    from run to run.
    """
    network.eval()
    device, img_size = next(network.parameters()).device, network.architecture.img_size
    images = torch.zeros(BATCH, 3, img_size, img_size, device=device).to(
        memory_format=torch.channels_last
    )
    with FlopCounterMode(display=False) as counter:
        network(images[:1])
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        # One multiply-add is two floating-point operations.
        "multiply_adds": counter.get_total_flops() // 2,
        "bytes": sum(path.stat().st_size for path in folder.iterdir()),
        "device": _name(device),
        "cores": torch.get_num_threads(),
        "latency_ms": 1000 * _seconds(network, images[:1]),
        "throughput": BATCH / _seconds(network, images),
        "px": img_size,
    }


def _seconds(network: Model, images: torch.Tensor) -> float:
    """Median time of a forward pass, after warm-up, until the estimates are on the CPU."""
    times: list[float] = []
    while len(times) < WARM_UP + 3 or sum(times) < MIN_SECONDS:
        start = time.perf_counter()
        network(images).cpu()
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP:])


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
