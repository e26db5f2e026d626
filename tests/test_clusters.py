"""Clusters of the same picture and of the same person: what is joined, and what is not."""

import io

import pandas as pd
import pytest
from conftest import photo
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_ingest import run_ingest, write_folder

from faceage.core import tables, utkface
from faceage.data.bursts import SECONDS, YEARS, burst_pairs


def people(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["age", "gender", "race", "taken"])


def joined(table) -> set[tuple[int, int]]:
    return {(int(min(pair)), int(max(pair))) for pair in burst_pairs(table)}


@pytest.mark.parametrize(
    "other", [(32, 1, 2, 100.0), (30, 0, 2, 100.0), (30, 1, 3, 100.0), (30, 1, 2, 106.0)]
)
def test_a_burst_is_of_people_alike_within_seconds(other):
    face = (30, 1, 2, 100.0)
    assert joined(people(face, (31, 1, 2, 104.0))) == {(0, 1)}
    assert not joined(people(face, other))


@pytest.mark.parametrize("missing", range(4))
def test_what_is_missing_is_no_evidence(missing):
    known = [30, 1, 2, 100.0]
    lacking = [None if place == missing else value for place, value in enumerate(known)]
    assert not joined(people(known, lacking))


person = st.tuples(st.integers(20, 24), st.integers(0, 1), st.integers(0, 1), st.integers(0, 30))


@given(st.lists(person, max_size=30))
def test_bursts_are_what_comparing_all_pairs_finds(rows):
    expected = {
        (i, j)
        for j, b in enumerate(rows)
        for i, a in enumerate(rows[:j])
        if a[1:3] == b[1:3] and abs(a[0] - b[0]) <= YEARS and abs(a[3] - b[3]) <= SECONDS
    }
    assert joined(people(*rows)) == expected


@pytest.mark.parametrize(
    ("name", "milliseconds"),
    [
        ("26_1_0_20170116174525125.jpg", 125),
        ("28_1_2_201701161745251254.jpg.chip.jpg", 125.4),
        ("14_0_0_2017011617452512.jpg", 120),
        ("39_1_20170116174525125.jpg", 125),
        ("61_3_20170116174525 .jpg", 0),
    ],
)
def test_time_stamps_of_every_length_are_read(name, milliseconds):
    assert utkface.taken(name) == pytest.approx(1484588725 + milliseconds / 1000)


@pytest.mark.parametrize("name", ["26_1_0.jpg", "26_1_0_20171316174525125.jpg", "26_1_0_2017.jpg"])
def test_no_time_stamp_is_invented(name):
    assert utkface.taken(name) is None


def test_each_kind_of_cluster_holds_the_one_before(workspace):
    """The same pixels in two files, a weaker copy of them, and one found a second later."""
    png = photo(1, (96, 96), "PNG")
    again, weaker = io.BytesIO(), io.BytesIO()
    Image.open(io.BytesIO(png)).save(again, "PNG", compress_level=1)
    Image.open(io.BytesIO(png)).save(weaker, "JPEG", quality=60)
    contents = [png, again.getvalue(), weaker.getvalue(), photo(2), photo(3)]
    stamps = ["20170101120000000", "20170201120000000", "20170301120000000", "20170301120001000"]
    names = [f"26_0_0_{stamp}.jpg" for stamp in stamps] + ["26_1_0_20170301120001000.jpg"]
    run_ingest(write_folder(dict(zip(names, contents, strict=True)), workspace / "faces"))
    faces = tables.read_faces().set_index("path").loc[names]
    sizes = {
        kind: [int((faces[f"{kind}_cluster"] == own).sum()) for own in faces[f"{kind}_cluster"]]
        for kind in ("exact", "near", "burst")
    }
    assert sizes == {"exact": [2, 2, 1, 1, 1], "near": [3, 3, 3, 1, 1], "burst": [4, 4, 4, 4, 1]}
