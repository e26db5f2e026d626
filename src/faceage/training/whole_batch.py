"""Batch norm and dropout of a batch whose faces lie in several processes, as of one process.

They are exchanged where a forward pass calls them. The network stays as it is, and so do its
weights' names, the averaged copy of it and what is frozen in it. torch's own SyncBatchNorm is
another module with other rules for each of these, and takes no tensors of a CPU.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional as F

from faceage.networks.exchange import Exchange


@dataclass(frozen=True)
class Part:
    """The rows that this process computes, of a batch of `count` faces."""

    rows: slice
    count: int

    def __len__(self) -> int:
        return self.rows.stop - self.rows.start

    @property
    def is_whole(self) -> bool:
        """Whether that is all of the batch."""
        return len(self) == self.count


def whole(count: int) -> Part:
    """All rows of a batch of so many faces."""
    return Part(slice(0, count), count)


class WholeBatch(Exchange):
    """Computes a part of a batch as one process would that had all of it.

    Batch norms take the mean and variance of all faces. Dropout and stochastic depth draw for all
    faces from the global generator, which has the same seed in all processes, and use the own rows.
    """

    def __init__(self, part: Part) -> None:
        super().__init__(
            {
                F.batch_norm: self._batch_norm,
                F.dropout: self._dropout,
                Tensor.bernoulli_: self._bernoulli,
            }
        )
        self.part = part

    def _batch_norm(
        self,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Any:
        if not training:
            return F.batch_norm(input, running_mean, running_var, weight, bias, False, eps=eps)
        share = len(self.part) / self.part.count
        mean, var = _statistics(input, share)
        values = self.part.count * input.shape[2:].numel()
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(var * values / (values - 1), momentum)
        return _Normalise.apply(input, weight, bias, mean, var, eps, values)

    def _dropout(
        self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not training or not p:
            return F.dropout(input, p, training, inplace)
        return input * F.dropout(self._for_all(input).fill_(1), p)[self.part.rows]

    def _bernoulli(self, chosen: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return chosen.copy_(self._for_all(chosen).bernoulli_(*args, **kwargs)[self.part.rows])

    def _for_all(self, of_part: Tensor) -> Tensor:
        """An empty tensor for the whole batch, in the layout of the part: draws follow it."""
        channels_last = of_part.dim() == 4 and of_part.is_contiguous(
            memory_format=torch.channels_last
        )
        return torch.empty(
            (self.part.count, *of_part.shape[1:]),
            dtype=of_part.dtype,
            device=of_part.device,
            memory_format=torch.channels_last if channels_last else torch.contiguous_format,
        )


def _statistics(input: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel over all processes.

    Parameters
    ----------
    share : of the batch that is in this process
    """
    own_var, own_mean = torch.var_mean(
        at_least_float32(input.detach()), _all_but_channels(input), correction=0
    )
    each = own_mean.new_zeros(distributed.get_world_size(), 3, len(own_mean))
    each[distributed.get_rank()] = torch.stack(
        [torch.full_like(own_mean, share), own_mean, own_var]
    )
    distributed.all_reduce(each)
    shares, means, variances = each.unbind(dim=1)
    mean = (shares * means).sum(dim=0)
    return mean, (shares * (variances + (means - mean) ** 2)).sum(dim=0)


class _Normalise(torch.autograd.Function):
    """Batch norm whose mean and variance are those of all processes (Ioffe and Szegedy 2015).

    The gradients of weight and bias are this process's share of them.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        var: Tensor,
        eps: float,
        values: int,
    ) -> Tensor:
        ctx.save_for_backward(input, weight, mean, torch.rsqrt(var + eps))
        ctx.values = values
        return F.batch_norm(input, mean, var, weight, bias, False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        input, weight, mean, inverse_sd = ctx.saved_tensors
        gradient = at_least_float32(gradients[0])
        shape = [-1 if axis == 1 else 1 for axis in range(input.dim())]
        standardised = (input - mean.view(shape)) * inverse_sd.view(shape)
        dims = _all_but_channels(input)
        of_bias, of_weight = gradient.sum(dims), (gradient * standardised).sum(dims)
        total = torch.stack([of_bias, of_weight])
        distributed.all_reduce(total)
        mean_gradient, mean_product = (total / ctx.values).unbind()
        gradient = gradient - mean_gradient.view(shape) - standardised * mean_product.view(shape)
        scale = inverse_sd if weight is None else inverse_sd * weight
        of_input = (gradient * scale.view(shape)).to(input.dtype)
        with_weight = (None, None) if weight is None else (of_weight, of_bias)
        return of_input, *with_weight, None, None, None, None


def _all_but_channels(input: Tensor) -> list[int]:
    return [axis for axis in range(input.dim()) if axis != 1]


def at_least_float32(values: Tensor) -> Tensor:
    """Values of half precision in float32, others as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
