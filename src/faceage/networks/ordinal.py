"""Targets that ask of each age whether a face is older."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from coral_pytorch.dataset import levels_from_labelbatch, proba_to_label
from coral_pytorch.losses import coral_loss, corn_loss
from torch import Tensor
from torch.nn import functional as F

from faceage.core.settings import TargetSettings
from faceage.networks.target import Groupings, Labels, Target

SMALLEST = 1e-6  # probability that is told from none: its logarithm has a gradient


@dataclass(frozen=True)
class Ordinal(Target):
    """A logit for each of the questions "older than k?", k from `youngest` to `oldest` - 1.

    The age is that of the highest k whose answer is more likely yes.
    """

    youngest: int
    oldest: int

    @classmethod
    def fit(cls, labels: Labels, settings: TargetSettings, groupings: Groupings) -> Self:
        youngest, oldest = labels.range
        # Of a single age there is nothing to ask.
        return cls(youngest, max(oldest, youngest + 1))

    @property
    def outputs(self) -> int:
        return self.oldest - self.youngest

    def encode(self, labels: Labels) -> Tensor:
        return labels.bands.round().clamp(self.youngest, self.oldest) - self.youngest

    @abstractmethod
    def older(self, logits: Tensor) -> Tensor:
        """Probability of being older than each age: (n, outputs)."""

    def age(self, logits: Tensor) -> Tensor:
        return proba_to_label(self.older(logits)).float() + self.youngest

    def attribution_output(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(logits).sum(dim=1)

    def distribution(self, logits: Tensor) -> tuple[Tensor, Tensor] | None:
        older = self.older(logits)
        edge = torch.ones_like(older[:, :1])
        steps = torch.cat([edge, older, 0 * edge], dim=1)
        return torch.arange(self.youngest, self.oldest + 1), (steps[:, :-1] - steps[:, 1:])


class Coral(Ordinal):
    """The questions share one weight vector: Cao, Mirjalili and Raschka 2020.

    Questions about ages within a band have no answer and are not asked.
    """

    def losses(self, logits: Tensor, encoded: Tensor) -> Tensor:
        low, high = (
            levels_from_labelbatch(rank, self.outputs + 1, dtype=logits.dtype).to(logits.device)
            for rank in encoded.long().cpu().T
        )
        return coral_loss(logits, low, importance_weights=(low == high), reduction=None)

    def older(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(logits.float())


class Corn(Ordinal):
    """Each answer is given the one before: Shi, Cao and Raschka 2023.

    The loss of an exact age is minus the logarithm of its probability, and so is that of a band.
    """

    weighs_faces: ClassVar[bool] = False

    def losses(self, logits: Tensor, encoded: Tensor) -> Tensor:
        # The library has the mean only; a mean over one batch stands for each of its faces.
        low, high = encoded.long().T
        exact = low == high
        if exact.all():
            return corn_loss(logits, low, self.outputs + 1).expand(len(logits))
        asked = low.clamp(max=self.outputs - 1) + 1  # the library divides by questions, not faces
        total = self._of_bands(logits[~exact], low[~exact], high[~exact]).sum()
        if exact.any():
            mean = corn_loss(logits[exact], low[exact], self.outputs + 1)
            total = total + mean * asked[exact].sum()
        return (total / asked.sum()).expand(len(logits))

    def _of_bands(self, logits: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Minus the logarithm of being older than all before the band, and not older than it."""
        question = torch.arange(self.outputs, device=logits.device)
        log_older = F.logsigmoid(logits)
        before = question < low[:, None]
        within = (question >= low[:, None]) & (question <= high[:, None])
        beyond = (log_older * within).sum(dim=1).clamp(max=-SMALLEST)
        not_beyond = torch.where(high < self.outputs, torch.log(-torch.expm1(beyond)), 0.0)
        return -(log_older * before).sum(dim=1) - not_beyond

    def older(self, logits: Tensor) -> Tensor:
        return F.logsigmoid(logits.float()).cumsum(dim=1).exp()
