"""A timm backbone by name with an age head, the weights that it starts from, and ensembles."""

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import huggingface_hub
import timm
import torch
from safetensors import SafetensorError, safe_open
from timm.models import PretrainedCfg
from torch import Tensor, nn

from faceage.core import repository
from faceage.core.script import UserError
from faceage.core.settings import TargetSettings, Train
from faceage.networks import small_networks  # noqa: F401 (registers its models with timm)
from faceage.networks.heads import Head
from faceage.networks.targets import AUXILIARY

ALTERNATIVES = (
    "give weights the path of a .safetensors file with this backbone's weights in timm's key"
    " names, or none to start from scratch"
)


@dataclass(frozen=True)
class Architecture:
    """What rebuilds the network of a model: all of it is plain JSON.

    model: timm's name; img_size: side of the square input in pixels; mean, std: of the input's red,
    green and blue after scaling to 0..1; hidden, dropout, coral, init: see `heads.Head`; outputs:
    logits of the target, and auxiliary: those after them; members: networks whose logits are
    averaged; hflip_tta: average over the face and its mirror image too.
    """

    model: str
    img_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
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
    """Raise a `UserError` with the closest names unless timm has a model of that name."""
    if not timm.is_model(model):
        raise UserError(f"model: timm knows no {model!r}; {_closest(model)}")


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
    require(model)
    config = _config(model)
    auxiliary = AUXILIARY if target.gender or target.race else 0
    return Architecture(
        model=model,
        img_size=train.img_size or config.input_size[-1],
        mean=tuple(config.mean),
        std=tuple(config.std),
        hidden=tuple(train.head.hidden),
        dropout=train.head.dropout,
        init=train.head.init,
        outputs=outputs - auxiliary,
        coral=target.name == "coral",
        auxiliary=auxiliary,
        members=train.members,
        hflip_tta=train.hflip_tta,
    )


def for_features(model: str, img_size: int) -> Architecture:
    """A network of which only the backbone is used, at `img_size` or its own size if it has one."""
    config = _config(model)
    return Architecture(
        model=model,
        img_size=config.input_size[-1] if config.fixed_input_size else img_size,
        mean=tuple(config.mean),
        std=tuple(config.std),
        hidden=(),
        dropout=0.0,
        init="default",
        outputs=1,
        coral=False,
        auxiliary=0,
        members=1,
        hflip_tta=False,
    )


def build(architecture: Architecture, weights: str = "none") -> AgeNetwork:
    """Build one member with `weights` in its backbone and a fresh head, channels last.

    Parameters
    ----------
    weights : `imagenet`, `none` or the path of a .safetensors file

    Raises
    ------
    UserError
        If the weights cannot be had or do not fit, or the backbone does not take this input size.
    """
    name, img_size = architecture.model, architecture.img_size
    # Attention over a fixed grid is built for one size; other backbones take any.
    sized: dict[str, Any] = {"img_size": img_size} if _config(name).fixed_input_size else {}
    try:
        backbone = timm.create_model(name, num_classes=0, **sized)
        backbone.eval()
        with torch.no_grad():
            features = backbone(torch.zeros(1, 3, img_size, img_size)).shape[1]
    except (AssertionError, RuntimeError, ValueError, TypeError) as error:
        raise UserError(
            f"train.img_size: {name} does not work with images of {img_size}x{img_size}"
            f" ({_first_line(error)}); try a multiple of 32, or null for its own size"
        ) from None
    if weights != "none":
        overlay = _find_weights(name, weights, backbone)
        backbone = _load_weights(name, weights, overlay, sized)
    network = AgeNetwork(backbone, features, architecture)
    return network.to(memory_format=torch.channels_last)


def _config(name: str) -> PretrainedCfg:
    """What timm knows of a model; its defaults for a model without pretrained weights."""
    return timm.get_pretrained_cfg(name, allow_unregistered=True) or PretrainedCfg()


def _closest(model: str) -> str:
    names = timm.list_models()
    close = difflib.get_close_matches(model, names, n=4, cutoff=0.5)
    close += [name for name in names if model in name and name not in close][:3]
    return f"did you mean {', '.join(close)}?" if close else "see timm.list_models()"


def _find_weights(name: str, weights: str, backbone: nn.Module) -> dict[str, object]:
    """Make sure that the weights are there and complete; say how timm is to read them."""
    if weights == "imagenet":
        _check_download(name)
        return {}
    path = repository.root() / weights  # a queued experiment runs in a folder elsewhere
    if not path.is_file():
        raise UserError(f"weights: there is no file {path}; {ALTERNATIVES}")
    try:
        with safe_open(path, framework="pt") as file:
            present = set(file.keys())
    except SafetensorError as error:
        raise UserError(
            f"weights: {path} is no safetensors file ({error}); {ALTERNATIVES}"
        ) from None
    missing = [key for key in backbone.state_dict() if key not in present]
    if missing:
        raise UserError(
            f"weights: {path} does not fit {name}: it lacks {len(missing)} of its"
            f" {len(backbone.state_dict())} tensors ({missing[0]}, ...); {ALTERNATIVES}"
        )
    return {"file": str(path)}


def _check_download(name: str) -> None:
    """Fail at once and clearly; timm's own download gives up only after most of a minute."""
    config = _config(name)
    if not config.has_weights:
        raise UserError(f"weights: timm has no pretrained weights for {name}; {ALTERNATIVES}")
    repository = config.hf_hub_id
    if not repository or _is_downloaded(repository):
        return
    try:
        huggingface_hub.HfApi().model_info(repository, timeout=5)
    except Exception as error:  # the client raises errors of several libraries; all mean "no"
        raise UserError(
            f"weights: imagenet means a download of {repository}, and the model hub cannot be"
            f" reached ({type(error).__name__}); connect once, or {ALTERNATIVES}"
        ) from None


def _is_downloaded(repository: str) -> bool:
    files = ("model.safetensors", "pytorch_model.bin")
    return any(
        isinstance(huggingface_hub.try_to_load_from_cache(repository, f), str) for f in files
    )


def _load_weights(
    name: str, weights: str, overlay: dict[str, object], sized: dict[str, Any]
) -> nn.Module:
    try:
        return timm.create_model(
            name, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay, **sized
        )
    except RuntimeError as error:
        raise UserError(
            f"weights: {weights} does not fit {name} ({_first_line(error)}); {ALTERNATIVES}"
        ) from None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__
