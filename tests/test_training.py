"""Training: five golden steps, resume equals uninterrupted, phases, ensembles, saved models."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from conftest import edit_params, photo

from faceage.core import params
from faceage.core.script import UserError
from faceage.core.settings import Phase
from faceage.networks import age_network, devices, faces, forward, saved_model, targets
from faceage.networks.target import Labels
from faceage.training.checkpoints import Checkpoint, fingerprint
from faceage.training.dataset import FaceDataset, batches
from faceage.training.loop import Epoch, Trainer
from faceage.training.optimizers import before_step
from faceage.training.processes import Processes

SMALL = {
    "model": "test_resnet",
    "train.img_size": 32,
    "train.batch_size": 8,
    "train.lr": 0.001,
    "train.precision": "float32",
    "train.warmup_epochs": 0,
}
NONE = torch.zeros(1, dtype=torch.long) - 1


def small_settings(workspace, target=None, **edits) -> params.TrainParams:
    edit_params(SMALL | {f"train.{key}": value for key, value in edits.items()})
    edit_params({f"target.{key}": value for key, value in (target or {}).items()})
    return params.load(params.TrainParams)


def some_faces(count: int) -> FaceDataset:
    """Pictures whose brightness tells the age."""
    generator = torch.Generator().manual_seed(0)
    ages = torch.randint(1, 90, (count,), generator=generator).float()
    noise = torch.randint(0, 60, (count, 40, 40, 3), generator=generator)
    pixels = (noise + 2 * ages.view(-1, 1, 1, 1)).to(torch.uint8)
    gender = torch.randint(0, 2, (count,), generator=generator)
    race = torch.randint(-1, 5, (count,), generator=generator)
    labels = Labels(ages, ages, ages, NONE.repeat(count), gender, race)
    names = [f"{number}.jpg" for number in range(count)]
    return FaceDataset(names, pixels, labels, torch.ones(count))


def new_trainer(
    settings: params.TrainParams,
    faces: FaceDataset,
    seed: int = 0,
    processes: Processes | None = None,
) -> Trainer:
    target = targets.fit(faces.labels, settings.target, settings.groupings)
    torch.manual_seed(seed)
    resolved = age_network.resolve(settings.model, settings.train, settings.target, target.outputs)
    network = age_network.build(resolved)
    boundaries = settings.groupings["age_group"].boundaries
    return Trainer(
        network, target, settings.train, faces, faces, boundaries, settings.seed, processes
    )


def in_first_phase(settings: params.TrainParams, faces: FaceDataset) -> Trainer:
    trainer = new_trainer(settings, faces)
    trainer.start_phase(settings.train.phases[0])
    return trainer


def test_golden_losses_of_five_steps(workspace, monkeypatch):
    trainer = in_first_phase(small_settings(workspace, epochs=1), some_faces(40))
    losses = []
    step = trainer.step

    def recorded(*arguments):
        losses.append(step(*arguments))
        return losses[-1]

    monkeypatch.setattr(trainer, "step", recorded)
    mean = trainer.train_epoch(1, 1)
    assert mean == pytest.approx(np.mean(losses))
    assert losses == pytest.approx(GOLDEN, rel=2e-3)


# Printed by this very test when augmentation became a list; float32 on a CPU.
GOLDEN = [0.509782, 0.415839, 0.564612, 0.662586, 0.316253]


class Killed(Exception):
    pass


def run_fit(settings, part, name, stop_after=None):
    def report(epoch, speed):
        if epoch.epoch == stop_after:
            raise Killed

    try:
        return new_trainer(settings, part).fit(Checkpoint(name), "run", report)
    except Killed:
        return None


PLAIN: dict[str, object] = {"epochs": 4}
# Everything that keeps something from epoch to epoch, and the head on features in the middle.
INVOLVED: dict[str, object] = {
    "epochs": 2,
    "phases": [
        {"layers": 3, "epochs": None, "lr": None, "img_size": None, "augment": None},
        {"layers": "head", "epochs": 2, "lr": 0.01, "img_size": None, "augment": None},
        {"layers": "all", "epochs": 1, "lr": None, "img_size": None, "augment": None},
    ],
    "scheduler": {"name": "ReduceLROnPlateau", "args": {"patience": 0, "factor": 0.5}},
    "mixup": 0.4,
    "cutmix": 1.0,
    "reweight": "sampler",
}


@pytest.mark.parametrize("edits", [PLAIN, INVOLVED], ids=["plain", "involved"])
def test_resume_equals_uninterrupted_bit_for_bit(workspace, edits):
    settings = small_settings(workspace, **edits)
    part = some_faces(48)
    whole = run_fit(settings, part, "whole")
    for stop in (1, 2, 3):
        assert run_fit(settings, part, f"killed{stop}", stop_after=stop) is None
        resumed = run_fit(settings, part, f"killed{stop}")
        assert resumed.history == whole.history
        for key, tensor in whole.weights.items():
            assert torch.equal(tensor, resumed.weights[key]), key


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [(10, 4, [4, 4, 2]), (9, 4, [4, 5]), (8, 4, [4, 4]), (3, 8, [3]), (2, 8, [2]), (5, 2, [2, 3])],
)
def test_batches_hold_every_face_once_and_none_of_them_a_single_one(count, size, sizes):
    order = torch.randperm(count)
    found = batches(order, size)
    assert [len(rows) for rows in found] == sizes
    assert torch.equal(torch.cat(found), order)


@pytest.mark.parametrize("count", [5, 21, 25])
def test_every_training_face_is_taken_once_an_epoch(workspace, monkeypatch, count):
    """Fewer than a batch, a smaller batch at the end, and one face too many for the batches."""
    trainer = in_first_phase(small_settings(workspace, epochs=1), some_faces(count))
    seen, losses = [], []
    step = trainer.step

    def recorded(rows, generator):
        seen.extend(rows.tolist())
        losses.extend([step(rows, generator)] * len(rows))
        return losses[-1]

    monkeypatch.setattr(trainer, "step", recorded)
    mean = trainer.train_epoch(1, 1)
    assert sorted(seen) == list(range(count))
    assert mean == pytest.approx(np.mean(losses))


def test_a_phase_starts_from_the_best_averaged_weights(workspace):
    settings = small_settings(workspace, epochs=3)
    trainer = new_trainer(settings, some_faces(16))
    fitted = trainer.fit(Checkpoint("first"), "run", lambda epoch, speed: None)
    last = trainer.network.state_dict()["head.last.weight"].clone()
    trainer.start_phase(Phase(layers=3, epochs=1, lr=None, img_size=None, augment=None))
    started = trainer.network.state_dict()
    assert not torch.equal(started["head.last.weight"], last)
    assert all(torch.equal(started[key], fitted.weights[key]) for key in started)


def test_it_learns_and_keeps_the_best_epoch(workspace):
    settings = small_settings(workspace, epochs=8, lr=0.003, ema_decay=0.9)
    part = some_faces(64)
    fitted = run_fit(settings, part, "learn")
    assert fitted.best.val_mae < 0.7 * fitted.history[0].val_mae
    assert fitted.best.val_mae == min(epoch.val_mae for epoch in fitted.history)


def test_training_ends_early_when_nothing_gets_better(workspace):
    settings = small_settings(workspace, epochs=50, patience=2, lr=1e-12, ema_decay=0)
    fitted = run_fit(settings, some_faces(32), "stalled")
    assert len(fitted.history) < 50
    assert len(fitted.history) - fitted.best.epoch == 2


def test_a_loss_that_is_no_number_is_a_clear_error(workspace):
    trainer = new_trainer(small_settings(workspace, epochs=1), some_faces(32))
    trainer.encoded *= math.nan
    with pytest.raises(UserError, match=r"nan in step 1 of 4 of epoch 1, .* try a lower train\.lr"):
        trainer.fit(Checkpoint("nan"), None, lambda *_: None)


@pytest.mark.parametrize(("factor", "said"), [(math.inf, "inf"), (1e6, r"\d[.\de+]+")])
def test_a_training_that_diverges_leaves_its_best_weights(workspace, factor, said):
    settings, faces = small_settings(workspace, epochs=3), some_faces(32)
    trainer, checkpoint = new_trainer(settings, faces), Checkpoint("diverged")
    first = []

    def spoil(epoch: Epoch, speed: dict[str, float]) -> None:
        first.append(epoch)
        trainer.weights[7] = factor

    with pytest.raises(UserError) as raised:
        trainer.fit(checkpoint, None, spoil)
    assert len(first) == 1
    found = re.search(
        rf"became {said} in step (\d) of 4 of epoch 2, whose 8 faces begin with (.*); the best"
        r" weights, of epoch 1, are in (\S+\.safetensors)",
        str(raised.value),
    )
    assert found
    order = trainer._order(torch.Generator().manual_seed(settings.seed * 1_000_003 + 2))
    step = order.tolist().index(7) // 8
    assert int(found[1]) == step + 1
    assert found[2] == ", ".join(f"{row}.jpg" for row in order[8 * step : 8 * step + 3].tolist())
    kept = age_network.build(trainer.network.architecture, found[3]).backbone.state_dict()
    last = checkpoint.load()
    assert last
    best = last["best"]
    assert all(torch.equal(kept[name], best[f"backbone.{name}"]) for name in kept)


def test_the_schedule_warms_up_and_falls(workspace):
    settings = small_settings(workspace, epochs=4, warmup_epochs=1)
    trainer = in_first_phase(settings, some_faces(78))
    assert trainer.steps == 10
    rates = []
    for step in range(4 * trainer.steps):
        before_step(trainer.scheduler, step)
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(settings.train.lr / 100)
    assert max(rates) == pytest.approx(settings.train.lr, rel=0.15)
    assert abs(int(np.argmax(rates)) - trainer.steps) <= 1
    assert rates[-1] < settings.train.lr / 10


def test_the_fingerprint_follows_parameters_and_files(workspace):
    (workspace / "data").mkdir()
    (workspace / "data/faces.parquet").write_bytes(b"one")
    (workspace / "data/split.csv").write_bytes(b"two")
    (workspace / "data/label_issues.csv").write_bytes(b"three")
    before = fingerprint("train", params.load(params.TrainParams))
    assert before == fingerprint("train", params.load(params.TrainParams))
    edit_params({"evaluate.bootstrap": 500})
    assert before == fingerprint("train", params.load(params.TrainParams))
    edit_params({"tracking": False})  # what to do when the MLflow server has gone in mid-training
    assert before == fingerprint("train", params.load(params.TrainParams))
    edit_params({"train.lr": 0.5})
    changed = fingerprint("train", params.load(params.TrainParams))
    (workspace / "data/faces.parquet").write_bytes(b"four")
    assert len({before, changed, fingerprint("train", params.load(params.TrainParams))}) == 3


def save(network, target, about=None):
    saved_model.save([network.state_dict()], network.architecture, target, about or {})


@pytest.mark.parametrize("members", [1, 2])
def test_saved_models_come_back_the_same(workspace, members):
    settings = small_settings(workspace, members=members, hflip_tta=True)
    part = some_faces(16)
    trainers = [new_trainer(settings, part, seed) for seed in range(members)]
    networks_, fitted = [trainer.network for trainer in trainers], trainers[0].target
    model = age_network.Model(networks_)
    logits = forward.predict(model, part.pixels, torch.float32)
    weights = [network.state_dict() for network in networks_]
    about = {"fingerprint": "abc", "training": settings.model_dump()}
    saved_model.save(weights, model.architecture, fitted, about)
    loaded, target = saved_model.load()
    assert target == fitted
    assert torch.equal(forward.predict(loaded, part.pixels, torch.float32), logits)
    assert saved_model.describe()["fingerprint"] == "abc"


def test_the_model_is_the_mean_of_members_and_of_mirror_images(workspace):
    settings = small_settings(workspace, members=2, hflip_tta=True)
    members = [new_trainer(settings, some_faces(16), seed).network.eval() for seed in (0, 1)]
    images = torch.rand(3, 3, 32, 32)
    each = [member(view) for member in members for view in (images, images.flip(-1))]
    assert torch.allclose(age_network.Model(members)(images), torch.stack(each).mean(0), atol=1e-6)


def test_a_model_can_be_rebuilt_with_timm_alone(workspace):
    import timm
    from safetensors.torch import load_file

    settings = small_settings(workspace)
    trainer = new_trainer(settings, some_faces(16))
    network = trainer.network.eval()
    save(network, trainer.target)

    about = json.loads((workspace / "models/model.json").read_text())
    tensors = load_file(workspace / "models/model.safetensors")
    backbone = timm.create_model(about["architecture"]["model"], num_classes=0).eval()
    prefix = "members.0.backbone."
    backbone.load_state_dict(
        {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
    )
    weight, bias = (tensors[f"members.0.head.last.{name}"] for name in ("weight", "bias"))
    images = torch.rand(2, 3, 32, 32)
    logit = backbone(images) @ weight.T + bias
    age = logit[:, 0] * about["target"]["sd"] + about["target"]["mean"]
    assert torch.allclose(age, trainer.target.age(network(images)), atol=1e-4)


@pytest.mark.parametrize("file", ["model.json", "model.safetensors"])
def test_a_damaged_model_is_a_clear_error(workspace, file):
    settings = small_settings(workspace)
    trainer = new_trainer(settings, some_faces(16))
    save(trainer.network, trainer.target)
    path = workspace / "models" / file
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match="train it again"):
        saved_model.load()
    path.unlink()
    with pytest.raises(UserError, match="train it again"):
        saved_model.load()


def test_faces_are_decoded_in_the_order_of_the_table():
    contents = {f"face{n}": photo(n, (40, 40), "PNG") for n in range(5)}
    table = pd.DataFrame({"face": list(contents)[::-1], "width": 40, "height": 40})
    pixels = faces.decode(table, contents.items(), faces.stored_side(table))
    assert pixels.shape == (5, 40, 40, 3)
    one = faces.decode(table[:1], [("face4", contents["face4"])], 40)
    assert torch.equal(pixels[0], one[0])


@pytest.mark.parametrize("img_size", [24, 40, 56])
def test_faces_decoded_at_the_size_of_the_input_give_the_same_bits(img_size):
    contents = {f"face{n}": photo(n, (40, 40), "PNG") for n in range(5)}
    table = pd.DataFrame({"face": list(contents)})
    whole, small = (faces.decode(table, contents.items(), 40, size) for size in (None, img_size))
    assert small.shape[1] == min(img_size, 40)
    rows, cpu = torch.tensor([3, 0, 4]), torch.device("cpu")
    inputs = [faces.to_input(pixels, img_size, cpu, rows) for pixels in (whole, small)]
    assert torch.equal(*inputs)


def test_images_of_many_sizes_get_the_median_size():
    table = pd.DataFrame({"width": [100, 300, 120], "height": [100, 100, 130]})
    assert faces.stored_side(table) == 100
    large = pd.DataFrame({"width": [900, 901], "height": [900, 901]})
    assert faces.stored_side(large) == faces.LARGEST_SIDE


def test_pixels_that_do_not_fit_in_memory_go_to_a_file(monkeypatch):
    contents = {f"face{n}": photo(n, (40, 40)) for n in range(5)}
    table = pd.DataFrame({"face": list(contents)})
    in_memory = faces.decode(table, contents.items(), 40)
    monkeypatch.setattr(faces, "MEMORY_SHARE", 0)
    allocated = faces._allocate((5, 40, 40, 3))
    assert isinstance(allocated, np.memmap)
    assert torch.equal(faces.decode(table, contents.items(), 40), in_memory)


def test_the_input_is_resized_and_scaled():
    pixels = torch.full((2, 50, 50, 3), 255, dtype=torch.uint8)
    batch = faces.to_input(pixels, 32, torch.device("cpu"))
    assert batch.shape == (2, 3, 32, 32)
    assert torch.allclose(batch, torch.ones_like(batch))


def test_strided_convolutions_of_pixels_do_not_end_the_process():
    """As they do in channels-last on some CPUs, from 128 px on: see age_network."""
    resolved = age_network.for_features("fastvit_t8", 128)
    backbone, _ = age_network.build_backbone(resolved)
    images = torch.randn(8, 3, 128, 128).contiguous(memory_format=torch.channels_last)
    plain = timm.create_model("fastvit_t8", num_classes=0).eval()
    plain.load_state_dict(backbone.state_dict())
    assert torch.allclose(backbone.eval()(images), plain(images), atol=1e-5)
    backbone.train()(images).sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_depthwise_convolutions_are_computed_in_float32_on_a_cpu():
    images = torch.randn(2, 3, 16, 16)
    plain = torch.nn.Conv2d(3, 8, 3)
    depthwise = torch.nn.Conv2d(8, 8, 3, groups=8)
    with devices.training_arithmetic(torch.bfloat16, torch.device("cpu")):
        middle = plain(images)
        last = depthwise(middle)
    assert middle.dtype == torch.bfloat16
    assert last.dtype == torch.bfloat16
    assert torch.equal(last, depthwise(middle.float()).bfloat16())


def test_float32_is_computed_as_without_autocast():
    images, plain = torch.randn(2, 3, 16, 16), torch.nn.Conv2d(3, 8, 3)
    cpu = torch.device("cpu")
    assert devices.arithmetic("bfloat16", cpu) == torch.bfloat16
    with devices.training_arithmetic(devices.arithmetic("float32", cpu), cpu):
        inside = plain(images)
    assert torch.equal(inside, plain(images))
