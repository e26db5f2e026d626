"""A timm backbone by name with an age head, and ensembles of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import timm
import torch
from torch import Tensor, nn

from faceage.core.script import UserError
from faceage.core.settings import TargetSettings, Train
from faceage.networks import backbones
from faceage.networks.backbones import first_line
from faceage.networks.heads import Head
from faceage.networks.targets import AUXILIARY


@dataclass(frozen=True, kw_only=True)
class BackboneArchitecture:
    """What a backbone is built from: all of it is plain JSON.

    model: timm's name; img_size: side of the square input in pixels; mean, std: of the input's red,
    green and blue after scaling to 0..1; model_args: what timm builds `model` with, and source: the
    name whose weights `imagenet` means, both of a model that was not given by a name of timm's own
    but as hf-hub:REPOSITORY or local-dir:FOLDER.
    """

    model: str
    img_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    model_args: dict[str, Any] = field(default_factory=dict)
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class Architecture(BackboneArchitecture):
    """What rebuilds the networks of a model.

    hidden, dropout, coral, init: see `heads.Head`; outputs: logits of the target, and auxiliary:
    those after them; members: networks whose logits are averaged; hflip_tta: average over the face
    and its mirror image too.
    """

    hidden: tuple[int, ...]
    dropout: float
    init: str
    outputs: int
    coral: bool
    auxiliary: int
    members: int
    hflip_tta: bool

    def as_dict(self) -> dict[str, object]:
        """Fields by name, for JSON."""
        return asdict(self)


class AgeNetwork(nn.Module):
    """Backbone and head: normalised float (n, 3, size, size) to logits (n, outputs + auxiliary)."""

    def __init__(self, backbone: nn.Module, features: int, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.backbone = backbone
        self.head = Head(
            features,
            list(architecture.hidden),
            architecture.dropout,
            architecture.outputs,
            architecture.coral,
            architecture.auxiliary,
            architecture.init,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits of normalised images."""
        logits: Tensor = self.head(self.backbone(images))
        return logits


class Model(nn.Module):
    """One or more networks as they are used: the mean of their logits, of mirror images too."""

    def __init__(self, members: Sequence[AgeNetwork]) -> None:
        super().__init__()
        self.architecture = members[0].architecture
        self.members = nn.ModuleList(members)

    @property
    def first(self) -> AgeNetwork:
        """The first member, which stands for the others where one has to be shown."""
        member = self.members[0]
        assert isinstance(member, AgeNetwork)
        return member

    def forward(self, images: Tensor) -> Tensor:
        """Logits of normalised images: (n, 3, size, size) to (n, outputs + auxiliary)."""
        views = [images, images.flip(-1)] if self.architecture.hflip_tta else [images]
        logits = [member(view) for member in self.members for view in views]
        return torch.stack(logits).mean(dim=0)


def require(model: str) -> None:
    """Raise a `UserError` that says what there is unless timm can build a model of that name."""
    backbones.look_up(model)


def input_side(model: str, train: Train) -> int:
    """Side of the network's input in pixels: as `train.img_size` says, or the backbone's own."""
    return train.img_size or backbones.look_up(model).config.input_size[-1]


def resolve(model: str, train: Train, target: TargetSettings, outputs: int) -> Architecture:
    """Fill in what `model` itself knows: its normalisation and, where img_size is null, its size.

    Parameters
    ----------
    outputs : logits of the target, those of additional heads included

    Raises
    ------
    UserError
        If timm has no model of that name.
    """
    known = backbones.look_up(model)
    auxiliary = AUXILIARY if target.gender or target.race else 0
    return Architecture(
        model=known.model,
        img_size=input_side(model, train),
        mean=tuple(known.config.mean),
        std=tuple(known.config.std),
        hidden=tuple(train.head.hidden),
        dropout=train.head.dropout,
        init=train.head.init,
        outputs=outputs - auxiliary,
        coral=target.name == "coral",
        auxiliary=auxiliary,
        members=train.members,
        hflip_tta=train.hflip_tta,
        model_args=known.model_args,
        source=known.source,
    )


def for_features(model: str, img_size: int) -> BackboneArchitecture:
    """A backbone that is used alone, at `img_size` or its own size if it takes no other."""
    known = backbones.look_up(model)
    own = backbones.registered_config(known.model)
    return BackboneArchitecture(
        model=known.model,
        img_size=own.input_size[-1] if own.fixed_input_size else img_size,
        mean=tuple(known.config.mean),
        std=tuple(known.config.std),
        model_args=known.model_args,
        source=known.source,
    )


def build(architecture: Architecture, weights: str = "none") -> AgeNetwork:
    """Build one member: a backbone as `build_backbone` does, and a fresh head."""
    backbone, features = build_backbone(architecture, weights)
    return AgeNetwork(backbone, features, architecture)


def build_backbone(
    architecture: BackboneArchitecture, weights: str = "none"
) -> tuple[nn.Module, int]:
    """Build a backbone with `weights`, channels last; say how many features it has.

    Parameters
    ----------
    weights : `imagenet`, `none` or the path of a .safetensors file

    Raises
    ------
    UserError
        If the weights cannot be had or do not fit, or the backbone does not take this input size.
    """
    name, img_size = architecture.model, architecture.img_size
    arguments = architecture.model_args | {"num_classes": 0}
    # Attention over a fixed grid is built for one size; other backbones take any.
    if backbones.registered_config(name).fixed_input_size:
        arguments["img_size"] = img_size
    try:
        backbone = timm.create_model(name, **arguments)
        backbone.eval()
        with torch.no_grad():
            features = backbone(torch.zeros(1, 3, img_size, img_size)).shape[1]
    except (AssertionError, RuntimeError, ValueError, TypeError) as error:
        raise UserError(
            f"train.img_size: {name} does not work with images of {img_size}x{img_size}"
            f" ({first_line(error)}); try a multiple of 32, or null for its own size"
        ) from None
    if weights != "none":
        source = architecture.source or name
        backbone = backbones.with_weights(name, source, weights, backbone, arguments)
    backbone = backbone.to(memory_format=torch.channels_last)
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d) and _takes_every_other_pixel(module):
            module.register_forward_pre_hook(partial(_strided, stride=module.stride))
            module.stride = (1, 1)
    return backbone, features


def _takes_every_other_pixel(convolution: nn.Conv2d) -> bool:
    """Whether it is a strided 1x1 convolution of pixels, such as FastViT's stem has.

    On CPUs with AVX-512 its backward pass in channels-last ends the process (torch 2.14), so these
    pixels are taken before it, which comes to the same.
    """
    of_pixels = convolution.in_channels == 3 and convolution.kernel_size == (1, 1)
    return of_pixels and convolution.stride != (1, 1) and convolution.padding == (0, 0)


def _strided(_module: nn.Module, inputs: tuple[Tensor], stride: tuple[int, ...]) -> tuple[Tensor]:
    return (inputs[0][:, :, :: stride[0], :: stride[1]],)


@contextmanager
def unfused_attention(network: nn.Module) -> Iterator[None]:
    """Have attention computed by matrix products one can see, not by one opaque operation.

    Results are the same, up to rounding.
    """
    fused: list[Any] = [
        module for module in network.modules() if getattr(module, "fused_attn", False)
    ]
    for module in fused:
        module.fused_attn = False
    try:
        yield
    finally:
        for module in fused:
            module.fused_attn = True
