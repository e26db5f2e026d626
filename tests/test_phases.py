"""Phases freeze what they say; a head trained on features is the head trained the slow way."""

import pytest
import torch
from test_training import new_trainer, run_fit, small_settings, some_faces
from timm.utils import ModelEmaV3

from faceage.core.script import UserError
from faceage.core.settings import Phase
from faceage.networks import age_network
from faceage.training import phases
from faceage.training.optimizers import make_optimizer, make_scheduler
from faceage.training.phases import check_sizes
from faceage.training.whole_batch import whole


def phase(layers, epochs=None, lr=None, img_size=None, augment=None):
    return Phase(layers=layers, epochs=epochs, lr=lr, img_size=img_size, augment=augment)


def changed_by_an_epoch(workspace, layers):
    settings = small_settings(workspace, weight_decay=0.1)
    trainer = new_trainer(settings, some_faces(24))
    network = trainer.network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trainer.start_phase(phase(layers))
    trainer.train_epoch(1, 1)
    return network, {n for n, t in network.state_dict().items() if not torch.equal(t, before[n])}


def test_all_layers_learn(workspace):
    network, changed = changed_by_an_epoch(workspace, "all")
    assert {name for name, _ in network.named_parameters()} <= changed


def test_a_phase_may_have_an_augmentation_of_its_own(workspace):
    settings = small_settings(workspace, augment=[{"name": "grayscale", "p": 1}])
    trainer = new_trainer(settings, some_faces(8))

    def colourless(augment):
        trainer.start_phase(phase("all", augment=augment))
        images = trainer._inputs(torch.arange(8), whole(8), torch.Generator().manual_seed(0))
        mean, std = trainer.network.architecture.mean, trainer.network.architecture.std
        images = images * torch.tensor(std).view(3, 1, 1) + torch.tensor(mean).view(3, 1, 1)
        return torch.allclose(images[:, 0], images[:, 2], atol=1e-5)

    assert colourless(None)
    assert not colourless([])


def test_a_phase_may_have_smaller_images_and_the_next_has_the_model_s(workspace, monkeypatch):
    settings = small_settings(workspace, img_size=48)
    trainer, seen = new_trainer(settings, some_faces(8)), []
    own = trainer.network.architecture.img_size
    forward = type(trainer.network.backbone).forward

    def watched(backbone, images):
        seen.append(images.shape[-1])
        return forward(backbone, images)

    monkeypatch.setattr(type(trainer.network.backbone), "forward", watched)
    for layers in ("all", "head"):
        for img_size in (32, None):
            seen.clear()
            trainer.start_phase(phase(layers, img_size=img_size))
            trainer.train_epoch(1, 1)
            trainer.validate()
            assert set(seen) == {img_size or own}
    assert trainer.network.architecture.img_size == own > 32


@pytest.mark.parametrize(
    ("model", "img_size", "message"),
    [
        ("test_resnet", 65, "params.yaml: train.phases.1.img_size is 65, and faces are kept at"),
        ("test_vit", 32, "test_vit is built for one size, here 64: set it to null"),
    ],
)
def test_images_of_a_phase_that_cannot_be_had(workspace, model, img_size, message):
    params = small_settings(workspace, img_size=64)
    architecture = age_network.resolve(model, params.train, params.target, 1)
    check_sizes([phase("all")], architecture)
    with pytest.raises(UserError, match=message):
        check_sizes([phase("all"), phase("all", img_size=img_size)], architecture)


def test_only_the_head_learns(workspace):
    _, changed = changed_by_an_epoch(workspace, "head")
    assert changed == {"head.last.weight", "head.last.bias"}


def test_only_the_last_layers_learn(workspace):
    network, changed = changed_by_an_epoch(workspace, 3)
    last = phases.layers(network.backbone)[-3:]
    names = {name for name, module in network.named_modules() if any(module is x for x in last)}
    assert len(names) == 3
    assert {name.rpartition(".")[0] for name in changed} == names | {"head.last"}


@pytest.mark.parametrize(("layers", "moves"), [(3, False), ("all", True)])
def test_norms_keep_their_statistics_while_a_part_is_frozen(workspace, layers, moves):
    _, changed = changed_by_an_epoch(workspace, layers)
    assert any(name.endswith("running_mean") for name in changed) == moves


