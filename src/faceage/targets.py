"""What the head learns to say about an age: from labels to targets, from logits to ages."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Regression:
    """One logit, the standardised age, fitted with smooth L1 (Huber) loss.

    mean, sd: of the training ages, in years; beta: years of error at which the loss turns from
    quadratic to linear.
    """

    mean: float
    sd: float
    beta: float

    outputs = 1

    @classmethod
    def fit(cls, ages: Tensor, beta: float) -> "Regression":
        """Standardise by these training ages: float (n,), in years."""
        sd = float(ages.std(correction=0))
        return cls(mean=float(ages.mean()), sd=sd or 1.0, beta=beta)

    def encode(self, ages: Tensor) -> Tensor:
        """Standardise ages in years: (n,) to (n,)."""
        return (ages - self.mean) / self.sd

    def loss(self, logits: Tensor, ages: Tensor) -> Tensor:
        """Mean smooth L1 loss of logits (n, 1) against ages in years (n,)."""
        return F.smooth_l1_loss(logits[:, 0], self.encode(ages), beta=self.beta / self.sd)

    def decode(self, logits: Tensor) -> Tensor:
        """Ages in years, never negative: (n, 1) to (n,)."""
        return torch.clamp(logits[:, 0].float() * self.sd + self.mean, min=0)

    def as_dict(self) -> dict[str, float]:
        """Fields by name, for JSON."""
        return asdict(self)
