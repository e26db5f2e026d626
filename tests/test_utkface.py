"""File names: whatever carries an age is accepted, nothing is invented, nothing crashes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceage.core.utkface import GENDERS, RACES, Labels, file_name, parse

ages = st.integers(0, 999)
genders = st.sampled_from(range(len(GENDERS)))
races = st.sampled_from(range(len(RACES)))
# The archive has stamps of 16 to 18 digits; a stamp is never a code of one digit.
stamps = st.text("0123456789", min_size=8, max_size=20)
suffixes = st.sampled_from([".jpg", ".jpg.chip.jpg", " .jpg", ".JPG", ".png", "jpg", ""])


@given(ages, genders, races, stamps, suffixes)
def test_complete_names_come_back_as_they_went_in(age, gender, race, stamp, suffix):
    labels = Labels(age, gender, race)
    assert parse(file_name(labels, stamp, suffix)) == labels


@given(ages, genders, stamps, suffixes)
def test_a_missing_race_stays_missing(age, gender, stamp, suffix):
    labels = Labels(age, gender, None)
    assert parse(file_name(labels, stamp, suffix)) == labels


@given(ages, races, stamps, suffixes)
def test_a_missing_gender_stays_missing(age, race, stamp, suffix):
    labels = Labels(age, None, race)
    assert parse(file_name(labels, stamp, suffix)) == labels


@given(ages, stamps)
def test_missing_codes_stay_missing(age, stamp):
    assert parse(f"{age}_{stamp}.jpg") == Labels(age, None, None)


@given(ages, st.integers(2, 9), st.integers(5, 9), stamps)
def test_codes_outside_their_table_count_as_missing(age, gender, race, stamp):
    assert parse(f"{age}_{gender}_{race}_{stamp}.jpg") == Labels(age, None, None)


@given(st.text())
def test_no_name_crashes_the_parser_and_no_age_is_invented(name):
    labels = parse(name)
    if labels is not None:
        assert name[: len(name.split("_")[0])].isdecimal()
        assert labels.age == int(name.split("_")[0])


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        # the oddities of the published archive
        ("39_1_20170116174525125.jpg.chip.jpg", Labels(39, 1, None)),
        ("61_1_20170109142408075.jpg.chip.jpg", Labels(61, 1, None)),
        ("53__0_20170116184028385.jpg", Labels(53, None, 0)),
        ("24_0_1_20170116220224657 .jpg.chip.jpg", Labels(24, 0, 1)),
        ("44_1_4_20170116235150272.pg.chip.jpg", Labels(44, 1, 4)),
        ("55_0_0_20170116232725357jpg.chip.jpg", Labels(55, 0, 0)),
        # numbers that are no ages
        ("12.jpg", None),
        ("7_cake.jpg", None),
        ("1234_0_1_20170101000000000.jpg", None),
        ("IMG_20170101.jpg", None),
        ("._26_1_0_20170101000000000.jpg", None),
        ("", None),
    ],
)
def test_names_as_found_in_the_wild(name, labels):
    assert parse(name) == labels
