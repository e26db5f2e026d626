"""What holds of the tables between stages: checked where they are written and where read."""

import pandas as pd
from pandera import pandas as pa
from pyarrow import Schema

from faceage.core.reasons import Reason
from faceage.core.script import UserError
from faceage.core.utkface import GENDERS, RACES

ROWS = 3  # named in a message
MEND = "`dvc repro` makes it anew"
SPLITS = ("train", "val", "test")


class ContractBroken(UserError):
    """A table is not what the stages agreed on; the message names column, rule and first rows."""


def _between(low: int, high: int, unit: str = "") -> pa.Check:
    return pa.Check.in_range(low, high, error=f"from {low} to {high}{unit}")


def _not_negative() -> pa.Check:
    return pa.Check.ge(0, error="0 or more")


def _hash() -> pa.Check:
    return pa.Check.str_matches(r"^[0-9a-f]{64}$", error="a SHA-256 in hexadecimal")


def _one_of(values: tuple[str | bool, ...]) -> pa.Check:
    return pa.Check.isin(values, error=f"one of {', '.join(map(str, values))}")


def _nested(inner: str, outer: str) -> pa.Check:
    """Rows that share `inner` share `outer`."""
    return pa.Check(
        lambda table: table.groupby(inner)[outer].transform("nunique") == 1,
        name=f"{outer}: the same for all of a {inner}",
    )


# Of a face with a band of ages `age` is the middle: what strata, weights of rare ages and baselines
# take it for. Losses and metrics go by the band from `age_low` to `age_high`.
FACES = pa.DataFrameSchema(
    {
        "face": pa.Column(checks=_hash(), unique=True),
        "age": pa.Column(checks=_between(0, 150, " years"), nullable=True),
        "age_low": pa.Column(checks=_between(0, 150, " years"), nullable=True),
        "age_high": pa.Column(checks=_between(0, 150, " years"), nullable=True),
        "age_class": pa.Column(nullable=True),
        "gender": pa.Column(checks=_between(0, len(GENDERS) - 1), nullable=True),
        "race": pa.Column(checks=_between(0, len(RACES) - 1), nullable=True),
        "exact_cluster": pa.Column(checks=_hash()),
        "near_cluster": pa.Column(checks=_hash()),
        "burst_cluster": pa.Column(checks=_hash()),
        "width": pa.Column(checks=_between(1, 50_000, " pixels")),
        "height": pa.Column(checks=_between(1, 50_000, " pixels")),
        "synthetic": pa.Column(checks=_one_of((True, False))),
        "weight": pa.Column(checks=pa.Check.gt(0, error="above 0")),
        "fixed_split": pa.Column(checks=_one_of(SPLITS), nullable=True),
        "path": pa.Column(),
    },
    checks=[
        pa.Check(
            lambda table: table["age"].notna() | table["age_class"].notna(),
            name="age: given, or a class",
        ),
        pa.Check(
            lambda table: (
                table["age"].isna()
                | ((table["age_low"] <= table["age"]) & (table["age"] <= table["age_high"]))
            ),
            name="age: from age_low to age_high",
        ),
        _nested("exact_cluster", "near_cluster"),
        _nested("near_cluster", "burst_cluster"),
    ],
    strict=True,
    name="faces",
)

REJECTED = pa.DataFrameSchema(
    {
        "path": pa.Column(),
        "reason": pa.Column(checks=_one_of(tuple(str(reason) for reason in Reason))),
        "detail": pa.Column(),
    },
    strict=True,
    name="rejected",
)

CONFLICTS = pa.DataFrameSchema(
    {
        "kind": pa.Column(checks=_one_of(("exact", "near"))),
        "cluster": pa.Column(checks=_hash()),
        "path": pa.Column(),
        "label": pa.Column(),
        "used": pa.Column(),
    },
    strict=True,
    name="conflicts",
)

SPLIT = pa.DataFrameSchema(
    {
        "face": pa.Column(checks=_hash(), unique=True),
        "cluster": pa.Column(checks=_hash()),
        "split": pa.Column(checks=_one_of(SPLITS)),
    },
    checks=_nested("cluster", "split"),
    strict=True,
    name="split",
)


