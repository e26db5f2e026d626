"""The exported graph says what PyTorch says: every target, ensembles, any number of faces."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import small_model
import torch
from conftest import photo
from torch import Tensor, nn
from torch.nn import functional as F

import export
import predict
from faceage.core import images, tables
from faceage.core.script import UserError
from faceage.inference import onnx_export, onnx_predictor
from faceage.inference.onnx_predictor import OnnxPredictor
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks import age_network, targets
from faceage.networks.faces import to_input

NAMES = ("YOUNG", "MIDDLE", "OLD")
AGE_GROUPS = ("<18", "18-40", "41-60", ">60")
TARGETS: dict[str, targets.Target] = {
    "regression": small_model.REGRESSION,
    "classification": targets.Classification(
        "age_group", (18, 41, 61), AGE_GROUPS, (8.0, 28.0, 50.0, 72.0), 0.0
    ),
    "other classes": targets.Classification("life_stage", (31, 51), NAMES, (20.0, 40.0, 65.0), 0.0),
    "classes without ages": targets.Classification("life_stage", (31, 51), NAMES, None, 0.0),
    "coral": targets.Coral(1, 80),
    "corn": targets.Corn(1, 80),
    "distribution": targets.Dldl(-5, 95, 2.0),
    "quantile": targets.Dldl(-5, 95, 2.0, 0.6),
    "multitask": targets.MultiTask(small_model.REGRESSION, 0.2, 0.2),
}


def faces(count: int) -> np.ndarray:
    """Pictures that differ as much as pictures can."""
    sizes = [(64 + n, 64 + n) for n in range(count)]
    return np.stack(
        [
            images.square(images.decode(photo(n, size)), small_model.SIDE)
            for n, size in enumerate(sizes)
        ]
    )


def same(target: targets.Target, **changes) -> None:
    architecture: dict[str, Any] = {"coral": isinstance(target, targets.Coral)}
    if isinstance(target, targets.MultiTask):
        architecture |= {"outputs": target.main.outputs, "auxiliary": targets.AUXILIARY}
    small_model.write(target, **architecture | changes)
    predictor = TorchPredictor()
    onnx_export.export(predictor, onnx_predictor.FILE)
    model = OnnxPredictor(folder=onnx_predictor.FILE.parent.parent / "models")
    for count in (1, 7):
        pixels = faces(count)
        expected, found = predictor.predict(pixels), model.predict(pixels)
        for name in ("age", "low", "high"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=0.05)
        assert list(found.age_group) == list(expected.age_group)
        assert (found.distribution is None) == (expected.distribution is None)
        if found.distribution is not None and expected.distribution is not None:
            np.testing.assert_allclose(found.distribution, expected.distribution, atol=1e-3)
            assert found.years is not None and expected.years is not None
            np.testing.assert_array_equal(found.years, expected.years)


@pytest.mark.parametrize("name", TARGETS)
def test_every_target(workspace, name: str):
    same(TARGETS[name])


def test_an_ensemble_with_mirror_images(workspace):
    same(small_model.REGRESSION, members=2, hflip_tta=True)


@pytest.mark.parametrize(("side", "img_size"), [(200, 112), (128, 64), (64, 64), (48, 96)])
def test_pixels_are_resized_to_the_very_level(side: int, img_size: int):
    pixels = torch.from_numpy(
        np.stack([images.square(images.decode(photo(n, (side, side))), side) for n in range(4)])
    )
    channels_first = pixels.permute(0, 3, 1, 2).float()
    found = onnx_export.resize(channels_first, onnx_export.interpolation(side, img_size)) / 255
    assert torch.equal(found, to_input(pixels, img_size, torch.device("cpu")))


def test_the_graph_is_sound_and_knows_what_it_is(workspace):
    small_model.write()
    onnx_export.export(TorchPredictor(), onnx_predictor.FILE)
    proto = onnx.load(onnx_predictor.FILE)
    onnx.checker.check_model(proto, full_check=True)
    (given,) = proto.graph.input
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert given.type.tensor_type.shape.dim[0].dim_param
    model = OnnxPredictor()
    assert (model.side, tuple(model.age_groups)) == (small_model.SIDE, AGE_GROUPS)


def test_a_model_that_was_not_evaluated_has_no_intervals(workspace):
    small_model.write()
    (workspace / "models" / "evaluation.json").unlink()
    onnx_export.export(TorchPredictor(), onnx_predictor.FILE)
    found = OnnxPredictor(folder=workspace / "models").predict(faces(3))
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()
    assert np.isfinite(found.age).all()


@pytest.fixture
def agreeing(tmp_path) -> tuple[pd.DataFrame, dict[str, Path]]:
    """Graphs as near to PyTorch as those of EfficientNet-Lite0, and their files."""
    columns = {
        "largest difference": [0.0, 0.04, 6.3],
        "same age group": [1.0, 1.0, 0.99],
        "MAE": [5.0, 5.0, 5.05],
    }
    written = {export.FLOAT: tmp_path / "model.onnx", export.INT8: tmp_path / "model_int8.onnx"}
    for path in written.values():
        path.write_bytes(b"graph")
    return pd.DataFrame(columns, index=["PyTorch", export.FLOAT, export.INT8]), written


def test_graphs_that_agree_are_kept(agreeing):
    table, written = agreeing
    export.keep_what_agrees(table, written)
    classes = table.assign(**{"largest difference": np.nan, "MAE": np.nan})
    export.keep_what_agrees(classes, written)
    assert all(path.exists() for path in written.values())


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("MAE", 5.2, r"the MAE rises by 0\.20 years, more than 0\.1;"),
        ("largest difference", 15.0, r"an age moves by 15\.00 years, more than 10;"),
        ("same age group", 0.85, r"15\.0% of the faces change age groups, more than 5%;"),
    ],
)
def test_8_bits_that_differ_are_removed(agreeing, column, value, message):
    table, written = agreeing
    table.loc[export.INT8, column] = value
    with pytest.raises(UserError, match=f"{message} .*int8.onnx was removed, use .*model.onnx"):
        export.keep_what_agrees(table, written)
    assert [path.exists() for path in written.values()] == [True, False]


@pytest.mark.parametrize(
    ("column", "value"), [("largest difference", 0.06), ("same age group", 0.9)]
)
def test_a_float_graph_that_differs_is_removed(agreeing, column, value):
    table, written = agreeing
    table.loc[export.FLOAT, column] = value
    with pytest.raises(UserError, match=r"model.onnx was removed, use PyTorch"):
        export.keep_what_agrees(table, written)
    assert not written[export.FLOAT].exists()


class Windows(nn.Module):
    """Attention within windows as timm's hierarchical transformers have it: in 5 dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.fused_attn = True
        self.features = nn.Linear(3 * small_model.SIDE, 8)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.features(images.transpose(1, 2).flatten(2)).unflatten(1, (4, 1, -1))
        if self.fused_attn:
            found = F.scaled_dot_product_attention(tokens, tokens, tokens)
        else:
            found = (tokens @ tokens.mT / 8**0.5).softmax(-1) @ tokens
        return found.mean((1, 2, 3))


