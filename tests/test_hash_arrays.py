"""Hashes in arrays: they are what they were, sort as they did, and are found again."""

import hashlib

import numpy as np
import pytest

from faceage.core import hash_arrays

DIGITS = [hashlib.sha256(f"{n}".encode()).hexdigest() for n in range(500)]
# NumPy takes zeros at the end of a text for nothing.
ODD = ["0" * 64, "ab" * 31 + "00", "ab" * 30 + "0000", "00" + "ab" * 31]


def test_what_is_packed_comes_back_and_sorts_as_before():
    digits = DIGITS + ODD
    packed = hash_arrays.packed(digits)
    assert hash_arrays.hexadecimal(packed) == digits
    assert hash_arrays.hexadecimal(np.sort(packed)) == sorted(digits)
    assert hash_arrays.hexadecimal(packed[:0]) == []


def test_each_is_found_in_the_first_row_that_has_it():
    digits = DIGITS[:300] + ODD + DIGITS[:10]
    row_of = hash_arrays.Rows(hash_arrays.packed(digits))
    wanted = DIGITS[290:310] + ODD + DIGITS[:10]
    found = row_of(hash_arrays.packed(wanted))
    assert found.tolist() == [digits.index(one) if one in digits else -1 for one in wanted]
    assert DIGITS[299] in row_of
    assert DIGITS[300] not in row_of


def test_in_no_rows_nothing_is_found():
    row_of = hash_arrays.Rows(hash_arrays.packed([]))
    assert row_of(hash_arrays.packed(DIGITS[:2])).tolist() == [-1, -1]
    assert DIGITS[0] not in row_of
    assert row_of(hash_arrays.packed([])).tolist() == []


@pytest.mark.parametrize("known", [0, 3])
def test_of_groups_those_stay_of_which_all_are_there(known):
    pairs = np.stack([hash_arrays.packed(DIGITS[:4]), hash_arrays.packed(DIGITS[1:5])], axis=1)
    kept = hash_arrays.Rows(hash_arrays.packed(DIGITS[:known])).only(pairs)
    assert kept.shape == (max(0, known - 1), 2)
    assert np.array_equal(kept, pairs[: len(kept)])
