"""params.yaml: every fault is named by key, value and what is allowed, all of them at once."""

import pytest
import yaml
from conftest import edit_params

from faceage.core import params, settings
from faceage.core.script import UserError


def test_the_file_in_the_repository_is_sound(workspace):
    assert params.load(params.Params).split.train == 0.7


def test_every_key_is_commented_or_obvious_and_none_has_a_default():
    sections = [
        section
        for section in vars(settings).values()
        if isinstance(section, type) and issubclass(section, settings.Section)
    ]
    assert settings.Flip in sections
    for section in sections:
        for name, field in section.model_fields.items():
            assert field.is_required(), name


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
        ({"train.augment": [{"name": "flip", "p": float("nan")}]}, "train.augment.0.flip.p is nan"),
        ({"train.augment": [{"name": "flip"}]}, "flip.p is missing: it says probability"),
        ({"train.augment": [{"name": "flip", "p": 1, "q": 1}]}, "q is not a known key (known here"),
        ({"train.augment": [{"name": "flop"}]}, "expected tags: 'flip', 'affine'"),
        (
            {"train.phases": [{"layers": "al", "epochs": 1, "lr": 1}]},
            "it should be 'all' or 'head'",
        ),
        ({"train.phases": []}, "train.phases is []"),
        (
            {"target.grouping": "ages"},
            "target.grouping is 'ages', and groupings has age_group, life_stage",
        ),
        ({"target.name": "corn", "train.reweight": "loss"}, "set it to sampler"),
    ],
)
def test_faults_are_named(workspace, edits, message):
    edit_params(edits)
    with pytest.raises(UserError) as error:
        params.load(params.TrainParams)
    assert message in str(error.value)
    assert str(error.value).startswith("params.yaml: ")


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
