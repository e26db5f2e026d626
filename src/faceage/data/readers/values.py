"""What a cell of a table says: ages, bands of ages, genders, ethnicities."""

import re
from typing import TypedDict

# Last year of a band that has no end, as in `more than 70`.
OPEN_END = 120
NUMBER = re.compile(r"\d{1,3}(?:[.,]\d*)?")
BAND = re.compile(r"[(\[]?\s*(\d{1,3})\s*(?:-|\u2013|,|to)\s*(\d{1,3})\s*[)\]]?")
OPEN_BAND = re.compile(r"more than (\d{1,3})|(\d{1,3})\s*(?:\+|and (?:over|older|above))")

GENDERS = {"male": 0, "m": 0, "man": 0, "female": 1, "f": 1, "woman": 1}
# FairFace's seven groups among UTKFace's five, whose Others are "like Hispanic, Latino, Middle
# Eastern".
RACES = {
    "white": 0,
    "black": 1,
    "asian": 2,
    "east asian": 2,
    "southeast asian": 2,
    "indian": 3,
    "latino_hispanic": 4,
    "middle eastern": 4,
    "others": 4,
}


class Age(TypedDict, total=False):
    """The fields of `Labels` that say how old someone is."""

    age: int
    age_low: int
    age_high: int


def exact_age(text: str) -> Age | None:
    """A number of years, fractions rounded to the nearest whole year, half up; else None."""
    if not NUMBER.fullmatch(text):
        return None
    return {"age": int(float(text.replace(",", ".")) + 0.5)}


def age_band(text: str) -> Age | None:
    """The first and the last year of `3-9`, `(25, 32)`, `more than 70` or `60+`; else None.

    A band of one year is an exact age.
    """
    if closed := BAND.fullmatch(text):
        low, high = int(closed[1]), int(closed[2])
        return {"age": low} if low == high else {"age_low": low, "age_high": high}
    if open_end := OPEN_BAND.fullmatch(text.lower()):
        return {"age_low": int(open_end[1] or open_end[2]), "age_high": OPEN_END}
    return None


def gender(text: str) -> int | None:
    """Code of a gender that is spelled out or abbreviated; a number may mean either."""
    return GENDERS.get(text.strip().lower())


def race(text: str) -> int | None:
    """Code of an ethnicity by its name in UTKFace or FairFace."""
    return RACES.get(text.strip().lower())
