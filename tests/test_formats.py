"""Model folders and reports of every format load, later ones are refused with a sentence."""

import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import small_model
import yaml
from conftest import ROOT

from faceage.core import formats, params, sealed
from faceage.core.faults import RENAMED
from faceage.core.script import UserError
from faceage.experiments import runs
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks import earlier_formats, saved_model, targets

# Folders that the programs of their time wrote, of drawn faces, and what these said of CROPS. The
# weights were rounded to three values a tensor, so that the archives are small.
ARCHIVES = sorted((ROOT / "tests/fixtures/formats").glob("*.tar.xz"))
CROPS = (
    np.random.default_rng(0)
    .integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    .repeat(8, axis=1)
    .repeat(8, axis=2)
)


@pytest.fixture
def unpacked(request, tmp_path) -> Path:
    with tarfile.open(request.param) as archive:
        # Python before 3.11.4 knows no filters.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path)
    return tmp_path


each_format = pytest.mark.parametrize(
    "unpacked", ARCHIVES, ids=lambda path: path.name.split(".")[0], indirect=True
)


def test_there_is_an_archive_of_each_format():
    numbers = [int(path.name.split(".")[0]) for path in ARCHIVES]
    assert numbers == list(range(1, formats.CURRENT + 1))
    assert sum(path.stat().st_size for path in ARCHIVES) < 200_000


@each_format
def test_a_model_says_what_it_said_when_it_was_written(unpacked):
    said = json.loads((unpacked / "said.json").read_text())
    found = TorchPredictor(unpacked / "models").predict(CROPS)
    for key in ("age", "low", "high"):
        np.testing.assert_allclose(getattr(found, key), said[key], atol=0.01)
    assert list(found.age_group) == said["age_group"]


@each_format
def test_predictions_of_a_report_are_read(unpacked):
    run = runs.find(str(unpacked / "reports"))
    n = json.loads((unpacked / "reports/metrics.json").read_text())["test"]["n"]
    assert len(run.predictions) == n
    assert {"age_group", "predicted_age_group", "life_stage"} <= set(run.predictions)


@pytest.mark.parametrize(
    ("target", "present"),
    [
        (
            {"kind": "ordinal", "method": "corn", "youngest": 1, "oldest": 90},
            {"kind": "corn", "youngest": 1, "oldest": 90},
        ),
        (
            {"kind": "distribution", "method": "sord", "first": 0, "last": 9, "sigma": 2.0},
            {"kind": "sord", "first": 0, "last": 9, "sigma": 2.0},
        ),
        (
            {"kind": "multitask", "main": {"kind": "classification"}, "gender": 1.0, "race": 0.0},
            {
                "kind": "multitask",
                "main": {"kind": "classification", "grouping": "life_stage"},
                "gender": 1.0,
                "race": 0.0,
            },
        ),
    ],
)
def test_targets_of_the_first_format_have_their_present_names(target, present):
    content = {
        "architecture": {},
        "target": target,
        "training": {"groupings": {}, "target": {"groups": "stage"}},
    }
    found = earlier_formats.in_present_words(content)["target"]
    assert found == present
    if target["kind"] != "multitask":
        written = targets.as_dict(targets.restore(found))
        assert written.pop("quantile", None) is None, "an age was always the mean"
        assert written == present


def test_a_model_of_a_later_format_is_refused(workspace):
    small_model.write()
    path = saved_model.FOLDER / saved_model.ABOUT
    later = sealed.unsealed(json.loads(path.read_text())) | {"format": formats.CURRENT + 1}
    path.write_text(json.dumps(sealed.sealed(later)))
    with pytest.raises(UserError, match=r"model.json is of format 4, .* up to 3: use the faceage"):
        TorchPredictor()


def test_a_report_of_a_later_format_is_refused(tmp_path):
    (tmp_path / "predictions.csv").write_text("")
    (tmp_path / "metrics.json").write_text('{"format": 4}')
    with pytest.raises(UserError, match=r"metrics.json is of format 4"):
        runs.find(str(tmp_path))


@pytest.mark.parametrize("unpacked", ARCHIVES[:1], indirect=True)
def test_an_earlier_params_yaml_is_met_with_what_changed(unpacked):
    """Each key that is no more is answered with its successor, each that came says what it is."""
    path = unpacked / "params.yaml"
    with pytest.raises(UserError) as refused:
        params.load(params.TrainParams, path)
    said = str(refused.value)
    for key in ("sample.px", "train.px", "train.flip_average", "evaluate.min_group"):
        assert f"{key} is not a known key (did you mean {RENAMED[key]}?)" in said
    assert "evaluate.legal_ages is missing: it says years" in said


def test_what_keys_were_renamed_to_is_there():
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    for present in RENAMED.values():
        for key in re.findall(r"[a-z_]+(?:\.[a-z_]+)+", present.split(", with")[0]):
            section = content
            for name in key.split("."):
                section = section[name]
