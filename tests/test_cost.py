"""What a face costs, where it can be counted by hand."""

from pathlib import Path

import torch
from conftest import architecture
from torch import Tensor, nn
from torch.nn import functional as F

from faceage.evaluation import cost
from faceage.networks import age_network


def test_a_network_counted_by_hand(tmp_path):
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten())
    network = age_network.Model(
        [age_network.AgeNetwork(backbone, 4 * 64, architecture(img_size=8))]
    )
    (tmp_path / "model.safetensors").write_bytes(b"12345")
    (tmp_path / "model.json").write_bytes(b"12")
    measured = cost.measure(network, tmp_path)
    assert measured["parameters"] == 4 * 27 + 4 + 4 * 64 + 1
    assert measured["multiply_adds"] == 64 * 4 * 27 + 4 * 64
    assert (measured["bytes"], measured["img_size"]) == (7, 8)
    assert measured["device"]
    assert measured["cpu"] == torch.backends.cpu.get_cpu_capability()
    assert measured["threads"] == torch.get_num_threads()
    assert measured["latency_ms"] > 0
    assert measured["throughput"] > 0


class Attention(nn.Module):
    """Attention of 16 tokens of 12 values each, fused or not as timm's modules do it."""

    def __init__(self) -> None:
        super().__init__()
        self.fused_attn = True

    def forward(self, images: Tensor) -> Tensor:
        tokens = images.flatten(1).view(-1, 1, 16, 12)
        if self.fused_attn:
            return F.scaled_dot_product_attention(tokens, tokens, tokens).flatten(1)
        weights = (tokens @ tokens.mT / 12**0.5).softmax(-1)
        return (weights @ tokens).flatten(1)


class Offset(nn.Module):
    """A module that is given a parameter, as some of timm's transformers have it."""

    def __init__(self, outside: bool) -> None:
        super().__init__()
        self.offset, self.apply_to = nn.Parameter(torch.zeros(1, 192)), nn.Linear(192, 192)
        self.outside = outside

    def forward(self, images: Tensor) -> Tensor:
        with torch.inference_mode(self.outside):
            return images.flatten(1) + self.apply_to(self.offset)


def multiply_adds(backbone: nn.Module, folder: Path) -> int | None:
    network = age_network.Model([age_network.AgeNetwork(backbone, 192, architecture(img_size=8))])
    measured = cost.measure(network, folder)
    assert measured["latency_ms"] > 0
    found: int | None = measured["multiply_adds"]
    return found


def test_attention_counts(tmp_path):
    assert multiply_adds(Attention(), tmp_path) == 2 * 16 * 16 * 12 + 192


def test_a_module_that_is_given_a_parameter(tmp_path):
    assert multiply_adds(Offset(outside=False), tmp_path) == 192 * 192 + 192


def test_what_cannot_be_counted_is_left_out(tmp_path):
    assert multiply_adds(Offset(outside=True), tmp_path) is None