class Inexpressible(nn.Module):
    """A network with an operation that ONNX does not have."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.linalg.eigvalsh(images[:, 0] @ images[:, 0].mT)


def with_backbone(backbone: nn.Module, features: int) -> TorchPredictor:
    small_model.write(img_size=small_model.SIDE)
    predictor = TorchPredictor()
    known = predictor.network.architecture
    predictor.network = age_network.Model(
        [age_network.AgeNetwork(backbone, features, known)]
    ).eval()
    return predictor


def test_attention_within_windows(workspace):
    predictor = with_backbone(Windows(), 8)
    onnx_export.export(predictor, onnx_predictor.FILE)
    pixels = faces(5)
    expected = predictor.predict(pixels).age
    np.testing.assert_allclose(OnnxPredictor().predict(pixels).age, expected, atol=1e-3)
    assert predictor.network.first.backbone.fused_attn, "is as it was"


def test_what_onnx_does_not_have_is_a_clear_error(workspace):
    predictor = with_backbone(Inexpressible(), small_model.SIDE)
    with pytest.raises(UserError, match=r"does not export to ONNX \(.*_linalg_eigh.*with PyTorch"):
        onnx_export.export(predictor, onnx_predictor.FILE)
    assert not onnx_predictor.FILE.exists()


def test_export_and_predict_as_people_run_them(workspace, monkeypatch, capsys):
    small_model.write()
    names = [f"{n:064x}" for n in range(30)]
    rows = [
        {
            **{"face": name, "image": {"bytes": photo(n), "path": f"{n}.jpg"}, "age": n},
            **{"age_low": n, "age_high": n, "age_class": None, "gender": 0, "race": 0},
            **dict.fromkeys(("exact_cluster", "near_cluster", "burst_cluster"), name),
            **{"width": 64, "height": 64, "synthetic": True, "weight": 1.0, "fixed_split": None},
        }
        for n, name in enumerate(names)
    ]
    tables.write_faces(rows)
    splits = ["train", "val", "test"] * 10
    tables.write_split(pd.DataFrame({"face": names, "cluster": names, "split": splits}))
    monkeypatch.setattr(sys, "argv", ["export.py", "--format", "onnx", "--int8"])
    export.main()
    printed = capsys.readouterr().out
    assert "10 test faces" in printed
    assert "ONNX, 8 bits" in printed
    int8 = onnx_predictor.FILE.with_name("model_int8.onnx")
    assert int8.stat().st_size < onnx_predictor.FILE.stat().st_size
    pixels = faces(9)
    exact, small = TorchPredictor().predict(pixels), OnnxPredictor(int8).predict(pixels)
    assert abs(exact.age - small.age).mean() < 0.5 * exact.age.std()

    (workspace / "face.jpg").write_bytes(photo(3))
    said = []
    runs = (["torch"], ["onnx"], ["onnx", "--model", str(onnx_predictor.FILE)])
    for runtime in runs:
        options = ["--csv", "--detect", "never", "--runtime", *runtime]
        monkeypatch.setattr(sys, "argv", ["predict.py", *options, "face.jpg"])
        predict.main()
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2]


def test_what_is_missing_or_of_another_model_is_a_clear_error(workspace, tmp_path):
    small_model.write()
    models = workspace / "models"
    with pytest.raises(UserError, match="python src/export"):
        OnnxPredictor(folder=models)
    onnx_export.export(TorchPredictor(), onnx_predictor.FILE)
    evaluation = models / "evaluation.json"
    content = evaluation.read_text()
    small_model.rewrite(evaluation, lambda found: found | {"intervals": {}})
    with pytest.raises(UserError, match="older than the evaluation"):
        OnnxPredictor(folder=models)
    evaluation.write_text(content)
    small_model.rewrite(models / "model.json", lambda found: found | {"fingerprint": "other"})
    with pytest.raises(UserError, match="of another model"):
        OnnxPredictor(folder=models)
    onnx_predictor.FILE.write_bytes(b"not a graph")
    with pytest.raises(UserError, match="no model that src/export"):
        OnnxPredictor(folder=models)
    with pytest.raises(UserError, match="8 bits are scaled by faces"):
        export.read("val", 5, 64)
