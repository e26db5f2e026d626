"""Pre-training: what it reads, what it leaves, and that it goes on as if never interrupted."""

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small_model
import torch
from conftest import architecture, edit_params, photo
from safetensors import safe_open
from safetensors.torch import load_file

import pretrain
from faceage.core import images, params, tables
from faceage.core.hashing import sha256
from faceage.core.script import UserError
from faceage.networks import age_network, saved_model
from faceage.pretraining import distillation
from faceage.pretraining.distillation import Distillation, Teacher, standardised, teacher_features
from faceage.pretraining.pretrainer import Pretrainer
from faceage.pretraining.simclr import SimCLR
from faceage.sample.sample_files import sample_files
from faceage.training.checkpoints import Checkpoint

SIDE = 40
PARTS = ["train"] * 21 + ["val"] * 3 + ["test"] * 3
OUT = Path("own.safetensors")


def write_faces(of_others: bytes | None = None) -> None:
    """Faces in three parts; `of_others`: what lies in the place of the files of val and test."""
    names = [f"{number:064x}" for number in range(len(PARTS))]
    rows: list[dict[str, object]] = [
        {
            **{"face": name, "image": {"bytes": photo(n, (SIDE, SIDE)), "path": f"{n}.jpg"}},
            **{"age": 3 * n, "age_low": 3 * n, "age_high": 3 * n, "age_class": None},
            **{"gender": None, "race": None, "weight": 1.0, "fixed_split": None},
            **dict.fromkeys(("exact_cluster", "near_cluster", "burst_cluster"), name),
            **{"width": SIDE, "height": SIDE, "synthetic": True},
        }
        for n, name in enumerate(names)
    ]
    for row, part in zip(rows, PARTS):
        if of_others and part != "train":
            row |= {"image": {"bytes": of_others, "path": "other.jpg"}, "width": 999, "height": 999}
    tables.write_faces(rows)
    tables.write_split(pd.DataFrame({"face": names, "cluster": names, "split": PARTS}))


@pytest.fixture
def small(workspace):
    """Few faces and a small backbone."""
    write_faces()
    edit_params({"model": "test_resnet", "train.img_size": 32, "tracking": False})
    edit_params({"train.warmup_epochs": 0})


def run_pretrain(monkeypatch, *options: object, out: Path = OUT) -> dict[str, torch.Tensor]:
    """The weights that the script leaves."""
    always = ("--epochs", 2, "--batch-size", 8, "--out", out)
    monkeypatch.setattr(sys, "argv", ["pretrain.py", *map(str, (*always, *options))])
    pretrain.main()
    return load_file(out)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_the_file_is_what_weights_takes_and_says_how_it_was_made(small, monkeypatch, capsys):
    written = run_pretrain(monkeypatch, "--img-size", 64)
    said = capsys.readouterr().out
    assert f"-S weights={OUT}" in said
    network = age_network.build(architecture(), str(OUT))
    assert same(network.backbone.state_dict(), written)
    with safe_open(OUT, "pt") as file:
        about = file.metadata()
    expected = {"method": "simclr", "model": "test_resnet", "weights": "none", "faces": "21"}
    expected |= {"epochs": "2", "img_size": "64", "synthetic": "True", "seed": "0"}
    expected |= {"faces.parquet": sha256(tables.FACES), "split.csv": sha256(tables.SPLIT)}
    assert expected.items() <= about.items()
    assert f"loss {about['loss']}" in said


def test_faces_of_val_and_test_are_never_read(small, monkeypatch):
    first = run_pretrain(monkeypatch)
    write_faces(of_others=b"no image")
    assert same(first, run_pretrain(monkeypatch))


