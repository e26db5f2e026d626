"""How ages, names and numbers are written for people."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

MINUS = "\N{MINUS SIGN}"
EN_DASH = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"

NOT_GIVEN = "not given"

# What the groupings of people and the kinds of interval are called.
GROUPINGS = {"gender": "Gender", "race": "Ethnicity", "gender_race": "Gender and ethnicity"}
# By split.clusters: what a bootstrap draws, and what is true of the splits.
DRAWN = {
    "none": "faces one by one",
    "exact": "whole clusters of identical pictures",
    "near": "whole clusters of near-duplicates",
    "burst": "whole clusters of near-duplicates and bursts of the same person",
}
APART = {
    "none": "the same picture may lie in two splits",
    "exact": "identical pictures never lie in two splits, near-duplicates may",
    "near": "near-duplicates never lie in two splits",
    "burst": "near-duplicates and bursts of the same person never lie in two splits",
}
# How the faces came into the splits.
DEALT = {
    "stratified": "drawn with ages or classes alike in all splits",
    "random": "drawn at random",
    "published": "put there by a published split",
}
METHODS = {"plain": "one width for all", "by_age": "a width by age"}

# How a value is written.
YEARS, SIGNED, PLAIN, PERCENT = "years", "signed", "plain", "percent"


def age_range(name: str) -> str:
    """Turn the sortable name of an age range, `000-004`, into a readable one, `0 to 4` dashed."""
    if not re.fullmatch(r"\d+-\d+", name):
        return name
    return EN_DASH.join(str(int(edge)) for edge in name.split("-"))


def class_names(names: Sequence[str], boundaries: Sequence[int]) -> list[str]:
    """Write the names of age groups, with their ages on a second line where a name has none.

    Parameters
    ----------
    boundaries : first age of each group but the first
    """
    firsts = [0, *boundaries]
    lasts = [f"{EN_DASH}{first - 1}" for first in boundaries] + [" and over"]
    return [
        age_range(name) if re.search(r"\d", name) else f"{name}\n{first}{last}"
        for name, first, last in zip(names, firsts, lasts, strict=True)
    ]


def classes(grouping: str) -> str:
    """What the classes of a grouping of ages are called, in the singular."""
    return grouping.replace("_", " ")


def people(grouping: str, subgroup: str) -> str:
    """Write the name of a subgroup of people: for a label that is missing, say which."""
    labels = {"gender": ("gender",), "race": ("ethnicity",)}.get(grouping, ("gender", "ethnicity"))
    return ", ".join(
        f"{label} {name}" if name == NOT_GIVEN else name
        for label, name in zip(labels, subgroup.split(", "), strict=True)
    )


def signed(years: float, decimals: int = 1) -> str:
    """Write a difference with its sign, the minus as long as the plus."""
    rounded = round(years, decimals) or 0.0  # there is no -0.0
    return f"{rounded:+,.{decimals}f}".replace("-", MINUS)


def number(value: float | None, kind: str = YEARS, decimals: int = 1) -> str:
    """Write a number; a dash where it is undefined, as R² of a single face is."""
    if value is None or math.isnan(value):
        return EN_DASH
    if kind == PERCENT:
        return f"{value:.{decimals}%}"
    if kind == SIGNED:
        return signed(value, decimals)
    return signed(value, decimals).removeprefix("+")


def interval(metrics: Mapping[str, Any], key: str, kind: str = YEARS, decimals: int = 1) -> str:
    """Write the interval of a metric, or nothing where it has none."""
    low, high = metrics.get(f"{key}_low"), metrics.get(f"{key}_high")
    if low is None or high is None:
        return ""
    return f"{number(low, kind, decimals)} to {number(high, kind, decimals)}"


def rate(row: Mapping[str, Any], decimals: int = 1) -> str:
    """Write the share of a row of rates; of nobody there is none."""
    return number(row["rate"], PERCENT, decimals) if row["n"] else "no faces"


def rate_interval(row: Mapping[str, Any], decimals: int = 1) -> str:
    """Write its interval, or nothing where nobody is counted."""
    if not row["n"]:
        return ""
    low, high = (number(row[end], PERCENT, decimals) for end in ("low", "high"))
    return f"{low} to {high}"


def ratio(row: Mapping[str, Any]) -> str:
    """Write the ratio of the worst rate to the best, and its interval, which may have no end."""
    if math.isnan(row["ratio"]):
        return "the best has none"
    low, high = row["low"], row["high"]
    to = "and more" if math.isnan(high) else f"to {number(high)}"
    return f"{number(row['ratio'])} ({number(low)} {to})"


def plural(count: int, things: str) -> str:
    """Write a count and what is counted: `1 test face`, `361 test faces`."""
    return f"{count:,} {things if count != 1 else things.removesuffix('s')}"


def listed(names: Sequence[str], word: str = "and") -> str:
    """Write names as a sentence does: `a`, `a and b`, `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} {word} {last}" if first else last
