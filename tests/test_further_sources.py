"""Several sources in one data set: labels, clusters, splits and weights across them."""

import json
import random
from dataclasses import replace

import pandas as pd
import pytest
import torch
import yaml
from conftest import edit_params, photo
from test_conflicts import weaker
from test_ingest import STAMP, write_folder
from test_training import SMALL, new_trainer, small_settings, some_faces

import check
import evaluate
import ingest
import label_issues
import sources
import split
import train
from faceage.core import tables, utkface
from faceage.core.script import UserError
from faceage.sample.synthetic import draw_face
from faceage.training.whole_batch import whole

BANDS = [(0, 2), (3, 9), (10, 19), (20, 29), (30, 39), (40, 49), (50, 59), (60, 69)]


def further(name="fairface", **changes):
    entry = {"source": name, "layout": "auto", "align": "never", "weight": 1.0, "split": None}
    return {name: entry | changes}


def write_fairface(contents: dict[str, tuple[str, bytes]], folder) -> None:
    """A folder like FairFace's: of each picture its band and content."""
    write_folder({name: content for name, (_, content) in contents.items()}, folder)
    rows = [f"{name},{band},Male,White" for name, (band, _) in contents.items()]
    (folder / "labels.csv").write_text("\n".join(["file,age,gender,race", *rows]))


@pytest.fixture
def two_sources(workspace):
    """Exact ages, and bands of: a picture of its own, copies and near-duplicates of the others."""
    first, second = photo(1, (128, 128)), photo(2, (128, 128))
    exact = {
        f"30_0_0_{STAMP}1.jpg": first,
        f"50_1_1_{STAMP}2.jpg": second,
        f"61_1_1_{STAMP}3.jpg": photo(3),
    }
    write_folder(exact, workspace / "exact")
    contents = {
        "train/1.jpg": ("3-9", photo(4)),
        "train/2.jpg": ("more than 70", photo(5)),
        "train/3.jpg": ("50-59", weaker(second)),
        "train/4.jpg": ("30-39", first),
        "train/5.jpg": ("20-29", photo(3)),
    }
    write_fairface(contents, workspace / "fairface")
    edit_params({"data.source": "exact", "data.sources": further(weight=0.5, split="train")})
    return workspace


def test_bands_are_kept_beside_exact_ages_and_resolved_with_them(two_sources):
    ingest.main()
    faces = tables.read_faces().fillna({"fixed_split": ""}).set_index("path")
    columns = ["age", "age_low", "age_high", "weight", "fixed_split"]
    found = {path: row for path, *row in faces[columns].itertuples(name=None)}
    assert found == {
        f"50_1_1_{STAMP}2.jpg": [50, 50, 50, 1, ""],
        "fairface/train/1.jpg": [6, 3, 9, 0.5, "train"],
        "fairface/train/2.jpg": [95, 70, 120, 0.5, "train"],
        "fairface/train/3.jpg": [54, 50, 59, 0.5, "train"],
        # The copy whose source says where it goes, with the exact age of the other.
        "fairface/train/4.jpg": [30, 30, 30, 0.5, "train"],
    }
    near = faces["near_cluster"]
    assert near[f"50_1_1_{STAMP}2.jpg"] == near["fairface/train/3.jpg"]
    assert near.nunique() == 4
    rejected = tables.read_rejected().set_index("path")["reason"]
    conflict = "byte-identical copies with conflicting ages"
    assert rejected[f"61_1_1_{STAMP}3.jpg"] == rejected["fairface/train/5.jpg"] == conflict
    assert rejected[f"30_0_0_{STAMP}1.jpg"] == "byte-identical copy"
    conflicts = pd.read_csv(tables.CONFLICTS, keep_default_na=False)
    assert sorted(conflicts["label"]) == ["20-29", "61"]
    summary = json.loads((two_sources / "reports/ingest.json").read_text())
    assert summary["bands"] == 3
    assert summary["missing"]["age"] == 0
    assert summary["found"] == 8
    assert summary["sources"]["fairface"] == {
        "source": "fairface",
        "layout": "fairface",
        "found": 5,
        "kept": 4,
        "weight": 0.5,
        "split": "train",
    }


