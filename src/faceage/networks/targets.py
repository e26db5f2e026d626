"""What the head learns to say about an age: from labels to a loss, from logits back to an age.

Every target has the same few methods, so that training, evaluation and use know none of them by
name. `fit` makes one from the training labels and params.yaml, `restore` from models/model.json.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Protocol

import pandas as pd
import torch
from coral_pytorch.dataset import levels_from_labelbatch, proba_to_label
from coral_pytorch.losses import coral_loss, corn_loss
from torch import Tensor
from torch.nn import functional as F

from faceage.core.script import UserError
from faceage.core.settings import Grouping, TargetSettings
from faceage.core.utkface import GENDERS, RACES
from faceage.networks.losses import REGRESSION_LOSSES

# Distributions over ages reach this many sigmas beyond the training ages: cut off at the youngest
# age, the mean of an infant's distribution would lie years above the infant's age.
MARGIN = 3
# Logits of the gender and ethnicity heads.
AUXILIARY = len(GENDERS) + len(RACES)


class LearnedClasses(NamedTuple):
    """The grouping that a target has learned, and the number of each face's class, long (n,)."""

    grouping: str
    numbers: Tensor


@dataclass(frozen=True)
class Labels:
    """What is known of n faces.

    age: years, float (n,), not a number where the source gives classes only; age_class: its
    number, long (n,), -1 where the source gives ages; gender, race: codes, long (n,), -1 where
    they are missing.
    """

    age: Tensor
    age_class: Tensor
    gender: Tensor
    race: Tensor

    def __len__(self) -> int:
        return len(self.age)

    def __getitem__(self, rows: Tensor | slice) -> "Labels":
        return Labels(self.age[rows], self.age_class[rows], self.gender[rows], self.race[rows])


def labels(faces: pd.DataFrame, classes: Sequence[str]) -> Labels:
    """Labels of a table of faces.

    Parameters
    ----------
    faces : columns `age`, `age_class`, `gender`, `race`
    classes : names of the groups that `age_class` is numbered by

    Raises
    ------
    UserError
        If a face is of another class.
    """
    unknown = set(faces["age_class"].dropna()) - set(classes)
    if unknown:
        raise UserError(
            f"target.grouping: its classes are {', '.join(classes)}, and faces of data.source are"
            f" labelled {', '.join(sorted(unknown))}; name the grouping that has these"
        )
    number = faces["age_class"].map({name: k for k, name in enumerate(classes)})
    codes = [column.fillna(-1).astype(int) for column in (number, faces["gender"], faces["race"])]
    age = torch.tensor(faces["age"].to_numpy(dtype="float32", na_value=math.nan))
    return Labels(age, *(torch.tensor(code.to_numpy()) for code in codes))


class Target(Protocol):
    """From labels to a loss, from logits to ages. Logits are float (n, outputs)."""

    kind: ClassVar[str]

    @property
    def outputs(self) -> int:
        """Logits a face."""

    def encode(self, labels: Labels) -> Tensor:
        """Labels as what the loss compares the logits with: float (n, columns)."""

    def losses(self, logits: Tensor, encoded: Tensor) -> Tensor:
        """Loss of each face: (n,)."""

    def age(self, logits: Tensor) -> Tensor:
        """Ages in years, never negative: (n,); not a number where no ages were learned."""

    def classes(self, logits: Tensor) -> LearnedClasses | None:
        """What a target that learns classes finds most likely."""

    def attribution_output(self, logits: Tensor) -> Tensor:
        """A number for each face (n,) that grows with its estimate and has a gradient."""

    def distribution(self, logits: Tensor) -> tuple[Tensor, Tensor] | None:
        """Whole years (k,) and the probability of each (n, k), where the target has them."""


@dataclass(frozen=True)
class Regression:
    """One logit, the standardised age.

    mean, sd: of the training ages, in years; loss: a name in `losses.REGRESSION_LOSSES`; beta:
    years of error at which smooth L1 turns from quadratic to linear.
    """

    mean: float
    sd: float
    loss: str
    beta: float

    kind: ClassVar[str] = "regression"
    outputs: ClassVar[int] = 1

    def encode(self, labels: Labels) -> Tensor:
        return ((labels.age - self.mean) / self.sd)[:, None]

    def losses(self, logits: Tensor, encoded: Tensor) -> Tensor:
        return REGRESSION_LOSSES[self.loss](logits[:, 0] - encoded[:, 0], self.sd, self.beta)

    def age(self, logits: Tensor) -> Tensor:
        return torch.clamp(logits[:, 0].float() * self.sd + self.mean, min=0)

    def classes(self, logits: Tensor) -> LearnedClasses | None:
        return None

    def attribution_output(self, logits: Tensor) -> Tensor:
        return logits[:, 0]

    def distribution(self, logits: Tensor) -> tuple[Tensor, Tensor] | None:
        return None


