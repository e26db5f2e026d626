"""The built-in sample: the same bytes for the same seed, UTKFace's skew, every kind of bad file."""

import hashlib
from collections import Counter
from pathlib import PurePath

import numpy as np
import pytest
from conftest import edit_params

import sample
from faceage import duplicates, images, intake, params, sources
from faceage.sample_files import bad_files, sample_files
from faceage.utkface import SYNTHETIC_COMMENT, parse

COUNT, PX = 150, 96


@pytest.fixture(scope="module")
def faces() -> dict[str, bytes]:
    return dict(file for index in range(COUNT) for file in sample_files(COUNT, PX, 0, index))


def folder_hash(folder) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def test_the_stage_draws_the_same_bytes_from_the_same_seed(workspace, monkeypatch):
    edit_params({"sample.faces": 50, "sample.px": 64})
    sample.main()
    first = folder_hash(workspace / "data/sample")
    monkeypatch.setattr(sample.os, "cpu_count", lambda: 1)
    sample.main()
    assert folder_hash(workspace / "data/sample") == first
    edit_params({"seed": 1})
    sample.main()
    assert folder_hash(workspace / "data/sample") != first


def test_names_parse_and_every_face_says_that_it_is_synthetic(faces):
    assert len(faces) >= COUNT
    for name, content in faces.items():
        assert parse(name) is not None, name
        assert images.decode(content).info["comment"] == SYNTHETIC_COMMENT


def test_ages_follow_the_skew_of_utkface():
    labels = [parse(next(sample_files(4, 64, seed, 0))[0]) for seed in range(400)]
    ages = np.array([label.age for label in labels if label])
    assert 25 <= np.median(ages) <= 33
    assert 0.05 <= (ages <= 5).mean() <= 0.2
    assert 0.005 <= (ages > 80).mean() <= 0.06
    assert {label.gender for label in labels if label} == {0, 1}
    assert {label.race for label in labels if label} >= {0, 1, 2, 3, 4}


def test_different_faces_are_not_near_duplicates(faces):
    prints = np.stack(
        [duplicates.fingerprint(images.decode(content)) for content in faces.values()]
    )
    groups = Counter(duplicates.near_groups(prints, 0.98))
    assert sum(count for count in groups.values() if count > 1) <= 0.05 * COUNT


def test_every_kind_of_bad_file_is_planted(workspace):
    folder = workspace / "faces"
    folder.mkdir()
    for name, content in bad_files(128, 0):
        (folder / name).write_bytes(content)
    data = params.load(params.IngestParams).data
    with sources.open_source(folder) as source:
        candidates, rejected = intake.inspect(source, data)
    _, copies = intake.resolve_copies(candidates)
    found = {item.reason for item in rejected + copies}
    assert found == set(intake.Reason) - {intake.Reason.UNREADABLE}
    assert any(PurePath(item.path).name == "README.txt" for item in rejected)
    assert b"synthetic" in (folder / "README.txt").read_bytes()
