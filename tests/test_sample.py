"""The built-in sample: the same bytes for the same seed, UTKFace's skew, every kind of bad file."""

import hashlib
import sys
import time
from pathlib import PurePath

import numpy as np
import psutil
import pytest
from conftest import ROOT, edit_params

import sample
from faceage.core import images, params
from faceage.core.processes import is_command
from faceage.core.reasons import Reason
from faceage.core.utkface import SYNTHETIC_COMMENT, parse
from faceage.data import conflicts, duplicates, ingestion, origins
from faceage.data.records import Records
from faceage.sample.sample_files import bad_files, sample_files

COUNT, IMG_SIZE = 150, 96


@pytest.fixture(scope="module")
def faces() -> dict[str, bytes]:
    return dict(file for index in range(COUNT) for file in sample_files(COUNT, IMG_SIZE, 0, index))


def folder_hash(folder) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def test_the_stage_draws_the_same_bytes_from_the_same_seed(workspace, monkeypatch):
    edit_params({"sample.faces": 50, "sample.img_size": 64})
    sample.main()
    first = folder_hash(workspace / "data/sample")
    monkeypatch.setattr(sample.os, "cpu_count", lambda: 1)
    sample.main()
    assert folder_hash(workspace / "data/sample") == first
    edit_params({"seed": 1})
    sample.main()
    assert folder_hash(workspace / "data/sample") != first


def test_workers_end_with_a_stage_that_is_killed_while_they_start(workspace):
    stage = psutil.Popen([sys.executable, ROOT / "src/sample.py"], cwd=workspace)
    while not (workers := [w for w in stage.children() if is_command(w.pid, "spawn_main")]):
        assert stage.poll() is None
        time.sleep(0.01)
    stage.kill()
    stage.wait()
    assert not psutil.wait_procs(workers, timeout=60)[1]


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


def fingerprints(contents) -> np.ndarray:
    return np.stack([duplicates.fingerprint(images.decode(content)) for content in contents])


def test_different_faces_are_not_near_duplicates():
    firsts = [next(sample_files(COUNT, IMG_SIZE, 0, index))[1] for index in range(COUNT)]
    assert not len(duplicates.near_pairs(fingerprints(firsts), 0.98))


def test_every_hundredth_face_has_a_near_duplicate_of_the_same_labels(faces):
    assert len(faces) == COUNT + len(range(0, COUNT, 100))
    for index in range(0, 2400, 100):
        (name, content), (copy_name, copy) = sample_files(2400, 128, 0, index)
        assert name != copy_name
        assert parse(name) == parse(copy_name)
        assert content != copy
        assert len(duplicates.near_pairs(fingerprints([content, copy]), 0.98)) == 1


def test_few_names_lack_the_race_and_none_the_gender():
    labels = [parse(next(sample_files(600, 64, 0, index))[0]) for index in range(600)]
    assert 1 <= sum(label.race is None for label in labels if label) <= 9
    assert all(label.gender is not None for label in labels if label)


# A file that cannot be read, and what only tables of labels have.
ONLY_ELSEWHERE = {
    Reason.UNREADABLE,
    Reason.NEAR_CONFLICT,
    Reason.NO_FACE,
    Reason.UNLISTED,
    Reason.LISTED_TWICE,
    Reason.AMBIGUOUS,
    Reason.UNKNOWN_CLASS,
    Reason.SET_ASIDE,
    Reason.ABSENT,
}


def test_every_kind_of_bad_file_is_planted(workspace):
    folder = workspace / "faces"
    folder.mkdir()
    for name, content in bad_files(128, 0):
        (folder / name).write_bytes(content)
    settings = params.load(params.IngestParams)
    data = settings.data.model_copy(update={"source": str(folder)})
    with origins.opened(data, settings.groupings) as origin:
        candidates, rejected = ingestion.inspect(origin, Records.none())
        rejected += conflicts.resolve_copies(candidates, settings.data.conflicts).rejected
    found = {item.reason for item in rejected}
    assert found == set(Reason) - ONLY_ELSEWHERE
    assert any(PurePath(item.path).name == "README.txt" for item in rejected)
    assert b"synthetic" in (folder / "README.txt").read_bytes()
