"""What a training reads: the faces of a split, in an order for each epoch, in batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from faceage.networks.faces import Pixels, to_input
from faceage.networks.streaming import StreamedPixels
from faceage.networks.target import Labels


@dataclass(frozen=True)
class FaceDataset:
    """Faces of one split: names, uint8 (n, side, side, 3), labels and weights in the loss (n,)."""

    names: Sequence[str]
    pixels: Tensor | StreamedPixels
    labels: Labels
    weights: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def order(
        self,
        generator: Generator,
        size: int,
        chances: Tensor | None = None,
        processes: int = 1,
    ) -> Tensor:
        """Rows in the order of an epoch: each once, or as many drawn by their `chances` (n,).

        Parameters
        ----------
        size : of a batch, which `processes` divide among them: it tells where faces that are
            streamed come from
        """
        if chances is not None:
            return torch.multinomial(chances, len(self), replacement=True, generator=generator)
        if isinstance(self.pixels, StreamedPixels):
            sizes = [len(rows) for rows in batches(torch.arange(len(self)), size)]
            return self.pixels.order(generator, sizes, processes)
        return torch.randperm(len(self), generator=generator)

    def read_ahead(self, coming: Sequence[Tensor]) -> None:
        """Announce the rows that `images` will be asked for, batch by batch."""
        if isinstance(self.pixels, StreamedPixels):
            self.pixels.read_ahead(coming)

    def within(self, rows: slice) -> Pixels:
        """Pixels of some consecutive faces."""
        if isinstance(self.pixels, StreamedPixels):
            return self.pixels.within(rows)
        return self.pixels[rows]

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