def test_the_median_of_bands_is_a_band(two_sources):
    """Of 61 and 20-29 from (61 + 20) / 2 to (61 + 29) / 2; halves are rounded to even."""
    edit_params({"data.conflicts": "median"})
    ingest.main()
    faces = tables.read_faces().set_index("path")
    used = faces.loc["fairface/train/5.jpg", ["age_low", "age", "age_high"]]
    assert used.tolist() == [40, 42, 45]


def test_one_source_alone_is_as_without_the_others(two_sources):
    edit_params({"data.sources": {}})
    ingest.main()
    faces = tables.read_faces()
    assert faces["path"].tolist() == [
        f"{age}_{STAMP}{n}.jpg" for n, age in enumerate(("30_0_0", "50_1_1", "61_1_1"), start=1)
    ]
    assert (faces["age_low"] == faces["age_high"]).all()
    assert (faces["weight"] == 1).all()
    assert faces["fixed_split"].isna().all()


def test_errors_name_the_source(two_sources):
    edit_params({"data.sources": further(source="nowhere")})
    with pytest.raises(UserError, match=r"^data.sources.fairface: .* nothing at nowhere"):
        ingest.main()
    folder = two_sources / "classes"
    write_folder({"a.jpg": photo(9)}, folder)
    (folder / "labels.csv").write_text("ID,Class\na.jpg,OLD\n")
    edit_params({"data.sources": further("classes")})
    with pytest.raises(UserError, match="1 faces are labelled with classes, the first classes/a"):
        ingest.main()
    edit_params({"data.sources": {"fair face": further()["fairface"]}})
    with pytest.raises(UserError, match=r"data\.sources\.fair face"):
        ingest.main()


def test_the_list_of_a_source_changes_with_any_of_its_files(two_sources, monkeypatch):
    monkeypatch.setattr("sys.argv", ["sources.py", "fairface"])
    listed = two_sources / "data/checked/fairface.csv"
    sources.main()
    before = listed.read_bytes()
    assert pd.read_csv(listed)["path"].tolist() == [
        "labels.csv",
        *(f"train/{n}.jpg" for n in range(1, 6)),
    ]
    sources.main()
    assert listed.read_bytes() == before
    (two_sources / "fairface/train/2.jpg").write_bytes(photo(50))
    sources.main()
    assert listed.read_bytes() != before


def test_ingest_depends_on_every_source(two_sources):
    """On the main one by its path, on the others by the folder that their lists are in."""
    stages = yaml.safe_load((two_sources / "dvc.yaml").read_text())["stages"]
    assert {"${data.source}", "data/checked"} <= set(stages["ingest"]["deps"])
    assert stages["sources"]["foreach"] == "${data.sources}"
    assert "${item.source}" in stages["sources"]["do"]["deps"]
    assert stages["sources"]["do"]["outs"] == ["data/checked/${key}.csv"]


def test_a_published_split_and_a_fixed_one_are_not_mixed(two_sources):
    ingest.main()
    pd.DataFrame({"path": tables.read_faces()["path"], "split": "train"}).to_csv("list.csv")
    edit_params({"split.source": "list.csv"})
    with pytest.raises(UserError, match=r"list.csv says where each face goes, and so does data.so"):
        split.main()


def test_a_split_of_bands_alone_is_refused_before_anything_is_trained(two_sources):
    edit_params({"split.train": 0.4, "split.val": 0.3, "split.test": 0.3})
    edit_params({"data.source": "fairface", "data.sources": {}, "split.clusters": "none"})
    ingest.main()
    with pytest.raises(UserError, match="labelled with bands of ages, and its metrics are of exac"):
        split.main()


