"""What a training on CUDA is told about the order of its sums; no GPU is needed to see it told."""

import os

import pytest
import torch

from faceage.core.script import UserError
from faceage.networks import devices

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize(
    ("on", "device", "told"), [(True, CUDA, True), (False, CUDA, False), (True, CPU, False)]
)
def test_deterministic_sums_are_asked_for_where_they_are_not_the_rule(
    monkeypatch, on, device, told
):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with devices.deterministic(on, device):
        assert torch.are_deterministic_algorithms_enabled() == told
        assert torch.backends.cudnn.benchmark != told
        assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) == told
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark


def test_a_step_that_has_no_order_is_a_clear_error():
    with (
        pytest.raises(UserError, match=r"train\.deterministic: .*deterministic.*set it to off"),
        devices.deterministic(True, CUDA),
    ):
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.ones(2))
    with pytest.raises(RuntimeError, match="of ours"), devices.deterministic(True, CUDA):
        raise RuntimeError("of ours")
    assert not torch.are_deterministic_algorithms_enabled()
