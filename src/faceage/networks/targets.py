"""What the head learns to say about an age: from labels to a loss, from logits back to an age.

Every target has the methods of `Target`, so that training, evaluation and use know none of them by
name. A new one is a class here and a line in `TARGETS`. `fit` makes one from the training labels
and params.yaml, `restore` from models/model.json.
"""

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from faceage.core.faults import require_known
from faceage.core.script import UserError
from faceage.core.settings import TargetSettings
from faceage.core.utkface import GENDERS, RACES
from faceage.networks.losses import REGRESSION_LOSSES
from faceage.networks.ordinal import Coral, Corn
from faceage.networks.target import (
    Groupings,
    Labels,
    LearnedClasses,
    Target,
    distance_to,
    is_exact,
    log_probability,
)

# Distributions over ages reach this many sigmas beyond the training ages: cut off at the youngest
# age, the mean of an infant's distribution would lie years above the infant's age.
MARGIN = 3
# Logits of the gender and ethnicity heads.
AUXILIARY = len(GENDERS) + len(RACES)


@dataclass(frozen=True)
class Regression(Target):
    """One logit, the standardised age.

    mean, sd: of the training ages, in years; loss: a name in `losses.REGRESSION_LOSSES`; beta:
    years of error at which smooth L1 turns from quadratic to linear.
    """

    mean: float
    sd: float
    loss: str
    beta: float

    outputs: ClassVar[int] = 1

    @classmethod
    def fit(cls, labels: Labels, settings: TargetSettings, groupings: Groupings) -> Self:
        mean, sd = float(labels.age.mean()), float(labels.age.std(correction=0))
        return cls(mean, sd or 1.0, settings.loss, settings.beta)

    def encode(self, labels: Labels) -> Tensor:
        return (labels.bands - self.mean) / self.sd

    def losses(self, logits: Tensor, encoded: Tensor) -> Tensor:
        error = distance_to(encoded, logits[:, 0])
        return REGRESSION_LOSSES[self.loss](error, self.sd, self.beta)

    def age(self, logits: Tensor) -> Tensor:
        return torch.clamp(logits[:, 0].float() * self.sd + self.mean, min=0)

    def attribution_output(self, logits: Tensor) -> Tensor:
        return logits[:, 0]


