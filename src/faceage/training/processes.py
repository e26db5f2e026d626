"""The processes that train one network together: who has which faces, and what all of them know.

Each holds the whole network and takes its rows of every batch; Accelerate brings them together and
adds up their gradients. A process that trains alone does nothing of this.
"""

import socket
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from faceage.core.script import UserError
from faceage.training.whole_batch import Part, WholeBatch, at_least_float32, whole

Value = TypeVar("Value")


class Processes:
    """One process among `count`, with the number `rank`, from 0; by itself: alone.

    Parameters
    ----------
    accelerator : Accelerate's, of a process that has joined others
    """

    def __init__(self, accelerator: Any = None) -> None:
        self.accelerator = accelerator
        self.rank: int = accelerator.process_index if accelerator else 0
        self.count: int = accelerator.num_processes if accelerator else 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and logs."""
        return self.rank == 0

    def leave(self) -> None:
        """Let the others go, all being done."""
        if self.accelerator:
            self.accelerator.end_training()

    def agree(self, key: str) -> None:
        """Raise a `UserError` where processes are about to train by other `key`s than the first."""
        if self.count == 1:
            return
        others: list[Any] = [None] * self.count
        distributed.all_gather_object(others, (key, socket.gethostname()))
        for rank, (other, host) in enumerate(others):
            if other != others[0][0]:
                raise UserError(
                    f"train: process {rank} on {host} has other code, parameters or data than"
                    f" process 0 on {others[0][1]}: bring both to the same commit, params.yaml and"
                    " data/ (git pull, dvc pull)"
                )

    def part(self, count: int) -> Part:
        """Rows of a batch of so many faces that this process computes.

        Of a batch with fewer faces than processes each of them computes all.
        """
        if count < self.count:
            return whole(count)
        return Part(
            slice(count * self.rank // self.count, count * (self.rank + 1) // self.count), count
        )

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with gradients that are the mean over the processes, and the same weights."""
        if self.count == 1:
            return module
        self.accelerator.free_memory()  # it would keep every module that it has wrapped
        wrapped: nn.Module = self.accelerator.prepare_model(module)
        return wrapped

    def as_one(self, part: Part) -> AbstractContextManager[Any]:
        """Have forward passes of a part take account of the rest of the batch."""
        return nullcontext() if part.is_whole else WholeBatch(part)

    def gather(self, of_part: Tensor, part: Part) -> Tensor:
        """What all processes have computed of a batch, in its order.

        From (len(part), k) to (count, k), in float32 at least, and nothing of it twice. A loss of
        the whole batch has the same gradients, in the mean over the processes, as in one process.
        """
        if part.is_whole:
            return of_part
        gathered: Tensor = _Gather.apply(
            at_least_float32(of_part.to(self.accelerator.device)), part
        )
        return gathered.to(of_part.device)

    def same(self, value: Value) -> Value:
        """What the first process has, a value that can be pickled, in all of them."""
        if self.count == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, device=self.accelerator.device)
        return values[0]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, of_part: Tensor, part: Part) -> Tensor:
        ctx.rows = part.rows
        gathered = of_part.new_zeros(part.count, *of_part.shape[1:])
        gathered[part.rows] = of_part
        distributed.all_reduce(gathered)
        return gathered

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        # The mean over the processes is taken of gradients of which each has a part.
        return gradients[0][ctx.rows] * distributed.get_world_size(), None
