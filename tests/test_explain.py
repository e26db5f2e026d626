"""HiResCAM on networks that look where we know, the choice of faces, and the stage itself."""

import hashlib
import io

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import architecture, photo
from PIL import Image
from torch import nn

import explain
from faceage.core import tables
from faceage.explanation import saliency, selection
from faceage.networks import age_network, saved_model, targets

IMG_SIZE = 32
TARGET = targets.Regression(mean=40.0, sd=20.0, loss="l1", beta=1.0)


class UpperLeft(nn.Module):
    """A backbone that sees the brightness of the upper left quadrant and nothing else."""

    feature_info = ({"module": "cells", "num_chs": 3},)

    def __init__(self):
        super().__init__()
        self.cells = nn.Conv2d(3, 3, 4, stride=4, bias=False)
        nn.init.constant_(self.cells.weight, 1 / 16)

    def forward(self, images):
        maps = self.cells(images)
        half = maps.shape[-1] // 2
        return maps[:, :, :half, :half].mean(dim=(2, 3))


def network(backbone, weight=1.0, features=3):
    plain = architecture(model="made up", mean=(0.0,) * 3, std=(1.0,) * 3)
    built = age_network.AgeNetwork(backbone, features, plain)
    assert isinstance(built.head.last.weight, torch.Tensor)
    nn.init.constant_(built.head.last.weight, weight)
    return built.eval()


def attribution(built, pixels):
    layer = saliency.last_feature_map(built)
    assert layer is not None
    return saliency.hires_cam(built, TARGET, layer, pixels)


def face(brightness=200):
    return torch.full((1, IMG_SIZE, IMG_SIZE, 3), brightness, dtype=torch.uint8)


@pytest.mark.parametrize("weight", [1.0, -1.0])
def test_the_map_is_large_where_the_network_looks_whatever_its_sign(weight):
    found = attribution(network(UpperLeft(), weight), face())[0].float()
    assert found[:14, :14].min() == 255
    # Between the last cell that counts and the first that does not the map is interpolated.
    assert found[18:].max() == found[:, 18:].max() == 0


def test_a_map_without_attribution_is_zero_everywhere():
    pixels = torch.cat([face(0), face()])
    found = attribution(network(UpperLeft()), pixels)
    assert found.amax(dim=(1, 2)).tolist() == [0, 255]
    assert attribution(network(UpperLeft(), weight=0.0), pixels).max() == 0


@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_maps_have_the_size_of_the_input_and_repeat(model):
    torch.manual_seed(0)
    built = age_network.build(architecture(model=model, img_size=64)).eval()
    pixels = torch.randint(0, 255, (3, 40, 40, 3), dtype=torch.uint8)
    found = attribution(built, pixels)
    assert (found.dtype, found.shape) == (torch.uint8, (3, 64, 64))
    assert found.amax(dim=(1, 2)).tolist() == [255, 255, 255]
    assert torch.equal(found, attribution(built, pixels))


def test_of_small_inputs_an_earlier_map_is_taken():
    built = age_network.build(architecture(model="resnet10t", img_size=64))
    assert saliency.last_feature_map(built) is built.backbone.get_submodule("layer2")
    built = age_network.build(architecture(model="resnet10t", img_size=200))
    assert saliency.last_feature_map(built) is built.backbone.get_submodule("layer4")


class Tokens(nn.Module):
    """A backbone whose only map is one of tokens."""

    feature_info = ({"module": "block", "num_chs": 8}, {"module": "gone", "num_chs": 8})

    def __init__(self):
        super().__init__()
        self.block = nn.Linear(3, 8)

    def forward(self, images):
        return self.block(images.flatten(2).transpose(1, 2)).mean(dim=1)


class Unknown(nn.Module):
    """A backbone of which nothing is known."""

    def forward(self, images):
        return images.mean(dim=(2, 3))