@dataclass(frozen=True)
class Classification:
    """A logit for each named age group, learned by cross entropy.

    An age is the mean of the groups' mean training ages (`centres`, years), weighted with the
    groups' probabilities. grouping: its name; boundaries: first age of each group but the first.
    """

    grouping: str
    boundaries: Sequence[int]
    names: Sequence[str]
    centres: Sequence[float] | None
    label_smoothing: float

    kind: ClassVar[str] = "classification"

    @property
    def outputs(self) -> int:
        return len(self.names)

    def encode(self, labels: Labels) -> Tensor:
        boundaries = torch.tensor(self.boundaries, dtype=torch.float32)
        by_age = torch.bucketize(labels.age.nan_to_num(), boundaries, right=True)
        return torch.where(labels.age_class >= 0, labels.age_class, by_age).float()[:, None]

    def losses(self, logits: Tensor, encoded: Tensor) -> Tensor:
        return F.cross_entropy(
            logits,
            encoded[:, 0].long(),
            reduction="none",
            label_smoothing=self.label_smoothing,
        )

    def age(self, logits: Tensor) -> Tensor:
        if self.centres is None:
            return torch.full_like(logits[:, 0], torch.nan)
        centres = torch.tensor(self.centres, device=logits.device)
        return logits.float().softmax(dim=1) @ centres

    def classes(self, logits: Tensor) -> LearnedClasses | None:
        return LearnedClasses(self.grouping, logits.argmax(dim=1))

    def attribution_output(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=1) @ torch.arange(self.outputs, dtype=logits.dtype)

    def distribution(self, logits: Tensor) -> tuple[Tensor, Tensor] | None:
        return None