def test_resume_equals_uninterrupted_bit_for_bit(small, monkeypatch):
    whole = run_pretrain(monkeypatch)
    OUT.unlink()
    train_epoch = Pretrainer.train_epoch
    learned = []

    def killed_in_the_second(self, number):
        learned.append(number)
        if learned == [1, 2]:
            raise KeyboardInterrupt
        return train_epoch(self, number)

    monkeypatch.setattr(Pretrainer, "train_epoch", killed_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        run_pretrain(monkeypatch)
    assert not OUT.exists()
    assert same(whole, run_pretrain(monkeypatch))
    assert learned == [1, 2, 2]
    assert not any(path.is_dir() for path in Path(".checkpoints").iterdir())


@pytest.mark.parametrize("damaged", [False, True])
def test_a_teacher_looks_once_however_often_its_pupil_is_interrupted(
    small, monkeypatch, capsys, damaged
):
    small_model.write(fingerprint="of the teacher")
    whole = run_pretrain(monkeypatch, "--teacher", saved_model.FOLDER)
    looks = []

    def counted(*asked):
        looks.append(asked)
        return teacher_features(*asked)

    def killed(self, number):
        raise KeyboardInterrupt

    monkeypatch.setattr(distillation, "teacher_features", counted)
    with monkeypatch.context() as interrupted, pytest.raises(KeyboardInterrupt):
        interrupted.setattr(Pretrainer, "train_epoch", killed)
        run_pretrain(interrupted, "--teacher", saved_model.FOLDER)
    if damaged:
        (kept,) = Path(".checkpoints").glob("*/teacher/member1.pt")
        kept.write_bytes(kept.read_bytes()[:-1])
    assert same(whole, run_pretrain(monkeypatch, "--teacher", saved_model.FOLDER))
    assert len(looks) == 1 + damaged
    assert ("is damaged and was removed" in capsys.readouterr().err) == damaged
    assert not any(path.is_dir() for path in Path(".checkpoints").iterdir())


def test_it_starts_from_the_weights_that_it_is_given(small, monkeypatch):
    first = run_pretrain(monkeypatch)
    edit_params({"weights": str(OUT), "seed": 1})
    further = run_pretrain(monkeypatch, "--lr", 1e-12, out=Path("further.safetensors"))
    weight = "layer1.0.conv1.weight"
    torch.testing.assert_close(further[weight], first[weight], atol=1e-6, rtol=0)


def test_views_of_drawn_faces_are_known_again(workspace):
    drawn = [next(sample_files(64, 64, 0, number))[1] for number in range(64)]
    pixels = np.stack([images.square(images.decode(content), 32) for content in drawn])
    edit_params({"train.warmup_epochs": 0})
    settings = params.load(params.TrainParams).train.model_copy(
        update={"epochs": 30, "batch_size": 32, "lr": 0.002}
    )
    torch.manual_seed(0)
    backbone, features = age_network.build_backbone(architecture())
    pretrainer = Pretrainer(
        backbone, SimCLR(features), architecture(), settings, torch.from_numpy(pixels), seed=0
    )
    pretrainer.fit(Checkpoint("drawn"), None, lambda *_: None)
    by_chance = math.log(2 * 32 - 1)
    assert np.mean(pretrainer.losses[-5:]) < 0.8 * by_chance


def test_a_teacher_is_learned_from_and_named(small, monkeypatch, capsys):
    small_model.write(members=2, fingerprint="of the teacher")
    alone = run_pretrain(monkeypatch)
    taught = run_pretrain(monkeypatch, "--teacher", saved_model.FOLDER)
    assert not same(alone, taught)
    assert "models learned with another split than data/split.csv" in capsys.readouterr().err
    with safe_open(OUT, "pt") as file:
        about = file.metadata()
    assert {"method": "distillation", "teacher": "of the teacher"}.items() <= about.items()


def test_a_teacher_of_the_same_split_is_taken_in_silence(small, monkeypatch, capsys):
    small_model.write()
    split = {"data": {"split.csv": sha256(tables.SPLIT)}}
    small_model.rewrite(saved_model.FOLDER / saved_model.ABOUT, lambda about: about | split)
    run_pretrain(monkeypatch, "--teacher", saved_model.FOLDER)
    assert "another split" not in capsys.readouterr().err


def test_without_a_teacher_in_the_folder_it_says_so(small, monkeypatch):
    with pytest.raises(UserError, match=r"there is no model at models: model\.json is missing"):
        run_pretrain(monkeypatch, "--teacher", saved_model.FOLDER)


def test_a_teacher_sees_a_face_and_its_mirror_image_alike(small):
    small_model.write(members=2)
    table = tables.read_splits()["train"]
    seen = teacher_features(saved_model.FOLDER, table)
    model, _ = saved_model.load()
    teacher = Teacher(model)
    image = torch.rand(1, 3, small_model.SIDE, small_model.SIDE)
    with torch.no_grad():
        torch.testing.assert_close(teacher(image), teacher(image.flip(-1)))
        assert seen.shape == (len(table), 2 * model.first.backbone(image).shape[1])


def test_standardised_features_have_one_scale_and_constant_ones_are_left_out():
    features = torch.tensor([[1.0, 7.0, 10.0], [3.0, 7.0, 30.0]])
    assert standardised(features).tolist() == [[-1, -1], [1, 1]]


def test_a_pupil_comes_to_explain_what_its_teacher_sees(workspace):
    drawn = [next(sample_files(64, 64, 0, number))[1] for number in range(64)]
    pixels = np.stack([images.square(images.decode(content), 32) for content in drawn])
    brightness = torch.from_numpy(pixels).float().mean(dim=(1, 2))
    edit_params({"train.warmup_epochs": 0})
    settings = params.load(params.TrainParams).train.model_copy(
        update={"epochs": 30, "batch_size": 16, "lr": 0.002}
    )
    torch.manual_seed(0)
    backbone, features = age_network.build_backbone(architecture())
    objective = Distillation(features, [], brightness)
    pretrainer = Pretrainer(
        backbone, objective, architecture(), settings, torch.from_numpy(pixels), seed=0
    )
    pretrainer.fit(Checkpoint("taught"), None, lambda *_: None)
    assert pretrainer.losses[-1] < 0.3 * pretrainer.losses[0]


def test_a_loss_that_is_no_number_is_a_clear_error(small, monkeypatch):
    with pytest.raises(UserError, match=r"nan in step \d of 2 of epoch \d; try a lower --lr"):
        run_pretrain(monkeypatch, "--lr", 1e30)
    assert not OUT.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--epochs", 0), "epochs is 0"),
        (("--batch-size", 1), "batch_size is 1"),
        (("--img-size", 8), "img_size is 8"),
        (("--out", "own.pt"), r"own\.pt is to be a file whose name ends in \.safetensors"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_read(
    workspace, monkeypatch, options, message
):
    with pytest.raises(UserError, match=message):
        run_pretrain(monkeypatch, *options)


def test_without_faces_it_says_what_makes_them(workspace, monkeypatch):
    with pytest.raises(UserError, match=r"no data/faces\.parquet yet: `dvc repro split` makes it"):
        run_pretrain(monkeypatch)
