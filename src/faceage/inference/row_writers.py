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
    **dict.fromkeys(("face", "track", "x", "y", "w", "h"), pa.int32()),
    **dict.fromkeys(("age", "low", "high", "time", "smoothed_age", "spread"), pa.float64()),
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
    """Lines for people: the age with its interval, the age group, which face, the file.

    Parameters
    ----------
    films : whether there are columns for the time, the track and the smoothed age
    """

    def __init__(self, films: bool = False) -> None:
        self.films = films
        of_film = f"{'smoothed':^10}  {'time, s':>7}  {'track':>5}  " if films else ""
        print(f"{'age':>5}  {'interval':^9}  {'age group':<9}  {'face':>4}  {of_film}file")

    def write(self, row: dict[str, Any]) -> None:
        """Write one row; files without a prediction have their line on standard error."""
        if row["error"]:
            return
        age = "" if row["age"] is None else f"{row['age']:.1f}"
        interval = "" if row["low"] is None else f"{row['low']:.0f} to {row['high']:.0f}"
        of_film = self._of_film(row) if self.films else ""
        print(
            f"{age:>5}  {interval:^9}  {row['age_group']:<9}  {row['face']:>4}  "
            f"{of_film}{row['path']}"
        )

    def _of_film(self, row: dict[str, Any]) -> str:
        smoothed, spread = row.get("smoothed_age"), row.get("spread")
        shown = "" if smoothed is None else f"{smoothed:.1f}"
        shown += "" if spread is None else f" ± {spread:.1f}"
        time, track = ("", "") if "time" not in row else (f"{row['time']:.2f}", row["track"])
        return f"{shown:<10}  {time:>7}  {track:>5}  "


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