@dataclass(frozen=True)
class Ordinal:
    """A logit for each of the questions "older than k?", k from `youngest` to `oldest` - 1.

    coral: Cao, Mirjalili and Raschka 2020; corn: Shi, Cao and Raschka 2023. The age is that of the
    highest k whose answer is more likely yes.
    """

    method: str
    youngest: int
    oldest: int

    kind: ClassVar[str] = "ordinal"

    @property
    def outputs(self) -> int:
        return self.oldest - self.youngest

    def encode(self, labels: Labels) -> Tensor:
        age = labels.age.round().clamp(self.youngest, self.oldest)
        return (age - self.youngest)[:, None]

    def losses(self, logits: Tensor, encoded: Tensor) -> Tensor:
        rank, ages = encoded[:, 0].long(), self.outputs + 1
        if self.method == "corn":
            # The library has the mean only; a mean over one batch stands for each of its faces.
            return corn_loss(logits, rank, ages).expand(len(rank))
        levels = levels_from_labelbatch(rank.cpu(), ages, dtype=logits.dtype).to(logits.device)
        return coral_loss(logits, levels, reduction=None)

    def age(self, logits: Tensor) -> Tensor:
        return proba_to_label(self._older(logits)).float() + self.youngest

    def classes(self, logits: Tensor) -> LearnedClasses | None:
        return None

    def attribution_output(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(logits).sum(dim=1)

    def distribution(self, logits: Tensor) -> tuple[Tensor, Tensor] | None:
        older = self._older(logits)
        edge = torch.ones_like(older[:, :1])
        steps = torch.cat([edge, older, 0 * edge], dim=1)
        return torch.arange(self.youngest, self.oldest + 1), (steps[:, :-1] - steps[:, 1:])

    def _older(self, logits: Tensor) -> Tensor:
        """Probability of being older than each age; corn's logits are each given the one before."""
        if self.method == "corn":
            return F.logsigmoid(logits.float()).cumsum(dim=1).exp()
        return torch.sigmoid(logits.float())


@dataclass(frozen=True)
class Distribution:
    """A logit for each whole year; the age is the mean of their distribution.

    dldl: KL divergence from a Gaussian of `sigma` years plus the L1 error of the mean (DLDL-v2,
    Gao et al. 2018). sord: cross entropy with a softmax of minus the distance in units of `sigma`
    (Diaz and Marathe 2019). mean_variance: cross entropy, squared error of the mean and the
    variance, weighted as by Pan et al. 2018.
    """

    method: str
    first: int
    last: int
    sigma: float

    kind: ClassVar[str] = "distribution"
    mean_weight: ClassVar[float] = 0.2
    variance_weight: ClassVar[float] = 0.05

    @property
    def outputs(self) -> int:
        return self.last - self.first + 1

    def encode(self, labels: Labels) -> Tensor:
        return labels.age[:, None]

    def losses(self, logits: Tensor, encoded: Tensor) -> Tensor:
        years = self._years(logits)
        distance = years - encoded
        log_probability = logits.log_softmax(dim=1)
        mean = (log_probability.exp() * years).sum(dim=1)
        match self.method:
            case "dldl":
                wanted = (-0.5 * (distance / self.sigma) ** 2).softmax(dim=1)
                divergence = (wanted * (wanted.clamp_min(1e-12).log() - log_probability)).sum(dim=1)
                return divergence + (mean - encoded[:, 0]).abs()
            case "sord":
                wanted = (-distance.abs() / self.sigma).softmax(dim=1)
                return -(wanted * log_probability).sum(dim=1)
            case _:
                nearest = distance.abs().argmin(dim=1)
                entropy = F.nll_loss(log_probability, nearest, reduction="none")
                variance = (log_probability.exp() * (years - mean[:, None]) ** 2).sum(dim=1)
                squared = (mean - encoded[:, 0]) ** 2
                return entropy + self.mean_weight * squared / 2 + self.variance_weight * variance

    def age(self, logits: Tensor) -> Tensor:
        return (logits.float().softmax(dim=1) @ self._years(logits)).clamp(min=0)

    def classes(self, logits: Tensor) -> LearnedClasses | None:
        return None

    def attribution_output(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=1) @ self._years(logits)

    def distribution(self, logits: Tensor) -> tuple[Tensor, Tensor] | None:
        return torch.arange(self.first, self.last + 1), logits.float().softmax(dim=1)

    def _years(self, logits: Tensor) -> Tensor:
        return torch.arange(self.first, self.last + 1, device=logits.device, dtype=torch.float32)


@dataclass(frozen=True)
class MultiTask:
    """Another target with logits for gender and ethnicity after its own.

    gender, race: weights of their cross entropies beside the loss of the age; a face without the
    label adds nothing to it.
    """

    main: Target
    gender: float
    race: float

    kind: ClassVar[str] = "multitask"

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


def fit(labels: Labels, settings: TargetSettings, groupings: dict[str, Grouping]) -> Target:
    """Make the target that params.yaml asks for from the labels of the training set.

    Raises
    ------
    UserError
        If the target learns ages and the labels are classes.
    """
    if labels.age.isnan().any() and settings.name != "classification":
        raise UserError(
            f"target.name: {settings.name} learns ages, and the faces of data.source are labelled"
            f" with classes; set target.name=classification and target.grouping={settings.grouping}"
        )
    main = _main(labels, settings, groupings)
    if settings.gender or settings.race:
        return MultiTask(main, settings.gender, settings.race)
    return main


def _main(labels: Labels, settings: TargetSettings, groupings: dict[str, Grouping]) -> Target:
    match settings.name:
        case "regression":
            sd = float(labels.age.std(correction=0))
            mean = float(labels.age.mean())
            return Regression(mean, sd or 1.0, settings.loss, settings.beta)
        case "classification":
            grouping = groupings[settings.grouping]
            classes = Classification(
                settings.grouping,
                grouping.boundaries,
                grouping.names,
                None,
                settings.label_smoothing,
            )
            return replace(classes, centres=_centres(classes, labels))
        case "coral" | "corn":
            # Of a single age there is nothing to ask.
            youngest, oldest = _range(labels)
            return Ordinal(settings.name, youngest, max(oldest, youngest + 1))
        case _:
            youngest, oldest = _range(labels)
            margin = math.ceil(MARGIN * settings.sigma)
            return Distribution(settings.name, youngest - margin, oldest + margin, settings.sigma)


def _range(labels: Labels) -> tuple[int, int]:
    return math.floor(labels.age.min()), math.ceil(labels.age.max())


def _centres(classes: Classification, labels: Labels) -> list[float] | None:
    """Mean training age of each class; of a class without a face, the age at its boundary."""
    if labels.age.isnan().any():
        return None
    number = classes.encode(labels)[:, 0]
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
    return {"kind": target.kind} | content


def restore(content: Mapping[str, Any]) -> Target:
    """The target that `as_dict` described; raises KeyError or TypeError if it is none."""
    values = dict(content)
    kind = KINDS[values.pop("kind")]
    if kind is MultiTask:
        values["main"] = restore(values["main"])
    return kind(**values)


KINDS: dict[str, Any] = {
    kind.kind: kind for kind in (Regression, Classification, Ordinal, Distribution, MultiTask)
}
