"""Backbones of timm by name: what is known of them, and the weights that they start from."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from timm.models import (
    PretrainedCfg,
    get_arch_pretrained_cfgs,
    load_model_config_from_hf,
    parse_model_name,
    split_model_name_tag,
)
from timm.models._hub import load_model_config_from_path
from torch import nn

from faceage.core import repository
from faceage.core.script import UserError
from faceage.networks import small_networks  # noqa: F401 (registers its models with timm)

ANOTHER_NAME = "give model a name of timm's own or local-dir:FOLDER"
ALTERNATIVES = (
    "give weights the path of a .safetensors file with this backbone's weights in timm's key"
    " names, or none to start from scratch"
)
WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")
PRETRAINED = Path("pretrained")  # the model that comes with the repository
OWN_PREFIX = "members.0.backbone."  # of the names in a model.safetensors of this project


@dataclass(frozen=True)
class Known:
    """What `model` in params.yaml stands for.

    model, model_args: a name in timm's registry and what to build it with; source: the name that
    was given if it is none of the registry; config: input, normalisation, where weights are.
    """

    model: str
    model_args: dict[str, Any]
    source: str | None
    config: PretrainedCfg


def look_up(model: str) -> Known:
    """Find a backbone by a name of timm's, hf-hub:OWNER/REPOSITORY or local-dir:FOLDER.

    Raises
    ------
    UserError
        If timm cannot build it; says which names come closest or which pretrained tags there are.
    """
    try:
        kind, name = parse_model_name(model)
    except ValueError as error:
        raise UserError(f"model: {first_line(error)}") from None
    if kind is None:
        _require_registered(model)
        return Known(model, {}, None, registered_config(model))
    source = f"{kind}:{name}"
    fields, architecture, arguments = _read_config(kind, name)
    _require_registered(architecture)
    try:
        config = PretrainedCfg(**fields)
    except TypeError as error:
        raise UserError(f"model: the config.json of {source} is none of timm's: {error}") from None
    return Known(architecture, arguments, source, config)


def _read_config(kind: str, name: str) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """What the config.json of a repository or a folder says: see timm's `save_for_hf`."""
    try:
        if kind == "local-dir":
            found = load_model_config_from_path(_path(name))
        else:
            _require_reachable(f"model: {kind}:{name}", ANOTHER_NAME, name, "config.json")
            found = load_model_config_from_hf(name)
    except (FileNotFoundError, EntryNotFoundError) as error:
        raise UserError(
            f"model: {first_line(error)}; {kind}: takes what timm.models.save_for_hf writes"
        ) from None
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UserError(
            f"model: the config.json of {kind}:{name} is none of timm's ({error!r})"
        ) from None
    return found


def _path(name: str) -> Path:
    return repository.root() / name  # a queued experiment runs in a folder elsewhere


def _require_registered(model: str) -> None:
    name, tag = split_model_name_tag(model)
    if not timm.is_model(name):
        raise UserError(f"model: timm knows no {model!r}; {_closest(model)}")
    tags = [split_model_name_tag(known)[1] for known in get_arch_pretrained_cfgs(name)]
    if tag and tag not in tags:
        known = ", ".join(filter(None, tags))
        raise UserError(
            f"model: timm has no pretrained tag {tag!r} of {name}; there"
            f" {'are ' + known if known else 'is none'}, and {name} alone means the first"
        )


def registered_config(name: str) -> PretrainedCfg:
    """What timm knows of a model; its defaults for a model without pretrained weights."""
    return timm.get_pretrained_cfg(name, allow_unregistered=True) or PretrainedCfg()


def _closest(model: str) -> str:
    names = timm.list_models()
    close = difflib.get_close_matches(model, names, n=4, cutoff=0.5)
    close += [name for name in names if model in name and name not in close][:3]
    return f"did you mean {', '.join(close)}?" if close else "see timm.list_models()"


