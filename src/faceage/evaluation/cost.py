"""What a face costs: size of the model, arithmetic, and time on this machine."""

import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from faceage.networks.age_network import Model, unfused_attention

BATCH = 64
MIN_SECONDS = 1.0  # that are measured for
WARM_UP = 2  # first passes that do not count: they allocate memory and choose algorithms


def measure(network: Model, folder: Path) -> dict[str, Any]:
    """Parameters, multiply-adds a face, bytes in `folder`, latency and throughput.

    multiply_adds: None where they cannot be counted; latency_ms: median for one face; throughput:
    faces a second in batches of 64. Both in float32 and without decoding the file, and both of this
    machine: unlike all other numbers they differ from run to run. device: name of the processor or
    GPU; cpu: the instructions that PyTorch finds, by which its last digits differ, and with them
    what training arrives at.
    """
    network.eval()
    device, img_size = next(network.parameters()).device, network.architecture.img_size
    images = torch.zeros(BATCH, 3, img_size, img_size, device=device).to(
        memory_format=torch.channels_last
    )
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "multiply_adds": _multiply_adds(network, images[:1]),
        "bytes": sum(path.stat().st_size for path in folder.iterdir()),
        "device": _name(device),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "latency_ms": 1000 * _seconds(network, images[:1]),
        "throughput": BATCH / _seconds(network, images),
        "img_size": img_size,
    }


@torch.no_grad()  # in inference mode the counter fails on modules that are given parameters
def _multiply_adds(network: Model, images: torch.Tensor) -> int | None:
    """Multiply-adds of convolutions, matrix products and attention; None if they are uncountable.

    PyTorch's counter takes fused attention on a CPU for none at all.
    """
    try:
        with unfused_attention(network), FlopCounterMode(display=False) as counter:
            network(images)
    except Exception:
        # The network itself works, it has just been evaluated; the counter, which hooks into every
        # module of it, fails in as many ways as there are kinds of modules.
        return None
    return counter.get_total_flops() // 2  # one multiply-add is two floating-point operations


@torch.inference_mode()
def _seconds(network: Model, images: torch.Tensor) -> float:
    """Median time of a forward pass, after warm-up, until the logits are on the CPU."""
    times: list[float] = []
    while len(times) < WARM_UP + 3 or sum(times) < MIN_SECONDS:
        start = time.perf_counter()
        network(images).cpu()
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP:])


def _name(device: torch.device) -> str:
    """What the makers call it; where the system does not say, the type of device or processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor() if device.type == "cpu" else device.type


def processor() -> str:
    """What the makers call the processor; its kind where the system does not say."""
    cpuinfo = Path("/proc/cpuinfo")  # of Linux; elsewhere the standard library knows
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
