"""Rows of predictions as they come: a table for people, CSV, JSON lines or Parquet."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from faceage.core.outputs import atomic_write

ROW_GROUP = 4096
TYPES = {
    **dict.fromkeys(("path", "age_group", "error"), pa.string()),
    **dict.fromkeys(("face", "x", "y", "w", "h"), pa.int32()),
    **dict.fromkeys(("age", "low", "high"), pa.float64()),
}


class RowWriter(Protocol):
    """Takes rows one by one, as mappings with the same keys."""

    def write(self, row: dict[str, Any]) -> None:
        """Write one row."""


class Csv:
    """Comma-separated values on standard output; None is empty."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        self.writer.writeheader()

    def write(self, row: dict[str, Any]) -> None:
        """Write one row."""
        self.writer.writerow(row)


class JsonLines:
    """One JSON object a line on standard output."""

    def write(self, row: dict[str, Any]) -> None:
        """Write one row."""
        print(json.dumps(row))


class Table:
    """Lines for people: the file, which face, the age with its interval, the age group."""

    def __init__(self) -> None:
        print(f"{'age':>5}  {'interval':^9}  {'age group':<9}  {'face':>4}  file")

    def write(self, row: dict[str, Any]) -> None:
        """Write one row; files without a prediction have their line on standard error."""
        if row["error"]:
            return
        age = "" if row["age"] is None else f"{row['age']:.1f}"
        interval = "" if row["low"] is None else f"{row['low']:.0f} to {row['high']:.0f}"
        print(f"{age:>5}  {interval:^9}  {row['age_group']:<9}  {row['face']:>4}  {row['path']}")


class Parquet:
    """A Parquet file, row group by row group."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self.writer, self.rows = writer, list[dict[str, Any]]()

    def write(self, row: dict[str, Any]) -> None:
        """Write one row."""
        self.rows.append(row)
        if len(self.rows) == ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what has been gathered."""
        self.writer.write_table(pa.Table.from_pylist(self.rows, self.writer.schema))
        self.rows = []


@contextmanager
def parquet(path: Path, columns: Sequence[str]) -> Iterator[Parquet]:
    """A Parquet file that appears whole, at the end, or not at all."""
    schema = pa.schema([(name, TYPES[name]) for name in columns])
    with atomic_write(path) as part, pq.ParquetWriter(part, schema) as writer:
        rows = Parquet(writer)
        yield rows
        rows.flush()