def with_weights(
    name: str, source: str, weights: str, backbone: nn.Module, arguments: dict[str, Any]
) -> nn.Module:
    """Build a backbone anew, with weights, after making sure that they can be had and are complete.

    Parameters
    ----------
    name : of the backbone in timm's registry
    source : the name whose weights `imagenet` means, see `Known`
    weights : `imagenet`, `pretrained` or the path of a .safetensors file
    arguments : of timm, for building it

    Raises
    ------
    UserError
        If the weights cannot be had or do not fit.
    """
    overlay: dict[str, Any] | None = None
    if weights == "imagenet" and source.startswith("local-dir:"):
        weights = str(_path(source.removeprefix("local-dir:")) / "model.safetensors")
    if weights == "imagenet":
        _require_download(source)
    else:
        path = _path(str(PRETRAINED / WEIGHTS_FILES[0]) if weights == "pretrained" else weights)
        if _require_complete(name, path, backbone):
            return _with_own(backbone, path)
        source = name
        overlay = {"file": str(path), "custom_load": False}
    try:
        return timm.create_model(
            source, pretrained=True, pretrained_cfg_overlay=overlay, **arguments
        )
    except RuntimeError as error:
        raise UserError(
            f"weights: {weights} does not fit {name} ({first_line(error)}); {ALTERNATIVES}"
        ) from None


def _with_own(backbone: nn.Module, path: Path) -> nn.Module:
    """Fill a backbone from a model of this project, the first member of an ensemble."""
    tensors = {
        name.removeprefix(OWN_PREFIX): tensor
        for name, tensor in load_file(path).items()
        if name.startswith(OWN_PREFIX)
    }
    backbone.load_state_dict(tensors)
    return backbone


def _require_complete(name: str, path: Path, backbone: nn.Module) -> bool:
    """Whether the file is of a model of this project, and not in timm's own key names.

    Raises
    ------
    UserError
        If it is not there or lacks tensors of the backbone.
    """
    if not path.is_file():
        raise UserError(f"weights: there is no file {path}; {ALTERNATIVES}")
    try:
        with safe_open(path, framework="pt") as file:
            present = set(file.keys())
    except SafetensorError as error:
        raise UserError(
            f"weights: {path} is no safetensors file ({error}); {ALTERNATIVES}"
        ) from None
    own = any(key.startswith(OWN_PREFIX) for key in present)
    prefix = OWN_PREFIX if own else ""
    missing = [key for key in backbone.state_dict() if prefix + key not in present]
    if missing:
        raise UserError(
            f"weights: {path} does not fit {name}: it lacks {len(missing)} of its"
            f" {len(backbone.state_dict())} tensors ({missing[0]}, ...); {ALTERNATIVES}"
        )
    return own


def _require_download(model: str) -> None:
    """Raise a `UserError` unless there are pretrained weights and they can be had."""
    config = look_up(model).config
    if not config.has_weights:
        raise UserError(f"weights: timm has no pretrained weights for {model}; {ALTERNATIVES}")
    if config.hf_hub_id:
        _require_reachable("weights: imagenet", ALTERNATIVES, config.hf_hub_id, *WEIGHTS_FILES)


def _require_reachable(asked: str, otherwise: str, hub_id: str, *files: str) -> None:
    """Fail at once and clearly; timm's own download gives up only after most of a minute.

    Parameters
    ----------
    asked, otherwise : the setting that means a download, and what could be set instead
    files : any of them is enough where it has been downloaded already
    """
    if any(_is_downloaded(hub_id, file) for file in files):
        return
    name, _, revision = hub_id.partition("@")
    try:
        huggingface_hub.HfApi().model_info(name, revision=revision or None, timeout=5)
    except RepositoryNotFoundError:
        raise UserError(
            f"{asked} means a download of {hub_id}, and the model hub has nothing of that name for"
            f" you; {otherwise}"
        ) from None
    except Exception as error:  # the client raises errors of several libraries; all mean "no"
        raise UserError(
            f"{asked} means a download of {hub_id}, and the model hub cannot be reached"
            f" ({type(error).__name__}); connect once, or {otherwise}"
        ) from None


def _is_downloaded(hub_id: str, file: str) -> bool:
    name, _, revision = hub_id.partition("@")
    found = huggingface_hub.try_to_load_from_cache(name, file, revision=revision or None)
    return isinstance(found, str)


def first_line(error: BaseException) -> str:
    """What an error says, in the two lines at most that a message has room for."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__
