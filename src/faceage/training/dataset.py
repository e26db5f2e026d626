"""What a training reads: the faces of a split, in an order for each epoch, in batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from faceage.networks.faces import to_input
from faceage.networks.target import Labels


@dataclass(frozen=True)
class FaceDataset:
    """Faces of one split: names, uint8 (n, side, side, 3), labels and weights in the loss (n,)."""

    names: Sequence[str]
    pixels: Tensor
    labels: Labels
    weights: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def order(self, generator: Generator, chances: Tensor | None = None) -> Tensor:
        """Rows in the order of an epoch: each once, or as many drawn by their `chances` (n,)."""
        if chances is None:
            return torch.randperm(len(self), generator=generator)
        return torch.multinomial(chances, len(self), replacement=True, generator=generator)

    def images(self, rows: Tensor, img_size: int, device: torch.device) -> Tensor:
        """Some faces as a network's input, not normalised yet: see `to_input`."""
        return to_input(self.pixels, img_size, device, rows)


def batches(order: Tensor, size: int) -> list[Tensor]:
    """Rows in batches, of which the last may be smaller, but for one face alone.

    That one goes with the batch before it: a batch norm knows no variance of a single face.
    """
    found = list(order.split(size))
    if len(found) > 1 and len(found[-1]) == 1:
        found[-2:] = [torch.cat(found[-2:])]
    return found
