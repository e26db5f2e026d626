"""params.yaml: every fault is named by key, value and what is allowed, all of them at once."""

import inspect
import re

import pytest
import yaml
from conftest import ROOT, edit_params

import check
from faceage.core import params
from faceage.core.script import UserError
from faceage.core.settings import Params, Phase, Section
from faceage.training.transforms import TRANSFORMS


def test_the_file_in_the_repository_is_sound(workspace):
    assert params.load(params.Params).split.train == 0.7


def comments():
    """Keys and transforms that begin a line of params.yaml: the comment above and beside each."""
    path: list[str] = []
    above: list[str] = []
    for line in (ROOT / "params.yaml").read_text().splitlines():
        if re.match(" *#", line):
            above.append(line.strip(" #"))
            continue
        beside = line.partition(" # ")[2]
        if key := re.match(r"( *)(\w+):", line):
            path = [*path[: len(key[1]) // 2], key[2]]
            yield ".".join(path), plain(*above, beside)
        elif transform := re.search(r"- \{name: (\w+)", line):
            yield f"transform {transform[1]}", plain(*above, beside)
        above = []


def descriptions(section=Params, prefix=""):
    """Every key of a section and of those in it, and what is said of it there."""
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            yield f"{prefix}{name}", plain(inspect.getdoc(inner))
            yield from descriptions(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", plain(field.description)


def plain(*lines):
    text = " ".join(" ".join(line or "" for line in lines).split()).rstrip(".")
    return text[:1].lower() + text[1:]


def test_every_key_is_described_once_and_commented_with_that():
    said = dict(comments())
    for key, description in descriptions():
        assert description, f"{key} has no description"
        assert said.get(key) == description, key


def test_every_transform_is_commented_with_what_it_says_of_itself():
    said = dict(comments())
    used = [transform for transform in TRANSFORMS if f"transform {transform}" in said]
    assert used
    for name in used:
        assert said[f"transform {name}"] == plain(inspect.getdoc(TRANSFORMS[name]))


def test_no_key_has_a_default_and_those_in_lists_are_described_too():
    def sections(section):
        yield section
        for field in section.model_fields.values():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                yield from sections(field.annotation)

    listed: list[type[Section]] = [Phase, *TRANSFORMS.values()]
    for section in (*sections(Params), *listed):
        for name, field in section.model_fields.items():
            assert field.is_required(), f"{section.__name__}.{name}"
    for section in listed:
        assert all(field.description for field in section.model_fields.values()), section


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"train.lrr": 1}, "train.lrr is not a known key (did you mean lr?)"),
        ({"modle": "x"}, "modle is not a known key (did you mean model?)"),
        ({"train.lr": "fast"}, "train.lr is 'fast', and it should be a valid number"),
        ({"train.lr": 0}, "train.lr is 0, and it should be greater than 0"),
        ({"train.precision": "half"}, "it should be 'auto', 'float32' or 'bfloat16'"),
        ({"train": "fast"}, "train is 'fast'"),
        ({"split.val": 0.3}, "train + val + test must be 1, and is 1.15"),
        ({"data.min_age": 200}, "min_age (200) must be below max_age (116)"),
        ({"groupings.age_group.boundaries": [41, 18, 61]}, "boundaries must rise"),
        ({"groupings.age_group.names": ["young", "old"]}, "3 boundaries make 4 groups"),
        ({"groupings.age_group.bounds": [2]}, "age_group.bounds is not a known key (did you mean"),
        (
            {"groupings.race": {"boundaries": [9], "names": ["a", "b"]}},
            "name it otherwise",
        ),
        ({"groupings": {}}, "must have one called age_group"),
        ({"evaluate.coverage": 90}, "evaluate.coverage is 90"),
        (
            {
                "train.phases": [
                    {"layers": "al", "epochs": 1, "lr": 1, "img_size": None, "augment": None}
                ]
            },
            "it should be 'all' or 'head'",
        ),
        ({"train.phases": []}, "train.phases is []"),
        (
            {"target.grouping": "ages"},
            "target.grouping is 'ages', and groupings has age_group, life_stage",
        ),
        ({"target.grouping": "stage"}, "has age_group, life_stage (did you mean life_stage?)"),
        ({"train.augment": "flip"}, "train.augment is 'flip', and it should be a valid list"),
    ],
)
def test_faults_are_named(workspace, edits, message):
    edit_params(edits)
    with pytest.raises(UserError) as error:
        params.load(params.TrainParams)
    assert message in str(error.value)
    assert str(error.value).startswith("params.yaml: ")


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (
            {"target.name": "dldll"},
            "target.name is 'dldll', and it should be 'regression', 'classification', 'coral',"
            " 'corn', 'dldl', 'sord' or 'mean_variance' (did you mean dldl?)",
        ),
        (
            {"target.loss": "huber"},
            "target.loss is 'huber', and it should be 'mse', 'l1', 'smooth_l1' or 'focal_mse'",
        ),
        ({"target.name": "corn", "train.reweight": "loss"}, "set it to sampler"),
        ({"train.augment": [{"name": "flip", "p": float("nan")}]}, "train.augment.0.p is nan"),
        (
            {"train.augment": [{"name": "flip", "p": 2}]},
            "train.augment.0.p is 2, and it should be less than or equal to 1",
        ),
        ({"train.augment": [{"name": "flip"}]}, "0.p is missing: it says probability"),
        (
            {"train.augment": [{"name": "flip", "p": 1}, {"name": "flip", "p": 1, "q": 1}]},
            "train.augment.1.q is not a known key (known here: p)",
        ),
        (
            {"train.augment": [{"name": "affine", "rotat": 1, "zoom": 0, "shift": 0}]},
            "train.augment.0.rotat is not a known key (did you mean rotate?)",
        ),
        (
            {"train.augment": [{"name": "flop"}]},
            "train.augment.0.name is 'flop', and it should be 'flip', 'affine', 'jitter', 'erase',"
            " 'exposure', 'gamma', 'grayscale', 'gaussian_blur', 'downscale', 'gaussian_noise' or"
            " 'jpeg' (did you mean flip?)",
        ),
        ({"train.augment": [{"p": 1}]}, "train.augment.0.name is None, and it should be 'flip'"),
        (
            {
                "train.phases": [
                    dict.fromkeys(("epochs", "lr", "img_size"))
                    | {"layers": "all", "augment": [{"name": "flip"}]}
                ]
            },
            "train.phases.0.augment.0.p is missing",
        ),
    ],
)
def test_what_is_not_in_its_registry_is_refused_by_the_first_stage(workspace, edits, message):
    edit_params(edits)
    with pytest.raises(UserError) as error:
        check.main()
    assert message in str(error.value)
    assert str(error.value).startswith("params.yaml: ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sample.px", "sample.img_size"),
        ("data.min_px", "data.min_img_size"),
        ("split.groups", "split.clusters"),
        ("target.groups", "target.grouping"),
        ("train.px", "train.img_size"),
        ("train.flip_average", "train.hflip_tta"),
        ("train.rare_ages", "train.reweight"),
        ("train.rare_power", "train.reweight_power"),
        ("train.rare_years", "train.lds_sigma"),
        ("evaluate.min_group", "evaluate.min_subgroup"),
    ],
)
def test_an_old_name_is_refused_with_the_new_one(workspace, old, new):
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    section, key = old.split(".")
    content[section][key] = content[section].pop(new.split(".")[1])
    with pytest.raises(UserError) as error:
        params.check(content)
    assert str(error.value) == f"params.yaml: {old} is not a known key (did you mean {new}?)"


