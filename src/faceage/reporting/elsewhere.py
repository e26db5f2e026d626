"""What a source elsewhere says beside the test set at home, in rows for tables and for a figure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from faceage.reporting.labels import PERCENT, SIGNED, YEARS, age_range, interval, number
from faceage.reporting.metric_rows import METRICS

OPEN_END = 110  # years; a band that lasts longer has no end
# Metric, name, how it is written, decimals.
OF_BANDS = (
    ("distance", "Mean distance to the band, years", YEARS, 2),
    ("in_band", "In the right band", PERCENT, 1),
    ("within_one_band", "In it or in one next to it", PERCENT, 1),
    ("bias", "Mean signed distance to the band (bias), years", SIGNED, 2),
)


@dataclass(frozen=True)
class Headline:
    """A line of the comparison of sources, all of it written out.

    error: MAE, or mean distance to the band; standardised: the same with the ages of home.
    """

    name: str
    n: str
    error: str
    home: str
    difference: str
    standardised: str
    bias: str
    coverage: str


def headlines(sources: Mapping[str, Mapping[str, Any]], test: Mapping[str, Any]) -> list[Headline]:
    """One line a source, two where some of its labels are ages and others bands.

    Parameters
    ----------
    sources : contents of reports/external/, by name
    test : metrics of the test set at home
    """
    return [line for name, content in sources.items() for line in _headlines(name, content, test)]


def _headlines(
    name: str, content: Mapping[str, Any], test: Mapping[str, Any]
) -> Iterator[Headline]:
    held = number(content.get("intervals", {}).get("coverage"), PERCENT, 0)
    if ages := content.get("ages"):
        home = content.get("against_home", {})
        yield Headline(
            name=name,
            n=f"{ages['n']:,.0f}",
            error=_with_interval(ages, "mae"),
            home=number(home.get("mae_home", test["mae"])),
            difference=_with_interval(home, "difference", SIGNED),
            standardised=number(home.get("mae_standardised")),
            bias=number(ages["bias"], SIGNED),
            coverage=held,
        )
    if bands := content.get("bands"):
        home = content.get("bands_against_home", {})
        yield Headline(
            name=f"{name}, bands",
            n=f"{bands['n']:,.0f}",
            error=_with_interval(bands, "distance"),
            home=number(home.get("distance")),
            difference=_with_interval(home, "distance_difference", SIGNED),
            standardised=number(home.get("distance_standardised")),
            bias=number(bands["bias"], SIGNED),
            coverage=held,
        )


def metrics(content: Mapping[str, Any], test: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Name, value there, its interval and value at home of each metric."""
    rows: list[tuple[str, ...]] = []
    if ages := content.get("ages"):
        rows += _metrics(METRICS, ages, test)
    if bands := content.get("bands"):
        rows += _metrics(OF_BANDS, bands, content.get("bands_against_home", {}))
    return rows


def _metrics(
    known: tuple[tuple[str, str, str, int], ...], there: Mapping[str, Any], home: Mapping[str, Any]
) -> Iterator[tuple[str, ...]]:
    for key, name, kind, decimals in known:
        values = (number(one.get(key), kind, decimals) for one in (there, home))
        yield (name, *values, interval(there, key, kind, decimals))


def by_age(content: Mapping[str, Any], decades: pd.DataFrame) -> list[pd.DataFrame]:
    """Errors of each decade, or of each band, there and at home: a table for each that there is.

    Its columns are age, a name; n, error and bias, in years, of the faces there; n_home,
    error_home and bias_home.

    Parameters
    ----------
    decades : table `decades` of the test set at home
    """
    tables = []
    if ages := content.get("ages"):
        there = pd.DataFrame(ages["decades"])
        home = decades[decades["decade"].isin(there["decade"])]
        named = [_named(table, table["decade"].map(age_range), "mae") for table in (there, home)]
        tables.append(_beside(*named))
    if bands := content.get("bands"):
        there = pd.DataFrame(bands["by_band"])
        columns = there.columns
        home = pd.DataFrame(content.get("bands_against_home", {}).get("by_band", []), None, columns)
        named = [_named(table, _band_names(table), "distance") for table in (there, home)]
        tables.append(_beside(*named))
    return tables


def by_people(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Number, error and bias, in years, of each subgroup: of faces with ages, then of bands."""
    tables = content["tables"]
    return [
        row | {"error": row[error]}
        for name, error in {"subgroups": "mae", "subgroups_of_bands": "distance"}.items()
        for row in tables.get(name, [])
    ]


def _named(table: pd.DataFrame, names: pd.Series, error: str) -> pd.DataFrame:
    columns = table[["n", error, "bias"]].rename(columns={error: "error"}).astype(float)
    return columns.assign(age=names)


def _beside(there: pd.DataFrame, home: pd.DataFrame) -> pd.DataFrame:
    return there.merge(home, on="age", how="left", suffixes=("", "_home"))


def _band_names(bands: pd.DataFrame) -> pd.Series:
    names = [
        f"{low:.0f}+" if high >= OPEN_END else age_range(f"{low:.0f}-{high:.0f}")
        for low, high in bands[["age_low", "age_high"]].astype(float).itertuples(index=False)
    ]
    return pd.Series(names, index=bands.index, dtype=object)


def _with_interval(found: Mapping[str, Any], key: str, kind: str = YEARS) -> str:
    """`6.5 (6.2 to 6.8)`, or a dash where it is not known."""
    range_ = interval(found, key, kind)
    return number(found.get(key), kind) + (f" ({range_})" if range_ else "")
