"""docs/scale.md: its numbers are derived from what was measured, and by arithmetic that holds."""

import pytest
import scale
from conftest import ROOT


def test_the_table_is_what_the_measurements_make_of_it():
    page = (ROOT / "docs/scale.md").read_text()
    before, after = scale.MARKS
    assert page.split(before)[1].split(after)[0].strip() == scale.table().strip()


def test_time_that_grows_with_faces_their_power_and_pairs_is_told_apart(monkeypatch):
    monkeypatch.setattr(scale.duplicates, "PROBED", 32)
    monkeypatch.setattr(scale.duplicates, "CELLS", 4)
    monkeypatch.setattr(scale.duplicates, "LEARNED", 64)
    beside = 1e-8  # seconds for each face of a cell that is looked into

    def search(count: int, cells: int) -> float:
        return count * (3e-4 + beside * cells * 64) + 2e-8 * count**2

    seconds = {count: search(count, 32) for count in (5_000, 10_000, 20_000)}
    # Of n faces 32 of 4 root(n) cells hold 8 root(n).
    assert scale.law(seconds, search(20_000, 64)) == pytest.approx((3e-4, 8 * beside, 2e-8))


def test_a_row_by_hand():
    found = {
        "decode": 1000.0,
        "search": {"1000": 1.0, "2000": 2.0},
        "search in twice the cells": 2.1,
        "train": 50.0,
        "predict": 100.0,
        "bytes": {"file": 5000.0, "faces.parquet": 5200.0},
    }
    memory = [{"files": 1000, "peak": 1.0}, {"files": 101_000, "peak": 1.2}]
    lines = scale.derived(found, {"memory": memory}).splitlines()
    rows = dict(line.strip("| ").split(" | ", 1) for line in lines[2:])
    hours = "decoding, at 1000 faces a second of a core, core-hours"
    assert rows[hours] == "0.28 | 28 | 1,400"  # 1e6 / 1000 / 3600
    assert rows["files, 5,000 bytes each"] == "5 GB | 500 GB | 25 TB"
    assert (
        rows["memory of ingest as it reads, beside 1.0 GB, 2,000 bytes a face"]
        == "2 GB | 200 GB | 10 TB"
    )