def test_an_old_name_beside_the_new_one_is_refused_too(workspace):
    edit_params({"train.leave_out": 0.01})
    with pytest.raises(UserError) as error:
        params.load(params.TrainParams)
    assert str(error.value) == (
        "params.yaml: train.leave_out is not a known key (did you mean label_issues.leave_out, with"
        " train.split=data/clean_split.csv?)"
    )


def test_groupings_of_old_names_are_refused_with_the_new_ones(workspace):
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    groupings = content["groupings"]
    content["groupings"] = {
        "group": groupings["age_group"],
        "stage": groupings["life_stage"],
    }
    with pytest.raises(UserError) as error:
        params.check(content)
    assert "groupings.group is not a known key (did you mean groupings.age_group?)" in str(
        error.value
    )
    assert "groupings.stage is not a known key (did you mean groupings.life_stage?)" in str(
        error.value
    )


def test_all_faults_are_reported_at_once(workspace):
    edit_params({"train.lr": -1, "split.extra": 1})
    with pytest.raises(UserError, match=r"split\.extra.*train\.lr"):
        params.load(params.SplitParams)


def test_a_missing_key_says_what_it_is_for(workspace):
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    del content["train"]["patience"]
    (workspace / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"train\.patience is missing"):
        params.load(params.TrainParams)


@pytest.mark.parametrize("text", ["a: [1", "", "- 1", "seed: *x"])
def test_what_is_no_mapping_is_refused(workspace, text):
    (workspace / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"params\.yaml"):
        params.load(params.TrainParams)


def test_numbers_as_dvc_writes_them_are_numbers(workspace):
    # `dvc exp run -S train.lr=1e-05` writes what YAML 1.1 reads as text.
    edit_params({"train.lr": "1e-05", "tracking": "off"})
    assert params.load(params.TrainParams).train.lr == 1e-05
    assert params.load(params.TrackingParams).tracking is False


def test_parameters_are_frozen(workspace):
    loaded = params.load(params.TrainParams)
    with pytest.raises(ValueError, match="frozen"):
        loaded.train.lr = 1.0
    with pytest.raises(ValueError, match="frozen"):
        loaded.seed = 1


def test_another_folder_is_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="run from the root of the repository"):
        params.load(params.TrainParams)