def test_the_loss_is_weighted_and_the_mean_weight_is_1(workspace):
    faces = some_faces(4)
    head = {"hidden": [], "dropout": 0.0, "init": "default"}
    settings = small_settings(workspace, {"loss": "mse"}, epochs=1, augment=[], head=head)
    weights = torch.tensor([1.0, 1.0, 2.0, 4.0])
    trainer = new_trainer(settings, replace(faces, weights=weights))
    trainer.start_phase(settings.train.phases[0])
    assert trainer.weights.tolist() == pytest.approx([0.5, 0.5, 1, 2])
    plain = new_trainer(settings, faces)
    plain.start_phase(settings.train.phases[0])
    logits = plain.module(plain._inputs(torch.arange(4), whole(4), torch.Generator()))
    expected = plain.target.losses(logits.detach(), plain.encoded) @ trainer.weights / 4
    found = trainer.step(torch.arange(4), torch.Generator())
    assert found == pytest.approx(float(expected), rel=1e-4)


def test_a_target_that_weighs_no_faces_is_refused_by_the_first_stage(two_sources):
    edit_params({"target.name": "corn", "model": "test_resnet"})
    with pytest.raises(UserError, match="weights than 1, and corn has no loss of each face"):
        check.main()


def drawn(number: int, age: int) -> bytes:
    from faceage.core import images

    rng = random.Random(number)
    return images.encode(draw_face(utkface.Labels(age, number % 2, number % 5), 64, rng))


@pytest.fixture
def drawn_sources(workspace):
    """Drawn faces: 60 of exact ages, 60 with the bands of FairFace."""
    exact = {
        f"{1 + n * 69 // 60}_{n % 2}_{n % 5}_20170116174{n:06}.jpg": drawn(n, 1 + n * 69 // 60)
        for n in range(60)
    }
    write_folder(exact, workspace / "exact")
    contents = {}
    for n in range(60):
        low, high = BANDS[n % len(BANDS)]
        contents[f"train/{n}.jpg"] = (f"{low}-{high}", drawn(1000 + n, (low + high) // 2))
    write_fairface(contents, workspace / "fairface")
    small = SMALL | {"train.epochs": 1, "evaluate.bootstrap": 100, "tracking": False}
    small |= {"weights": "none", "evaluate.robustness_faces": 4, "split.bin_years": 30}
    edit_params(small | {"data.source": "exact", "target.name": "dldl", "split.clusters": "exact"})
    return workspace


@pytest.mark.parametrize("part", [None, "train"])
def test_from_two_sources_to_the_metrics(drawn_sources, part):
    edit_params({"data.sources": further(weight=0.5, split=part)})
    for stage in (ingest, split, label_issues, train, evaluate):
        stage.main()
    splits = tables.read_splits()
    banded = {
        name: int(faces["path"].str.startswith("fairface/").sum()) for name, faces in splits.items()
    }
    if part:
        assert banded == {"train": 0, "val": 0, "test": 0} | {part: 60}
        counted = json.loads((drawn_sources / "reports/split.json").read_text())["fixed"]
        assert counted == {"faces": 60, "joined": 0, "moved": 0}
    else:
        assert all(banded.values())
    metrics = json.loads((drawn_sources / "reports/metrics.json").read_text())
    assert metrics["test"]["n"] == len(splits["test"]) - banded["test"]
    predictions = tables.read_predictions()
    assert not predictions["path"].str.startswith("fairface/").any()
    by_band = tables.read_evaluation()["bands"]
    assert ("bands" in metrics) == bool(banded["test"]) == bool(len(by_band))
    if banded["test"]:
        assert metrics["bands"]["n"] == banded["test"] == by_band["n"].sum()
        assert 0 <= metrics["bands"]["in_band"] <= metrics["bands"]["within_one_band"] <= 1
        assert metrics["bands"]["distance"] == pytest.approx(
            (by_band["distance"] * by_band["n"]).sum() / banded["test"], abs=1e-3
        )
    issues = tables.read_label_issues().set_index("path")["issue_score"]
    assert issues[issues.index.str.startswith("fairface/")].isna().all()
    assert issues[~issues.index.str.startswith("fairface/")].notna().all()
