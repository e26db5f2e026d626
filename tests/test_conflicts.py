"""Files of one picture that disagree about the age: each policy, applied and listed."""

import json

import pandas as pd
import pytest
from conftest import edit_params, photo
from test_duplicates import recompressed
from test_ingest import STAMP, run_ingest, write_folder

from faceage.core import images, tables


def weaker(content: bytes) -> bytes:
    return images.encode(recompressed(images.decode(content), 70))


def files() -> dict[str, bytes]:
    """Two copies of different ages, two near-duplicates far apart, two a little apart, a third."""
    near, close = photo(2, (128, 128)), photo(3, (128, 128))
    return {
        f"20_0_0_{STAMP}1.jpg": photo(1),
        f"30_0_0_{STAMP}2.jpg": photo(1),
        f"40_0_0_{STAMP}1.jpg": near,
        f"50_0_0_{STAMP}2.jpg": weaker(near),
        f"60_0_0_{STAMP}1.jpg": close,
        f"63_0_0_{STAMP}2.jpg": weaker(close),
        f"70_0_0_{STAMP}1.jpg": photo(4),
    }


def ingest_with(workspace, policy):
    edit_params({"data.conflicts": policy})
    rejected = run_ingest(write_folder(files(), workspace / "faces"))
    listed = pd.read_csv(tables.CONFLICTS, keep_default_na=False, dtype=str)
    faces = tables.read_faces()
    assert len(faces) + len(rejected) == len(files())
    return sorted(faces["age"]), rejected, listed


EXPECTED = {
    "drop": ([60, 63, 70], {"exact": ["", ""], "near": ["", ""]}),
    "median": ([25, 45, 45, 60, 63, 70], {"exact": ["25", ""], "near": ["45", "45"]}),
    "keep": ([20, 40, 50, 60, 63, 70], {"exact": ["20", ""], "near": ["40", "50"]}),
}


@pytest.mark.parametrize("policy", EXPECTED)
def test_a_policy_is_applied_and_listed(workspace, policy):
    ages, used = EXPECTED[policy]
    kept, rejected, listed = ingest_with(workspace, policy)
    assert kept == ages
    for kind, labels in used.items():
        rows = listed[listed["kind"] == kind].sort_values("path")
        assert list(rows["used"]) == labels
        assert list(rows["label"]) == {"exact": ["20", "30"], "near": ["40", "50"]}[kind]
    reasons = set(rejected["reason"])
    assert ("near-duplicates with conflicting ages" in reasons) == (policy == "drop")
    summary = json.loads((workspace / "reports/ingest.json").read_text())["conflicts"]
    assert summary == {
        "policy": policy,
        "exact": {"clusters": 1, "files": 2},
        "near": {"clusters": 1, "files": 2},
    }


@pytest.mark.parametrize("policy", EXPECTED)
def test_classes_that_differ_have_no_median(workspace, policy):
    folder = write_folder(
        {"a.jpg": photo(1), "b.jpg": photo(1), "c.jpg": photo(2)}, workspace / "f"
    )
    (folder / "labels.csv").write_text("ID,Class\na.jpg,YOUNG\nb.jpg,OLD\nc.jpg,OLD\n")
    edit_params({"data.conflicts": policy})
    run_ingest(folder)
    kept = {"drop": ["OLD"], "median": ["OLD"], "keep": ["OLD", "YOUNG"]}[policy]
    assert sorted(tables.read_faces()["age_class"]) == kept
