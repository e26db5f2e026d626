"""The device that a run uses, the arithmetic that it is fastest in."""

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from faceage.core.script import UserError
from faceage.networks.exchange import Exchange

# Of glibc's malloc.h, and the largest int, which they take.
TRIM_THRESHOLD, MMAP_MAX, LARGEST = -1, -4, 2**31 - 1


def pick() -> torch.device:
    """A CUDA device if there is one, then Apple's, then the CPU, whose memory is then kept."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    _keep_freed_memory()
    return torch.device("cpu")


def arithmetic(precision: str, device: torch.device) -> torch.dtype:
    """Resolve `auto` for training: bfloat16 where the device has it in hardware."""
    if precision == "auto":
        return fast_arithmetic(device)
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


@contextmanager
def training_arithmetic(dtype: torch.dtype, device: torch.device) -> Iterator[None]:
    """Have forward passes of a training computed in `dtype`, where that is safe and faster.

    On CPUs plain convolutions and attention gain a factor of up to two in bfloat16, depthwise
    convolutions lose as much in their backward pass, so these stay in float32 there, and what they
    give is rounded at once for the norm and the activation that follow.
    """
    if dtype == torch.float32:
        yield
    elif device.type == "cpu":
        with torch.autocast("cpu", dtype), Exchange({F.conv2d: _conv2d}):
            yield
    else:
        with torch.autocast(device.type, dtype):
            yield


@contextmanager
def deterministic(on: bool, device: torch.device) -> Iterator[None]:
    """Have CUDA compute sums in the same order each time, which its fastest kernels do not.

    On a CPU they are in the same order anyway, with as many threads.

    Raises
    ------
    UserError
        If the network has a step that CUDA can only do in any order.
    """
    if not on or device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
    tuned = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        reason = str(error).split(". ")[0]
        raise UserError(f"train.deterministic: {reason}; set it to off") from None
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = tuned


def _conv2d(input: Tensor, weight: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """A convolution, out of autocast where it is depthwise, but for what comes out."""
    if weight.shape[1] == 1 < input.shape[1]:
        with torch.autocast("cpu", enabled=False):
            output = F.conv2d(input.float(), weight, *args, **kwargs)
        return output.to(torch.get_autocast_dtype("cpu"))
    return F.conv2d(input, weight, *args, **kwargs)


def fast_arithmetic(device: torch.device) -> torch.dtype:
    """Fastest arithmetic of a forward pass: bfloat16 where the device has it in hardware."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = device.type == "cpu" and _cpu_has_bfloat16()
    return torch.bfloat16 if native else torch.float32


def dropout_state(device: torch.device) -> list[Tensor]:
    """State of the generators that dropout on this device draws from."""
    on_device = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *on_device]


def set_dropout_state(states: Sequence[Tensor], device: torch.device) -> None:
    """Go on with what `dropout_state` gave, as far as this device has such generators."""
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)


def _keep_freed_memory() -> None:
    """Let glibc keep what a training step frees for the next one, where the process uses glibc.

    By default large blocks go back to the system, which clears their pages anew for every step.
    On 2 cores a small backbone at 112 px trains 1.15 times and predicts 1.5 times as fast so.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, LARGEST)


def _cpu_has_bfloat16() -> bool:
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