def test_networks_without_a_feature_map_have_none():
    assert saliency.last_feature_map(network(Tokens(), features=8)) is None
    assert saliency.last_feature_map(network(Unknown())) is None
    vit = age_network.build(architecture(model="test_vit", img_size=160))
    assert saliency.last_feature_map(vit) is None


def table(errors):
    return pd.DataFrame(
        {"face": list("abcdefghijklmnopqrstuvwxyz"[: len(errors)]), "error": errors}
    )


def test_the_worst_come_first_and_typical_ones_lie_at_the_median():
    errors = [0, -1, 2, -3, 4, -5, 6, -7, 8, -9, 10, -11, 12]
    shown = selection.worst_and_typical(table(errors), 3)
    assert list(shown["kind"]) == ["worst"] * 3 + ["typical"] * 3
    assert list(shown["error"]) == [12, -11, 10, 6, -5, -7]


def test_ties_go_to_the_smaller_face_in_any_order_of_rows():
    faces = table([5.0] * 20)
    shown = selection.worst_and_typical(faces.sample(frac=1, random_state=0), 3)
    assert list(shown["face"]) == list("abcdef")


@pytest.mark.parametrize(
    ("count", "worst", "typical"), [(1, 1, 0), (8, 6, 2), (12, 6, 6), (26, 6, 6)]
)
def test_no_face_is_shown_twice(count, worst, typical):
    shown = selection.worst_and_typical(table(np.linspace(-3, 9, count)), 6)
    assert shown["face"].is_unique
    assert list(shown["kind"]) == ["worst"] * worst + ["typical"] * typical


def prepare(faces, model="test_resnet", img_size=IMG_SIZE):
    """Write the inputs of explain."""
    rows: list[dict[str, object]] = []
    shown = []
    for number in range(faces):
        content = photo(number)
        face = hashlib.sha256(content).hexdigest()
        rows.append(
            {
                "face": face, "image": {"bytes": content, "path": f"{number}.jpg"},
                "age": 30, "age_low": 30, "age_high": 30, "age_class": None, "gender": 0, "race": 0,
                **dict.fromkeys(("exact_cluster", "near_cluster", "burst_cluster"), face),
                "width": 64, "height": 64, "synthetic": True, "weight": 1.0, "fixed_split": None,
            }
        )  # fmt: skip
        about = {"face": face, "path": f"{number}.jpg", "age": 30, "cluster": face}
        shown.append(about | {"predicted": 31.0 + number, "error": 1.0 + number})
    tables.write_faces(rows)
    tables.write_predictions(pd.DataFrame(shown))
    torch.manual_seed(0)
    plain = architecture(model=model, img_size=img_size)
    weights = age_network.build(plain).state_dict()
    saved_model.save([weights], plain, TARGET, {"synthetic": True, "fingerprint": "none"})


@pytest.mark.parametrize(("faces", "worst", "typical"), [(1, 1, 0), (9, 6, 3), (30, 6, 6)])
def test_the_stage_writes_a_map_for_each_face(workspace, faces, worst, typical):
    prepare(faces)
    explain.main()
    content = (workspace / tables.SALIENCY).read_bytes()
    found = pd.read_parquet(tables.SALIENCY)
    assert list(found.columns) == ["face", "kind", "attribution"]
    assert list(found["kind"]) == ["worst"] * worst + ["typical"] * typical
    errors = pd.read_csv("reports/predictions.csv").set_index("face")["error"]
    assert errors[found["face"].iloc[0]] == errors.max()
    for file in found["attribution"]:
        with Image.open(io.BytesIO(file)) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "L", (IMG_SIZE, IMG_SIZE))
    explain.main()
    assert (workspace / tables.SALIENCY).read_bytes() == content


def test_the_stage_leaves_an_empty_table_where_there_is_no_map(workspace, capsys):
    prepare(3, "test_vit", 160)
    explain.main()
    found = pd.read_parquet(tables.SALIENCY)
    assert (len(found), list(found.columns)) == (0, ["face", "kind", "attribution"])
    assert "test_vit has no feature map" in capsys.readouterr().out
