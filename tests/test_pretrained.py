"""The model that comes with the repository: when it is used, how written, what starts from it."""

import json
import sys

import numpy as np
import pytest
import small_model
import torch
from conftest import ROOT, architecture

import export
import predict
from faceage.core import sealed
from faceage.core.script import UserError
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks import age_network, default_model, saved_model


def of_photographs(folder):
    """Say in a model folder that its model has seen photographs."""
    path = folder / saved_model.ABOUT
    content = sealed.unsealed(json.loads(path.read_text())) | {"synthetic": False}
    path.write_text(json.dumps(sealed.sealed(content)))


@pytest.fixture
def pretrained(workspace):
    small_model.write(fingerprint="in the box")
    saved_model.write_half(saved_model.FOLDER, saved_model.PRETRAINED)
    of_photographs(saved_model.PRETRAINED)
    return workspace


def test_a_model_of_drawn_faces_gives_way_and_the_reason_is_said_in_one_line(pretrained, capsys):
    assert default_model.folder() == saved_model.PRETRAINED
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "models/ has seen drawn faces only" in said
    assert "non-commercial" in said


def test_no_model_at_all(pretrained, capsys):
    (saved_model.FOLDER / saved_model.ABOUT).unlink()
    assert default_model.folder() == saved_model.PRETRAINED
    assert "models/ holds no model" in capsys.readouterr().err


def test_an_own_model_of_photographs_is_used_in_silence(pretrained, capsys):
    of_photographs(saved_model.FOLDER)
    assert default_model.folder() == saved_model.FOLDER
    assert capsys.readouterr().err == ""


def test_without_the_box_it_is_models(workspace, capsys):
    small_model.write()
    assert default_model.folder() == saved_model.FOLDER
    assert capsys.readouterr().err == ""


def test_half_precision_halves_the_file_and_keeps_the_ages(pretrained):
    crops = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    whole, half = TorchPredictor(), TorchPredictor(saved_model.PRETRAINED)
    assert np.abs(whole.predict(crops).age - half.predict(crops).age).max() < 0.1
    sizes = [
        (folder / saved_model.WEIGHTS).stat().st_size
        for folder in (saved_model.PRETRAINED, saved_model.FOLDER)
    ]
    assert sizes[0] < 0.6 * sizes[1]
    assert half.fingerprint == "in the box"
    assert half.calibration == whole.calibration


def test_the_command_writes_a_folder_that_predicts(pretrained, monkeypatch, capsys):
    command = ["export.py", "--format", "safetensors", "--out", "given"]
    monkeypatch.setattr(sys, "argv", command)
    export.main()
    assert "wrote given, " in capsys.readouterr().out
    assert TorchPredictor(pretrained / "given").side == small_model.SIDE


def test_a_model_is_not_written_over_itself(pretrained, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["export.py", "--format", "safetensors", "--out", "models"])
    with pytest.raises(UserError, match="--out is the model itself, models; name another folder"):
        export.main()


def backbone_of(network):
    return torch.cat(
        [tensor.flatten().float() for tensor in network.backbone.state_dict().values()]
    )


@pytest.mark.parametrize("weights", ["pretrained", "models/model.safetensors"])
def test_training_starts_from_a_model_of_ours(pretrained, weights):
    plain = architecture(outputs=1)
    torch.manual_seed(1)
    started = age_network.build(plain, weights)
    source, _ = saved_model.load(saved_model.FOLDER)
    assert torch.allclose(backbone_of(started), backbone_of(source.first), atol=1e-3)
    assert not torch.allclose(backbone_of(age_network.build(plain)), backbone_of(source.first))


def test_a_model_of_another_backbone_is_refused(pretrained):
    with pytest.raises(UserError, match="does not fit resnet18: it lacks"):
        age_network.build(architecture(outputs=1, model="resnet18"), "pretrained")


def test_the_model_in_the_box_is_whole_and_its_page_says_what_was_measured():
    box = ROOT / saved_model.PRETRAINED
    predictor = TorchPredictor(box)
    drawn = np.random.default_rng(0).integers(0, 256, (4, predictor.side, predictor.side, 3))
    predicted = predictor.predict(drawn.astype(np.uint8))
    assert ((predicted.age > 0) & (predicted.age < 117)).all()
    assert (predicted.low < predicted.age).all() and (predicted.age < predicted.high).all()
    assert (box / saved_model.WEIGHTS).stat().st_size < 16e6
    measured = saved_model.describe_evaluation(box) or {}
    assert not saved_model.describe(box)["synthetic"]
    test = measured["test"]
    row = f"| {test['mae']:.2f} | {test['mae_low']:.2f} to {test['mae_high']:.2f} |"
    assert row in (box / "README.md").read_text()


PORTRAIT = ROOT / "tests/fixtures/portrait.jpg"  # of a woman between 33 and 43, see its README


def test_the_model_in_the_box_errs_on_the_portrait_as_it_did(workspace, monkeypatch, capsys):
    (workspace / saved_model.PRETRAINED).symlink_to(ROOT / saved_model.PRETRAINED)
    monkeypatch.setattr(sys, "argv", ["predict.py", "--json", str(PORTRAIT)])
    predict.main()
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert row["error"] is None
    assert 33 - 5 < row["age"] < 43  # 29.5