# Of what else is in it, which depends on what the model predicts, nothing is said. Runs to compare
# with may be of a time when it had neither path nor cluster.
PREDICTIONS = pa.DataFrameSchema(
    {
        "face": pa.Column(checks=_hash(), unique=True),
        "path": pa.Column(required=False),
        "age": pa.Column(checks=_between(0, 150, " years"), nullable=True),
        "cluster": pa.Column(checks=_hash(), required=False),
        "predicted": pa.Column(checks=_not_negative(), required=False),
        "low": pa.Column(checks=_not_negative(), nullable=True, required=False),
        "high": pa.Column(checks=_not_negative(), nullable=True, required=False),
    },
    name="predictions",
)

LABEL_ISSUES = pa.DataFrameSchema(
    {
        "face": pa.Column(checks=_hash(), unique=True),
        "path": pa.Column(),
        "age": pa.Column(checks=_between(0, 150, " years"), nullable=True),
        "outlier_score": pa.Column(checks=_not_negative()),
        "predicted": pa.Column(checks=_not_negative(), nullable=True),
        "usual_error": pa.Column(checks=_not_negative(), nullable=True),
        "issue_score": pa.Column(checks=_not_negative(), nullable=True),
    },
    strict=True,
    name="label_issues",
)


def check(table: pd.DataFrame, contract: pa.DataFrameSchema, where: object) -> pd.DataFrame:
    """Return the table if it holds what its contract says.

    Parameters
    ----------
    where : the file that it is written to or read from

    Raises
    ------
    ContractBroken
        Naming the column, the rule, and the first rows and values that break it.
    """
    try:
        return contract.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise ContractBroken(f"{where}: {_in_words(table, error.failure_cases)}") from None


def check_types(found: Schema, wanted: Schema, where: object) -> None:
    """Raise `ContractBroken` unless a Parquet file has these columns of these types."""
    for column in wanted:
        if column.name not in found.names:
            raise ContractBroken(f"{where}: column {column.name} is missing; {MEND}")
        there = found.field(column.name).type
        if there != column.type:
            raise ContractBroken(
                f"{where}: column {column.name} breaks the rule `of type {column.type}`: it is"
                f" {there} in all rows; {MEND}"
            )


def check_same(name: str, left: pd.Series, right: pd.Series, where: str) -> None:
    """Raise `ContractBroken` unless both columns hold the same values, in any order."""
    odd = sorted(set(left) ^ set(right))
    if odd:
        raise ContractBroken(
            f"{where}: column {name} breaks the rule `the same values in both`: {len(odd)} are in"
            f" one only, first {', '.join(odd[:ROWS])}; {MEND}"
        )


def check_account(found: int, kept: int, rejected: int, where: object) -> None:
    """Raise `ContractBroken` if a file that was found is neither kept nor rejected, or both."""
    if kept + rejected != found:
        raise ContractBroken(
            f"{where}: kept + rejected = found does not hold: {kept} + {rejected} is not {found};"
            f" {MEND}"
        )


def _in_words(table: pd.DataFrame, cases: pd.DataFrame) -> str:
    """The first rule that is broken, of single columns before others: pandera's failure cases."""
    first = cases.sort_values("schema_context", kind="stable").iloc[0]
    column, rule = first["column"], first["check"]
    missing = {"column_in_dataframe": "is missing", "column_in_schema": "is not known"}
    if rule in missing:
        return f"column {first['failure_case']} {missing[rule]}; {MEND}"
    broken = cases[(cases["column"] == column) & (cases["check"] == rule)]
    if first["schema_context"] == "DataFrameSchema":
        column, rule = rule.split(": ", 1)
    rule = {"field_uniqueness": "unique", "not_nullable": "given"}.get(rule, rule)
    rows = [int(row) for row in broken["index"].dropna()] or list(range(len(table)))
    given = table[column].tolist()
    values = [f"row {row}: {given[row]!r}" for row in rows[:ROWS]]
    return (
        f"column {column} breaks the rule `{rule}` in {len(rows)} of {len(table)} rows"
        f" ({', '.join(values)}); {MEND}"
    )
