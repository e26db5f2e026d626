"""Backbones by name: of timm's registry, of a local folder, of a model hub's cache."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import small_model
import timm
import torch
from conftest import edit_params
from safetensors.torch import load_file

from faceage.core import params
from faceage.core.script import UserError
from faceage.networks import age_network, saved_model


def resolve(model: str) -> age_network.Architecture:
    edit_params({"train.img_size": None})
    settings = params.load(params.TrainParams)
    return age_network.resolve(model, settings.train, settings.target, outputs=1)


@pytest.fixture
def folder(workspace) -> Path:
    """What timm writes for a model that is not built as its name alone would be."""
    arguments = {"global_pool": "avg", "class_token": False}
    model = timm.create_model("test_vit", **arguments)
    model.pretrained_cfg |= {"mean": (0.1, 0.2, 0.3), "tag": "own"}
    timm.models.save_for_hf(model, workspace / "own", model_args=arguments, safe_serialization=True)
    return workspace / "own"


def has_weights_of(network: age_network.AgeNetwork, folder: Path) -> bool:
    return has_weights(network.backbone, folder)


def has_weights(backbone: torch.nn.Module, folder: Path) -> bool:
    state, saved = backbone.state_dict(), load_file(folder / "model.safetensors")
    return all(torch.equal(tensor, saved[name]) for name, tensor in state.items())


def test_a_pretrained_tag_is_kept(workspace):
    assert resolve("resnet18.a1_in1k").model == "resnet18.a1_in1k"
    assert resolve("vit_base_patch16_clip_224.openai").mean == pytest.approx(
        (0.481, 0.458, 0.408), abs=1e-3
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet18.nosuch", r"no pretrained tag 'nosuch' of resnet18; there are .*a1_in1k"),
        ("cnn_scratch.nosuch", r"no pretrained tag 'nosuch' of cnn_scratch; there is none"),
        ("resnet81", r"knows no 'resnet81'; did you mean .*resnet18"),
        ("timm/resnet18.a1_in1k", r"Use 'hf-hub:timm/resnet18.a1_in1k'"),
        ("s3:resnet18", r"Unknown model source 's3'.*local-dir"),
        ("local-dir:nowhere", r"nowhere/config.json; local-dir: takes what .*save_for_hf"),
        ("hf-hub:not a name", r"not a name"),
    ],
)
def test_names_that_timm_cannot_build(workspace, name, message):
    with pytest.raises(UserError, match=message):
        age_network.require(name)


def test_a_local_folder_and_its_weights(folder):
    architecture = resolve("local-dir:own")
    assert architecture.model == "test_vit"
    assert architecture.mean == (0.1, 0.2, 0.3)
    assert has_weights_of(age_network.build(architecture, "imagenet"), folder)
    assert not has_weights_of(age_network.build(architecture), folder)
    assert has_weights_of(age_network.build(architecture, "own/model.safetensors"), folder)


def test_a_saved_model_needs_the_folder_no_more(folder):
    architecture: dict[str, Any] = resolve("local-dir:own").as_dict()
    small_model.write(**architecture)
    shutil.rmtree(folder)
    loaded, _ = saved_model.load()
    assert loaded.architecture.model_args == {"global_pool": "avg", "class_token": False}
    assert loaded.first.backbone.cls_token is None


def test_features_of_a_local_folder(folder):
    architecture = age_network.for_features("local-dir:own", 128)
    assert architecture.img_size == timm.get_pretrained_cfg("test_vit").input_size[-1]
    backbone, features = age_network.build_backbone(architecture, "imagenet")
    assert has_weights(backbone, folder)
    assert features == backbone.num_features


def test_a_local_folder_without_weights(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"no file .*own/model.safetensors"):
        age_network.build(resolve("local-dir:own"), "imagenet")


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnet81"}, r"knows no 'resnet81'"),
        ({"pretrained_cfg": {"colours": 3}}, r"config.json of local-dir:own is none of timm's"),
    ],
)
def test_a_config_that_timm_cannot_use(folder, changes, message):
    edit_config(folder, **changes)
    with pytest.raises(UserError, match=message):
        age_network.require("local-dir:own")


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_config_that_is_none(folder, content):
    (folder / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config.json of local-dir:own is none of timm's"):
        age_network.require("local-dir:own")


@pytest.fixture
def hub(workspace, monkeypatch) -> Path:
    """An empty cache of the model hub, which cannot be reached."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(workspace / "hub"))
    return workspace / "hub"


@pytest.mark.parametrize("prefix", ["hf-hub", "hf_hub"])
def test_a_repository_of_the_hub_that_was_downloaded(hub, folder, prefix):
    downloaded = hub / "models--someone--faces"
    (downloaded / "refs").mkdir(parents=True)
    (downloaded / "refs/main").write_text("0" * 40)
    shutil.copytree(folder, downloaded / "snapshots" / ("0" * 40))
    architecture = resolve(f"{prefix}:someone/faces")
    assert dataclasses.replace(architecture, source=None) == dataclasses.replace(
        resolve("local-dir:own"), source=None
    )
    assert has_weights_of(age_network.build(architecture, "imagenet"), folder)


def test_a_repository_of_the_hub_without_a_network(hub):
    with pytest.raises(UserError, match=r"hf-hub:someone/faces .* the model hub cannot be reached"):
        age_network.require("hf-hub:someone/faces")