@dataclass(frozen=True)
class Classification(Target):
    """A logit for each named age group, learned by cross entropy.

    Of the groups that a band of ages touches each is right. An age is the mean of the groups' mean
    training ages (`centres`, years), weighted with the groups' probabilities. grouping: its name;
    boundaries: first age of each group but the first.
    """

    grouping: str
    boundaries: Sequence[int]
    names: Sequence[str]
    centres: Sequence[float] | None
    label_smoothing: float

    learns_classes: ClassVar[bool] = True

    @classmethod
    def fit(cls, labels: Labels, settings: TargetSettings, groupings: Groupings) -> Self:
        grouping = groupings[settings.grouping]
        known = settings.grouping, grouping.boundaries, grouping.names
        classes = cls(*known, None, settings.label_smoothing)
        return replace(classes, centres=_centres(classes, labels))

    @property
    def outputs(self) -> int:
        return len(self.names)

    def encode(self, labels: Labels) -> Tensor:
        by_age = self.group_of(labels.bands.nan_to_num())
        known = labels.age_class[:, None]
        return torch.where(known >= 0, known, by_age).float()

    def group_of(self, ages: Tensor) -> Tensor:
        """Number of the group of each age."""
        boundaries = torch.tensor(self.boundaries, dtype=torch.float32)
        return torch.bucketize(ages, boundaries, right=True)

    def losses(self, logits: Tensor, encoded: Tensor) -> Tensor:
        one = F.cross_entropy(
            logits,
            encoded[:, 0].long(),
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        groups = torch.arange(self.outputs, device=logits.device)
        of_band = -log_probability(logits.log_softmax(dim=1), groups, encoded)
        return torch.where(is_exact(encoded), one, of_band)

    def age(self, logits: Tensor) -> Tensor:
        if self.centres is None:
            return torch.full_like(logits[:, 0], torch.nan)
        centres = torch.tensor(self.centres, device=logits.device)
        return logits.float().softmax(dim=1) @ centres

    def classes(self, logits: Tensor) -> LearnedClasses | None:
        return LearnedClasses(self.grouping, logits.argmax(dim=1))

    def attribution_output(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=1) @ torch.arange(self.outputs, dtype=logits.dtype)


@dataclass(frozen=True)
class Distribution(Target):
    """A logit for each whole year from `first` to `last`; the age is their mean, or a quantile.

    sigma: years by which a label is spread over its neighbours; quantile: in 0..1, or none.
    """

    first: int
    last: int
    sigma: float
    quantile: float | None = None  # models of earlier programs do not say it

    @classmethod
    def fit(cls, labels: Labels, settings: TargetSettings, groupings: Groupings) -> Self:
        youngest, oldest = labels.range
        margin = math.ceil(MARGIN * settings.sigma)
        return cls(youngest - margin, oldest + margin, settings.sigma, settings.quantile)

    @property
    def outputs(self) -> int:
        return self.last - self.first + 1

    def encode(self, labels: Labels) -> Tensor:
        return labels.bands

    def losses(self, logits: Tensor, encoded: Tensor) -> Tensor:
        years = self._years(logits)
        log_p = logits.log_softmax(dim=1)
        mean = (log_p.exp() * years).sum(dim=1)
        exact = self.divergence(log_p, years, mean, encoded[:, :1])
        of_band = -log_probability(log_p, years, encoded.clamp(self.first, self.last))
        return torch.where(is_exact(encoded), exact, of_band)

    @abstractmethod
    def divergence(self, log_p: Tensor, years: Tensor, mean: Tensor, age: Tensor) -> Tensor:
        """Loss of each face (n,), from the logarithm of each year's probability and their mean.

        Parameters
        ----------
        age : exact ages (n, 1)
        """

    def age(self, logits: Tensor) -> Tensor:
        p = logits.float().softmax(dim=1)
        if self.quantile is None:
            return (p @ self._years(logits)).clamp(min=0)
        return (_quantile(p, self.quantile) + self.first).clamp(min=0)

    def attribution_output(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=1) @ self._years(logits)

    def distribution(self, logits: Tensor) -> tuple[Tensor, Tensor] | None:
        return torch.arange(self.first, self.last + 1), logits.float().softmax(dim=1)

    def _years(self, logits: Tensor) -> Tensor:
        return torch.arange(self.first, self.last + 1, device=logits.device, dtype=torch.float32)


class Dldl(Distribution):
    """KL divergence from a Gaussian plus the L1 error of the mean: DLDL-v2, Gao et al. 2018."""

    def divergence(self, log_p: Tensor, years: Tensor, mean: Tensor, age: Tensor) -> Tensor:
        wanted = (-0.5 * ((years - age) / self.sigma) ** 2).softmax(dim=1)
        divergence = (wanted * (wanted.clamp_min(1e-12).log() - log_p)).sum(dim=1)
        return divergence + (mean - age[:, 0]).abs()


class Sord(Distribution):
    """Cross entropy with a softmax of minus the distance over sigma: Diaz and Marathe 2019."""

    def divergence(self, log_p: Tensor, years: Tensor, mean: Tensor, age: Tensor) -> Tensor:
        wanted = (-(years - age).abs() / self.sigma).softmax(dim=1)
        return -(wanted * log_p).sum(dim=1)


class MeanVariance(Distribution):
    """Cross entropy, squared error of the mean and the variance, weighted as by Pan et al. 2018."""

    mean_weight: ClassVar[float] = 0.2
    variance_weight: ClassVar[float] = 0.05

    def divergence(self, log_p: Tensor, years: Tensor, mean: Tensor, age: Tensor) -> Tensor:
        nearest = (years - age).abs().argmin(dim=1)
        entropy = F.nll_loss(log_p, nearest, reduction="none")
        variance = (log_p.exp() * (years - mean[:, None]) ** 2).sum(dim=1)
        squared = (mean - age[:, 0]) ** 2
        return entropy + self.mean_weight * squared / 2 + self.variance_weight * variance


@dataclass(frozen=True)
class MultiTask(Target):
    """Another target with logits for gender and ethnicity after its own.

    gender, race: weights of their cross entropies beside the loss of the age; a face without the
    label adds nothing to it.
    """

    main: Target
    gender: float
    race: float

    @classmethod
    def fit(cls, labels: Labels, settings: TargetSettings, groupings: Groupings) -> Self:
        main = TARGETS[settings.name].fit(labels, settings, groupings)
        return cls(main, settings.gender, settings.race)

    @property
    def learns_classes(self) -> bool:  # type: ignore[override]
        return self.main.learns_classes

    @property
    def outputs(self) -> int:
        return self.main.outputs + AUXILIARY

    def encode(self, labels: Labels) -> Tensor:
        codes = torch.stack([labels.gender, labels.race], dim=1).float()
        return torch.cat([self.main.encode(labels), codes], dim=1)

    def losses(self, logits: Tensor, encoded: Tensor) -> Tensor:
        gender, race = logits[:, self.main.outputs :].split([len(GENDERS), len(RACES)], dim=1)
        codes = encoded[:, -2:].long()
        return (
            self.main.losses(self._main(logits), encoded[:, :-2])
            + self.gender * F.cross_entropy(gender, codes[:, 0], reduction="none", ignore_index=-1)
            + self.race * F.cross_entropy(race, codes[:, 1], reduction="none", ignore_index=-1)
        )

    def age(self, logits: Tensor) -> Tensor:
        return self.main.age(self._main(logits))

    def classes(self, logits: Tensor) -> LearnedClasses | None:
        return self.main.classes(self._main(logits))

    def attribution_output(self, logits: Tensor) -> Tensor:
        return self.main.attribution_output(self._main(logits))

    def distribution(self, logits: Tensor) -> tuple[Tensor, Tensor] | None:
        return self.main.distribution(self._main(logits))

    def _main(self, logits: Tensor) -> Tensor:
        return logits[:, : self.main.outputs]


# By the names in params.yaml.
TARGETS: dict[str, type[Target]] = {
    "regression": Regression,
    "classification": Classification,
    "coral": Coral,
    "corn": Corn,
    "dldl": Dldl,
    "sord": Sord,
    "mean_variance": MeanVariance,
}
# By the names in model.json.
KINDS: dict[str, Any] = TARGETS | {"multitask": MultiTask}


def check(settings: TargetSettings, reweight: str, weights: Iterable[float] = ()) -> None:
    """Raise a `UserError` where params.yaml names no target or loss, or weighs none of a face.

    Parameters
    ----------
    reweight : as in train.reweight
    weights : of faces in the loss
    """
    require_known("target.name", settings.name, TARGETS)
    require_known("target.loss", settings.loss, REGRESSION_LOSSES)
    if reweight == "loss" and not TARGETS[settings.name].weighs_faces:
        raise UserError(
            f"params.yaml: train.reweight is 'loss', and {settings.name} has no loss of each face;"
            " set it to sampler"
        )
    if not {1.0}.issuperset(weights) and not TARGETS[settings.name].weighs_faces:
        raise UserError(
            f"params.yaml: data.sources have other weights than 1, and {settings.name} has no loss"
            " of each face; set them to 1"
        )


def fit(labels: Labels, settings: TargetSettings, groupings: Groupings) -> Target:
    """Make the target that params.yaml asks for from the labels of the training set.

    Raises
    ------
    UserError
        If the target learns ages and the labels are classes.
    """
    kind = TARGETS[settings.name]
    if labels.age.isnan().any() and not kind.learns_classes:
        raise UserError(
            f"target.name: {settings.name} learns ages, and the faces of data.source are labelled"
            f" with classes; set target.name=classification and target.grouping={settings.grouping}"
        )
    if settings.gender or settings.race:
        kind = MultiTask
    return kind.fit(labels, settings, groupings)


def _quantile(p: Tensor, quantile: float) -> Tensor:
    """Where the sum of probabilities p (n, k) of 0 to k - 1 reaches `quantile`: (n,).

    That of each number is spread evenly from half below it to half above it.
    """
    up_to = p.cumsum(dim=1)
    number = (up_to < quantile).sum(dim=1, keepdim=True).clamp(max=p.shape[1] - 1)
    own = p.gather(1, number)
    # Above 1 where rounding leaves the sum of all below the quantile.
    share = ((quantile - up_to.gather(1, number) + own) / own).clamp(max=1)
    return (number - 0.5 + share)[:, 0]


def _centres(classes: Classification, labels: Labels) -> list[float] | None:
    """Mean training age of each class; of a class without a face, the age at its boundary."""
    if labels.age.isnan().any():
        return None
    number = classes.group_of(labels.age)
    edges = [0, *classes.boundaries]
    return [
        float(labels.age[number == k].mean()) if (number == k).any() else float(edges[k])
        for k in range(classes.outputs)
    ]


def as_dict(target: Target) -> dict[str, Any]:
    """The target as plain JSON."""
    content = dict(vars(target))
    if isinstance(target, MultiTask):
        content["main"] = as_dict(target.main)
    kind = next(name for name, kind in KINDS.items() if type(target) is kind)
    return {"kind": kind} | content


def restore(content: Mapping[str, Any]) -> Target:
    """The target that `as_dict` described; raises KeyError or TypeError if it is none."""
    values = dict(content)
    kind = KINDS[values.pop("kind")]
    if kind is MultiTask:
        values["main"] = restore(values["main"])
    target: Target = kind(**values)
    return target
