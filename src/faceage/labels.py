"""How ages, groups and numbers are written for people."""

import re
from collections.abc import Iterable

MINUS = "\N{MINUS SIGN}"
EN_DASH = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"


def age_range(name: str) -> str:
    """Turn the sortable name of an age range, `000-004`, into a readable one, `0 to 4` dashed."""
    return EN_DASH.join(re.sub(r"^0+(?=\d)", "", edge) for edge in name.split("-"))


def in_order(names: Iterable[str]) -> list[str]:
    """Sort names of age ranges from young to old: `<18`, `18-40`, `>60`; `020-029`."""
    return sorted(names, key=lambda name: (name[0] == ">", name[0] != "<", _first_number(name)))


def signed(years: float, decimals: int = 1) -> str:
    """Write a difference with its sign, the minus as long as the plus."""
    rounded = round(years, decimals) or 0.0  # there is no -0.0
    return f"{rounded:+,.{decimals}f}".replace("-", MINUS)


def plural(count: int, things: str) -> str:
    """Write a count and what is counted: `1 test face`, `361 test faces`."""
    return f"{count:,} {things if count != 1 else things.removesuffix('s')}"


def _first_number(name: str) -> int:
    match = re.search(r"\d+", name)
    return int(match[0]) if match else 0
