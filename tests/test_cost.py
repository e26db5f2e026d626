"""What a face costs, where it can be counted by hand."""

import torch
from conftest import architecture
from torch import nn

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
    assert (measured["bytes"], measured["px"], measured["device"]) == (7, 8, "cpu")
    assert measured["cores"] == torch.get_num_threads()
    assert measured["latency_ms"] > 0
    assert measured["throughput"] > 0