def test_a_head_trained_on_features_is_the_one_trained_in_full(workspace):
    """The slow way: the whole frozen network on images, without augmentation."""
    head = {"hidden": [], "dropout": 0.0, "init": "default"}
    settings = small_settings(workspace, augment=[], head=head)

    def train(in_full):
        trainer = new_trainer(settings, some_faces(40))
        trainer.start_phase(phase("head"))
        if in_full:
            trainer.features = None
            trainer.module = trainer.parallel = torch.nn.Sequential(
                FrozenInFull(trainer.network), trainer.network.head
            )
            trainer.average = ModelEmaV3(trainer.module)
        losses = [trainer.train_epoch(number, number) for number in (1, 2, 3)]
        return losses, trainer.network.head.last.weight.detach().clone()

    fast, slow = train(in_full=False), train(in_full=True)
    assert fast[0] == pytest.approx(slow[0], rel=1e-4)
    assert torch.allclose(fast[1], slow[1], atol=1e-5)


class FrozenInFull(torch.nn.Module):
    """What the frozen backbone says, asked anew each time."""

    def __init__(self, network):
        super().__init__()
        self.backbone = network.backbone

    def forward(self, images):
        with torch.no_grad():
            return self.backbone.eval()(images)


def test_phases_follow_each_other_with_their_rates(workspace):
    settings = small_settings(
        workspace,
        epochs=2,
        phases=[
            {"layers": "head", "epochs": 3, "lr": 0.01, "img_size": None, "augment": None},
            {"layers": "all", "epochs": None, "lr": 0.001, "img_size": None, "augment": None},
        ],
        scheduler={"name": "ConstantLR", "args": {"factor": 1.0}},
    )
    fitted = run_fit(settings, some_faces(32), "phases")
    assert [epoch.phase for epoch in fitted.history] == [1, 1, 1, 2, 2]
    assert [epoch.lr for epoch in fitted.history] == pytest.approx([0.01] * 3 + [0.001] * 2)


def test_layer_decay_slows_the_first_layers(workspace):
    settings = small_settings(workspace, layer_decay=0.5)
    network = new_trainer(settings, some_faces(16)).network
    groups = make_optimizer(network, settings.train, 0.1).param_groups
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert rate[id(network.head.last.weight)] == pytest.approx(0.1)
    first = next(network.backbone.parameters())
    assert rate[id(first)] < 0.05
    assert len(rate) == len(list(network.parameters()))


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"optimizer": "adamm"}, "timm knows no 'adamm'"),
        ({"scheduler": {"name": "Cosine", "args": {}}}, "neither of timm"),
        ({"scheduler": {"name": "StepLR", "args": {"steps": 3}}}, "does not take them"),
    ],
)
def test_optimisers_and_schedulers_that_do_not_exist(workspace, edits, message):
    settings = small_settings(workspace, **edits)
    network = new_trainer(settings, some_faces(16)).network
    with pytest.raises(UserError, match=message):
        make_scheduler(make_optimizer(network, settings.train, 0.1), settings.train, 1, 1)


def test_a_scheduler_is_refused_before_the_frozen_features_are_computed(workspace, monkeypatch):
    settings = small_settings(workspace, scheduler={"name": "StepLR", "args": {"steps": 3}})
    trainer = new_trainer(settings, some_faces(16))
    monkeypatch.setattr(trainer, "_features", lambda _: pytest.fail("minutes on real faces"))
    with pytest.raises(UserError, match="does not take them"):
        trainer.start_phase(phase("head"))


@pytest.mark.parametrize("name", ["cosine", "tanh", "step", "multistep", "poly"])
def test_schedulers_of_timm_run(workspace, name):
    settings = small_settings(workspace, epochs=2, scheduler={"name": name, "args": {}})
    assert len(run_fit(settings, some_faces(24), name).history) == 2


@pytest.mark.parametrize(
    "target",
    [
        {"name": "classification"},
        {"name": "coral"},
        {"name": "corn"},
        {"name": "dldl"},
        {"name": "mean_variance", "gender": 0.5, "race": 0.5},
        {"name": "coral", "gender": 0.5},
    ],
    ids=str,
)
def test_every_target_trains_with_mixing_and_oversampling(workspace, target):
    settings = small_settings(
        workspace, target, epochs=2, mixup=0.2, cutmix=1.0, reweight="sampler", lr=0.003
    )
    fitted = run_fit(settings, some_faces(32), "targets")
    assert len(fitted.history) == 2
    assert fitted.best.val_mae < 60


def test_rare_ages_are_drawn_more_often_or_weigh_more(workspace):
    part = some_faces(200)
    part.labels.age[:] = 30
    part.labels.age[0] = 80
    for how in ("loss", "sampler"):
        settings = small_settings(workspace, reweight=how, reweight_power=1.0, lds_sigma=0.0)
        trainer = new_trainer(settings, part)
        weights = trainer.weights if how == "loss" else trainer.rarity
        assert weights[0] / weights[1] == pytest.approx(199)
    order = trainer._order(torch.Generator().manual_seed(0))
    assert 60 < int((order == 0).sum()) < 140
