"""Label issues: wrong labels rise to the top, outliers too; only training faces are left out."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import edit_params
from test_ingest import run_ingest

import label_issues as stage
import split
import train
from faceage.cleaning import frozen_features, label_issues
from faceage.core import images, params, tables
from faceage.core.utkface import parse
from faceage.sample.sample_files import sample_files
from faceage.tracking.run import Run

FACES = 1200
PLANTED = 0.03


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels uint8 (n, 64, 64, 3), features and ages of faces of the built-in sample."""
    files = [next(sample_files(FACES, 64, 0, number)) for number in range(FACES)]
    pixels = np.stack([images.square(images.decode(content), 64) for _, content in files])
    features = frozen_features.oriented_gradients(torch.from_numpy(pixels)).numpy()
    ages = np.array([labels.age for name, _ in files if (labels := parse(name))], dtype=float)
    return pixels, features, ages


def planted(ages: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Give a share of the faces the ages of others; return the labels and which are wrong."""
    drawn = np.random.default_rng(seed)
    places = drawn.choice(len(ages), round(PLANTED * len(ages)), replace=False)
    labels = ages.copy()
    labels[places] = drawn.permutation(ages)[: len(places)]
    return labels, labels != ages


def found_among(ranked: np.ndarray, wrong: np.ndarray, share: float) -> int:
    return int(wrong[ranked[: round(share * len(wrong))]].sum())


def test_planted_errors_are_found(sample):
    _, features, ages = sample
    wrong, hits, large, large_hits = 0, 0, 0, 0
    for seed in range(3):
        labels, is_wrong = planted(ages, seed)
        judged = label_issues.label_issue_scores(features, labels, np.arange(len(ages)), seed=0)
        ranked = np.argsort(-judged["issue_score"].to_numpy(), kind="stable")
        is_large = np.abs(labels - ages) >= 25
        wrong, hits = wrong + is_wrong.sum(), hits + found_among(ranked, is_wrong, PLANTED)
        large, large_hits = large + is_large.sum(), large_hits + found_among(ranked, is_large, 0.06)
    depth = 3 * round(PLANTED * len(ages))
    print(f"at a depth of {PLANTED:.0%}: precision {hits / depth:.2f}, recall {hits / wrong:.2f}")
    assert hits / wrong > 4 * PLANTED  # by chance, the share itself
    assert large_hits / large >= 0.6


def test_no_label_vouches_for_another_of_its_group(sample):
    """Two copies of a face with the same wrong age: together they look right, apart they do not."""
    _, features, ages = sample
    twice, labels = np.repeat(features, 2, axis=0), np.repeat(ages, 2)
    labels[:2] = labels[0] + 50
    apart, together = (
        label_issues.label_issue_scores(twice, labels, clusters, seed=0)["predicted"][0]
        for clusters in (np.arange(len(labels)), np.arange(len(labels)) // 2)
    )
    assert abs(labels[0] - together) > abs(labels[0] - apart)


def test_one_cluster_has_no_label_issues():
    judged = label_issues.label_issue_scores(
        np.ones((3, 2)), np.array([1.0, 2, 3]), np.zeros(3), seed=0
    )
    assert list(judged.columns) == list(label_issues.COLUMNS)
    assert judged.isna().all(axis=None)


def odd_pictures(pixels: np.ndarray) -> np.ndarray:
    """Half a face, a face off centre, one upside down, and patterns: three of each."""
    half, shifted = pixels[10:13].copy(), np.roll(pixels[20:23], 24, axis=2)
    half[:, :, 32:] = 128
    stripes = np.zeros_like(half)
    stripes[0, ::4], stripes[1, :, ::4], stripes[2, 16:48, 16:48] = 255, 255, 90
    return np.concatenate([half, shifted, pixels[30:33, ::-1], stripes])


def test_parts_of_faces_and_what_is_none_are_far_from_the_faces(sample):
    pixels, _, _ = sample
    everything = torch.from_numpy(np.concatenate([pixels, odd_pictures(pixels)]))
    features = frozen_features.oriented_gradients(everything).numpy()
    furthest = np.argsort(-label_issues.outlier_scores(features))[: round(0.02 * FACES)]
    assert set(range(FACES, FACES + 12)) <= set(furthest)


@pytest.fixture
def ranked(workspace) -> pd.DataFrame:
    """Ingest and split a small sample; the table of its label issues."""
    folder = workspace / "faces"
    folder.mkdir()
    for number in range(60):
        name, content = next(sample_files(60, 64, 0, number))
        (folder / name).write_bytes(content)
    run_ingest(folder)
    split.main()
    stage.main()
    return tables.read_label_issues()


def test_the_stage_ranks_every_face_and_drops_none(workspace, ranked):
    assert set(ranked["face"]) == set(tables.read_faces()["face"])
    assert ranked["issue_score"].is_monotonic_decreasing


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_only_training_faces_are_left_out_and_those_with_the_worst_issues(ranked, share):
    edit_params({"label_issues.leave_out": share})
    stage.main()
    whole, clean = tables.read_splits(), tables.read_splits(tables.CLEAN_SPLIT)
    gone = set(whole["train"]["face"]) - set(clean["train"]["face"])
    assert len(gone) == round(share * len(whole["train"]))
    by_issue = [face for face in ranked["face"] if face in set(whole["train"]["face"])]
    assert gone == set(by_issue[: len(gone)])
    for name in ("val", "test"):
        assert list(clean[name]["face"]) == list(whole[name]["face"])


def test_train_learns_from_the_split_that_it_is_told(ranked):
    small = {"train.img_size": 32, "model": "test_resnet", "label_issues.leave_out": 0.2}
    edit_params(small | {"train.split": "data/clean_split.csv"})
    stage.main()
    splits = tables.read_splits()
    view = params.load(params.TrainParams)
    read = train.read_faces(view, Run())
    assert len(read.train) == len(splits["train"]) - round(0.2 * len(splits["train"]))
    assert len(read.val) == len(splits["val"])


def test_classes_have_outliers_and_no_label_issues(workspace):
    folder = workspace / "faces"
    folder.mkdir()
    lines = ["ID,Class"]
    for number in range(12):
        _, content = next(sample_files(60, 64, 0, number))
        (folder / f"{number}.jpg").write_bytes(content)
        lines.append(f"{number}.jpg,{('YOUNG', 'OLD')[number % 2]}")
    (folder / "labels.csv").write_text("\n".join(lines))
    run_ingest(folder)
    split.main()
    stage.main()
    found = tables.read_label_issues()
    assert len(found) == 12
    assert found["issue_score"].isna().all()
    assert (found["outlier_score"] > 0).all()
