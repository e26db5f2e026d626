"""Splits: the wanted ratios, no cluster on two sides, what leaks, and published splits."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import ROOT, edit_params, photo
from hypothesis import given, settings
from hypothesis import strategies as st
from test_conflicts import weaker
from test_ingest import run_ingest, write_folder

import split
from faceage.core import tables
from faceage.core.script import UserError
from faceage.data import published_split, splitting

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}

age_lists = st.lists(st.integers(0, 116), min_size=1, max_size=400)


def table(ages: list[int], cluster_of: list[int] | None = None) -> pd.DataFrame:
    clusters = cluster_of or list(range(len(ages)))
    faces = pd.DataFrame({"age": ages})
    faces["face"] = [f"face{n:05d}" for n in range(len(ages))]
    faces["cluster"] = [f"cluster{number:05d}" for number in clusters]
    faces["bin"] = splitting.age_bins(faces["age"], width=5, smallest=20)
    return faces


@given(age_lists, st.integers(0, 1000))
def test_every_face_is_in_one_part_and_ratios_hold_in_every_bin(ages, seed):
    faces = table(ages)
    faces["split"] = splitting.assign(faces, SHARES, seed)
    assert set(faces["split"]) <= set(SHARES)
    for _, stratum in faces.groupby("bin"):
        for name, share in SHARES.items():
            # Rounding, and what the bins before left over: less than two faces.
            assert abs((stratum["split"] == name).sum() - share * len(stratum)) < 2
    for name, share in SHARES.items():
        assert abs((faces["split"] == name).sum() - share * len(faces)) < 2


@given(st.data(), st.integers(0, 1000))
def test_groups_are_never_on_two_sides(data, seed):
    ages = data.draw(age_lists)
    clusters = data.draw(st.lists(st.integers(0, 60), min_size=len(ages), max_size=len(ages)))
    faces = table(ages, clusters)
    faces["split"] = splitting.assign(faces, SHARES, seed)
    assert (faces.groupby("cluster")["split"].nunique() == 1).all()


@given(st.data(), st.integers(0, 1000))
@settings(max_examples=50)
def test_pairs_keep_the_ratios_within_a_point(data, seed):
    ages = data.draw(st.lists(st.integers(0, 90), min_size=300, max_size=400))
    clusters = [number // 2 for number in range(len(ages))]
    faces = table(ages, clusters)
    faces["split"] = splitting.assign(faces, SHARES, seed)
    for name, share in SHARES.items():
        assert abs((faces["split"] == name).mean() - share) <= 0.01


POLICIES = ("none", "exact", "near", "burst")


@pytest.mark.parametrize("policy", POLICIES)
@given(st.data(), st.integers(0, 1000))
@settings(max_examples=40)
def test_under_every_policy_groups_are_whole_and_a_missed_share_is_explained(policy, data, seed):
    """Clusters of each policy are joined from those of the one before, as ingest joins them."""
    ages = data.draw(st.lists(st.integers(0, 90), min_size=20, max_size=300))
    clusters = list(range(len(ages)))
    for _ in range(POLICIES.index(policy)):
        into = data.draw(st.lists(st.integers(0, len(ages)), min_size=1, max_size=len(ages)))
        clusters = [into[number % len(into)] for number in clusters]
    faces = table(ages, clusters)
    faces["split"] = splitting.assign(faces, SHARES, seed)
    assert (faces.groupby("cluster")["split"].nunique() == 1).all()
    largest = faces["cluster"].value_counts().max()
    missed = [p for p, s in SHARES.items() if abs((faces["split"] == p).mean() - s) > 0.01]
    for name, share in SHARES.items():
        assert abs((faces["split"] == name).sum() - share * len(faces)) <= 2 * largest
    reasons = splitting.uneven(faces, SHARES)
    assert [reason.split()[0] for reason in reasons] == missed
    assert all(f"the largest has {largest} of {len(faces)} faces" in reason for reason in reasons)


@given(age_lists, st.integers(0, 1000), st.randoms(use_true_random=False))
def test_the_order_of_the_faces_does_not_matter(ages, seed, random):
    faces = table(ages, [age % 50 for age in ages])
    order = list(range(len(faces)))
    random.shuffle(order)
    shuffled = faces.iloc[order].reset_index(drop=True)
    first = splitting.assign(faces, SHARES, seed)
    second = splitting.assign(shuffled, SHARES, seed)
    assert dict(zip(faces["face"], first)) == dict(zip(shuffled["face"], second))


def test_another_seed_is_another_split():
    faces = table(list(range(100)))
    first, second = (splitting.assign(faces, SHARES, seed) for seed in (0, 1))
    assert not first.equals(second)


@given(age_lists, st.integers(1, 30), st.integers(1, 60))
def test_bins_hold_their_ages_and_enough_faces(ages, width, smallest):
    bins = splitting.age_bins(pd.Series(ages), width, smallest)
    for name, age in zip(bins, ages):
        first, last = map(int, name.split("-"))
        assert first <= age <= last
    counts = bins.value_counts()
    assert len(counts) == 1 or counts.min() >= smallest


def test_the_summary_counts_and_finds_the_largest_deviation():
    faces = table([1] * 100 + [50] * 100)
    faces["split"] = (["train"] * 70 + ["val"] * 15 + ["test"] * 15) + (
        ["train"] * 60 + ["val"] * 20 + ["test"] * 20
    )
    faces["drawn"] = True
    summary = splitting.summary(faces, SHARES)
    assert summary["splits"]["train"]["faces"] == 130
    assert summary["splits"]["val"]["age"]["min"] == 1
    assert summary["bins"][1] == {"bin": "050-054", "train": 60, "val": 20, "test": 20}
    assert summary["largest_deviation"] == {"bin": "050-054", "split": "train", "points": -10.0}
    faces.loc[faces["bin"] == "050-054", "drawn"] = False
    assert splitting.summary(faces, SHARES)["largest_deviation"]["points"] == 0
    assert splitting.summary(faces, SHARES)["bins"] == summary["bins"]


def test_a_fixed_split_takes_its_cluster_along_and_of_two_the_later_one_wins():
    """Two go with the first; of the cluster of d, with two fixed splits, no face is trained on."""
    faces = pd.DataFrame(
        {
            "cluster": ["a", "a", "a", "d", "d", "d", "g"],
            "fixed_split": ["train", None, None, "train", "val", None, None],
        }
    )
    faces["split"] = splitting.fixed(faces, tables.SPLITS)
    faces["drawn"] = faces["split"].isna()
    assert faces["split"].tolist()[:6] == ["train"] * 3 + ["val"] * 3
    assert faces["drawn"].tolist() == [False] * 6 + [True]
    assert splitting.count_fixed(faces) == {"faces": 3, "joined": 3, "moved": 1}


def test_leaks_are_counted_by_kind_in_clusters_faces_and_test_faces():
    faces = pd.DataFrame(
        {
            "face": list("abcdefg"),
            "exact_cluster": list("aacdefg"),
            "near_cluster": list("aaacefg".replace("c", "d")),
            "burst_cluster": list("aaaaeef"),
            "split": ["train", "test", "test", "train", "val", "val", "test"],
        }
    )
    leaks = splitting.leaks(faces)
    assert leaks == {
        "exact": {"clusters": 1, "faces": 2, "test_faces": 1},
        "near": {"clusters": 1, "faces": 3, "test_faces": 2},
        "burst": {"clusters": 1, "faces": 4, "test_faces": 2},
    }
    assert splitting.kept_whole(leaks) == "none"
    lines = splitting.leaks_in_words(leaks)
    assert lines[1] == (
        "on more than one side, near-duplicates: 1 clusters of 3 faces, 2 of these in test"
    )
    apart = splitting.leaks(faces.assign(split="train"))
    assert splitting.leaks_in_words(apart) == []
    assert splitting.kept_whole(apart) == "burst"


def test_without_strata_a_rare_age_falls_where_it_falls_and_the_shares_hold():
    faces = table([20] * 960 + [90] * 40)
    faces = faces.assign(bin=["020-024"] * 960 + ["090-094"] * 40)
    counts = set()
    for seed in range(5):
        drawn = splitting.assign(faces.assign(bin="all"), SHARES, seed)
        assert drawn.value_counts().to_dict() == {"train": 700, "val": 150, "test": 150}
        counts.add(int((drawn[faces["bin"] == "090-094"] == "test").sum()))
    assert len(counts) > 1
    stratified = splitting.assign(faces, SHARES, 0)
    assert (stratified[faces["bin"] == "090-094"] == "test").sum() == 6


FILES = {
    **{f"{20 + n}_0_0_201701161745251{n:02}.jpg": photo(n, (128, 128)) for n in range(4)},
    "sub/24_0_0_20170216174525104.jpg": weaker(photo(0, (128, 128))),  # of the first
}
LISTED = {
    "20_0_0_20170116174525100.jpg": "train",
    "21_0_0_20170116174525101.jpg": "train",
    "22_0_0_20170116174525102.jpg": "val",
    "23_0_0_20170116174525103.jpg": "test",
    "24_0_0_20170216174525104.jpg": "test",  # named without its folder
}


def write_list(rows: list[tuple[str, str]], name: str = "published.csv") -> None:
    pd.DataFrame(rows, columns=["path", "split"]).assign(note="x").to_csv(name, index=False)
    edit_params({"split.source": name})


@pytest.fixture
def ingested(workspace: Path) -> Path:
    run_ingest(write_folder(FILES, workspace / "faces"))
    return workspace


def test_a_published_split_is_used_as_it_is_and_what_leaks_is_reported(ingested, capsys):
    write_list([*LISTED.items(), ("99_0_0_20170116174525199.jpg", "train")])
    split.main()
    used: dict[str, str] = {}
    for name, part in tables.read_splits().items():
        used |= dict.fromkeys((path.rpartition("/")[2] for path in part["path"]), name)
    assert used == LISTED
    report = json.loads((ingested / "reports/split.json").read_text())
    assert report["source"] == "published.csv"
    assert report["dealt"] == "published"
    assert report["kept_whole"] == "exact"
    assert report["leaks"]["exact"] == {"clusters": 0, "faces": 0, "test_faces": 0}
    assert report["leaks"]["near"] == {"clusters": 1, "faces": 2, "test_faces": 1}
    # The burst of the four that were taken within a second of each other, and the near-duplicate.
    assert report["leaks"]["burst"]["faces"] > 2
    assert {name: part["faces"] for name, part in report["splits"].items()} == {
        "train": 2,
        "val": 1,
        "test": 2,
    }
    said = capsys.readouterr().out
    assert "1 of 6 rows name files that are not used" in said
    assert "near-duplicates: 1 clusters of 2 faces, 1 of these in test" in said


def test_a_split_that_is_drawn_says_so_and_leaks_only_where_it_may(ingested):
    edit_params({"split.clusters": "none", "split.train": 0.4, "split.val": 0.3, "split.test": 0.3})
    split.main()
    report = json.loads((ingested / "reports/split.json").read_text())
    assert report["source"] == "data/faces.parquet"
    assert report["dealt"] == "stratified"
    assert report["kept_whole"] == "none"
    assert report["leaks"]["burst"]["clusters"] == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (list(LISTED.items())[2:], "2 faces are not listed: add them, or leave them out of the"),
        (list(LISTED.items())[:1] * 2 + list(LISTED.items())[1:], "1 faces are listed more than"),
        (
            [*LISTED.items(), ("sub/24_0_0_20170216174525104.jpg", "val")],
            "listed more than once, first 'sub/24_0_0",
        ),
        (
            [(name, "valid") for name in LISTED],
            "5 faces are in a split that is none of train, val, test, first 'valid'",
        ),
        ([(name, "train") for name in LISTED], "has no face for val and test"),
    ],
)
def test_a_split_that_does_not_fit_the_faces_is_refused_and_nothing_is_written(
    ingested, rows, message
):
    write_list(rows)
    with pytest.raises(UserError) as error:
        split.main()
    assert message in str(error.value)
    assert "published.csv" in str(error.value)
    assert not (ingested / "data/split.csv").exists()


def test_at_most_three_faces_are_named(tmp_path):
    write = tmp_path / "empty.csv"
    write.write_text("path,split\n")
    faces = pd.DataFrame({"path": [f"{number}.jpg" for number in range(7)]})
    with pytest.raises(UserError, match=r"7 faces .* first '0.jpg', '1.jpg', '2.jpg'$"):
        published_split.look_up(write, faces)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file"),
        (b"", "is no CSV"),
        (b"\xff\xfe\x00", "is no CSV"),
        (b"file,split\na.jpg,train\n", "has no column path; it has file, split"),
    ],
)
def test_what_is_no_table_of_a_split_is_a_clear_error(tmp_path, content, message):
    path = tmp_path / "published.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        published_split.look_up(path, pd.DataFrame({"path": ["a.jpg"]}))


def test_dvc_watches_the_file_and_the_default_is_what_the_split_is_drawn_from():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert "${split.source}" in stages["split"]["deps"]
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert params["split"]["source"] == str(tables.FACES)
    assert params["split"]["source"] in stages["ingest"]["outs"]
