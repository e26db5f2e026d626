"""What a run's age checks came to, as the Markdown tables of benchmarks/utkface.md.

    python benchmarks/age_checks.py              print the tables of reports/
    python benchmarks/age_checks.py --write      put them into their marked place in utkface.md

Reads  reports/metrics.json, reports/tables/ of the latest run in the working directory
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import pandas as pd

from faceage.core import tables
from faceage.core.script import UserError, run
from faceage.reporting.labels import (
    GROUPINGS,
    PERCENT,
    age_range,
    interval,
    number,
    rate,
    rate_interval,
    ratio,
)

PAGE = Path(__file__).with_name("utkface.md")
START, END = "<!-- age checks -->\n", "<!-- end of age checks -->"
Tables = Mapping[str, pd.DataFrame]
Lines = Iterable[Sequence[str]]


def main() -> None:
    """Print the tables, or write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    write = parser.parse_args().write
    try:
        metrics = json.loads(Path("reports/metrics.json").read_text())
        measured = in_markdown(metrics, tables.read_evaluation())
    except FileNotFoundError as error:
        raise UserError(f"there is no {error.filename}: `dvc repro evaluate` makes it") from None
    if write:
        PAGE.write_text(replaced(PAGE.read_text(), measured))
    else:
        print(measured)


def in_markdown(metrics: Mapping[str, Any], measured: Tables) -> str:
    """The tables, with an empty line between.

    Parameters
    ----------
    metrics : content of reports/metrics.json
    measured : tables of reports/tables/ by name
    """
    if "age_checks" not in metrics:
        raise UserError("this run has classes and no ages: it has no age checks")
    checks = metrics["age_checks"]
    legal_age, challenge_age = checks["legal_age"], checks["challenge_age"]
    found = [
        _table(("", "value", "95% interval"), summary(metrics["test"], checks, measured)),
        _table(
            ("at least", "threshold", "all below pass", "5 years just below pass", "turned away"),
            thresholds(measured),
        ),
        _table(
            (f"under {legal_age}", "n", f"pass at {legal_age}", f"pass at {challenge_age}"),
            groups(measured, legal_age),
        ),
    ]
    prices = list(price(measured, legal_age))
    if prices:
        found.append(_table(("turned away, chosen for", *prices[0]), prices[1:]))
    return "\n\n".join(found)


def replaced(page: str, measured: str) -> str:
    """The page with the tables in their marked place."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    return f"{before}{START}{measured}\n{END}{after}"


def summary(test: Mapping[str, Any], checks: Mapping[str, Any], measured: Tables) -> Lines:
    """Errors, children of 13 to 16, failure to acquire, people seen twice, worst to best."""
    cells = checks["cells_with_faces"]
    nist = f"MAE as NIST has it, mean of {cells} cells of gender and age, 18 to 30, years"
    yield nist, number(checks["mae_18_30_by_gender"], decimals=2), ""
    yield "MAE, mean of the 13 ages 18 to 30, years", number(checks["mae_18_30"], decimals=2), ""
    for key, what in {"mae": "MAE", "sd": "standard deviation of the error"}.items():
        yield (
            f"{what}, all ages, years",
            number(test[key], decimals=2),
            interval(test, key, decimals=2),
        )
    children = measured["child_safety"]
    for row in children[children["ages"] == "13-16"].to_dict("records"):
        what = f"{row['n']:,} children of 13 to 16, estimated {age_range(row['estimated'])}"
        yield what, rate(row), rate_interval(row)
    acquired = checks["failure_to_acquire"]
    yield f"failure to acquire, of {acquired['n']:,}", rate(acquired, 2), rate_interval(acquired, 2)
    for seen, spread in checks["repeatability_sd"].items():
        what = f"repeatability standard deviation, {seen.replace('_', ' ')}, n = {spread['n']:,}"
        yield f"{what}, years", number(spread["sd"], decimals=2), interval(spread, "sd", decimals=2)
    twice = measured["both_sides"]
    if len(twice):
        twice = twice[twice["threshold"] == checks["challenge_age"]]
        twice = twice.drop_duplicates(["seen", "ages"])
    for row in twice.to_dict("records"):
        whom = "within 5 years of it" if row["ages"] == "near" else "all"
        what = f"on both sides of {row['threshold']}, {row['seen']}, {whom}, n = {row['n']:,}"
        yield what, rate(row), rate_interval(row)
    ratios = measured["false_positive_ratios"]
    if len(ratios) == 0:
        return
    for row in ratios[ratios["legal_age"] == checks["legal_age"]].to_dict("records"):
        if isinstance(row["worst"], str):
            pair = f"{row['worst']} to {row['best']}"
            what = f"pass at {row['threshold']}, {age_range(row['ages'])}"
            yield f"{what}, {GROUPINGS[row['grouping']].lower()}, {pair}", ratio(row), ""


def thresholds(measured: Tables) -> Lines:
    """Error rates at the legal age, the challenge age and the thresholds chosen for a low rate."""
    every, chosen = measured["age_checks"], measured["challenge_ages"]
    asked = measured["false_positives"].groupby("legal_age")["threshold"].unique()
    for legal_age, of_groups in asked.items():
        for threshold in of_groups:
            at = every[(every["legal_age"] == legal_age) & (every["threshold"] == threshold)]
            yield str(legal_age), str(threshold), *map(_cell, at.to_dict("records"))
        if chosen.empty:
            continue
        for target, rows in chosen[chosen["legal_age"] == legal_age].groupby("target"):
            what = f"{number(rows['threshold'].iloc[0])}, for under {target:.0%}"
            # All below the legal age, those just below, all of it; then come bands of adults.
            yield str(legal_age), what, *map(_cell, rows.head(3).to_dict("records"))


def groups(measured: Tables, legal_age: int) -> Lines:
    """False positive rates by single age, gender, ethnicity and both, of all below the age."""
    table = measured["false_positives"]
    whom = (table["ages"] == f"under {legal_age}") | (table["grouping"] == "age")
    part = table[whom & (table["legal_age"] == legal_age)]
    for (_, name), rows in part.groupby(["grouping", "subgroup"], sort=False):
        first, *_ = cells = rows.to_dict("records")
        few = "" if first["enough"] else " (few)"
        yield f"{name}{few}", f"{first['n']:,}", *map(_cell, cells)


def price(measured: Tables, legal_age: int) -> Iterator[Sequence[str]]:
    """Ages of adults, then for each target the share of them that is turned away."""
    chosen = measured["challenge_ages"]
    if chosen.empty:
        return
    refused = chosen[chosen["legal_age"].eq(legal_age) & chosen["error"].eq("false_negative_rate")]
    for place, (target, rows) in enumerate(refused.groupby("target")):
        if not place:
            ages = rows["ages"].map(age_range) + rows["n"].map(", n = {:,}".format)
            yield list(ages)
        threshold = number(rows["threshold"].iloc[0])
        name = f"under {number(float(str(target)), PERCENT, 0)}, threshold {threshold}"
        yield name, *map(_cell, rows.to_dict("records"))


def _cell(row: Mapping[str, Any]) -> str:
    return f"{rate(row)} ({rate_interval(row)})" if row["n"] else rate(row)


def _table(head: Sequence[str], lines: Lines) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))


if __name__ == "__main__":
    run(main)
