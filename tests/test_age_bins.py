"""Ages into bins: boundaries, names, and merging until every bin holds enough."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceage.evaluation import age_bins


def test_an_estimate_is_rounded_down_to_whole_years():
    ages = np.array([17.0, 17.99, 18.0, 40.9, 41.0, 60.0, 61.0])
    assert list(age_bins.bin_index(ages, [18, 41, 61])) == [0, 0, 1, 1, 2, 2, 3]


def test_decades_have_names_that_sort():
    names = age_bins.decade_names(np.array([0, 9.9, 10, 116]))
    assert list(names) == ["000-009", "000-009", "010-019", "110-119"]


@pytest.mark.parametrize(
    ("ages", "boundaries"),
    [
        ([], []),
        ([5], []),
        ([5, 5, 15, 15], [10]),
        ([5, 15, 25, 35], [20]),
        ([5, 5, 15, 15, 95], [10]),  # what is left over joins the last bin
        ([5, 5, 55, 55], [50]),
    ],
)
def test_decades_are_merged_until_each_bin_holds_two(ages, boundaries):
    assert age_bins.merged_decades(np.array(ages, dtype=float), 2) == boundaries


@given(st.lists(st.floats(0, 120), min_size=1, max_size=60), st.integers(1, 10))
def test_no_merged_bin_is_too_small(ages, smallest):
    boundaries = age_bins.merged_decades(np.array(ages), smallest)
    counts = np.bincount(age_bins.bin_index(np.array(ages), boundaries))
    assert len(counts) == len(boundaries) + 1
    assert counts.min() >= min(smallest, len(ages))
