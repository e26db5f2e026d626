"""Splits: the wanted ratios, no cluster on two sides, no dependence on the order of the files."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceage.data import splitting

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
        for split, share in SHARES.items():
            # Rounding, and what the bins before left over: less than two faces.
            assert abs((stratum["split"] == split).sum() - share * len(stratum)) < 2
    for split, share in SHARES.items():
        assert abs((faces["split"] == split).sum() - share * len(faces)) < 2


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
    for split, share in SHARES.items():
        assert abs((faces["split"] == split).mean() - share) <= 0.01


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
    for split, share in SHARES.items():
        assert abs((faces["split"] == split).sum() - share * len(faces)) <= 2 * largest
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
    summary = splitting.summary(faces, SHARES)
    assert summary["splits"]["train"]["faces"] == 130
    assert summary["splits"]["val"]["age"]["min"] == 1
    assert summary["bins"][1] == {"bin": "050-054", "train": 60, "val": 20, "test": 20}
    assert summary["largest_deviation"] == {"bin": "050-054", "split": "train", "points": -10.0}
