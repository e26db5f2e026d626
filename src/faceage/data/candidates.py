"""The files of sources that decode and are labelled: in columns, for there may be millions."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from faceage.core import hash_arrays
from faceage.data.image_records import ImageRecord
from faceage.data.origins import Origin
from faceage.data.readers.base import Labels
from faceage.data.records import BATCH, Records

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# What `Labels` has, and number of the source, of the file among its images, of the record.
SCHEMA = pa.schema(
    [
        ("origin", pa.int16()),
        ("file", pa.int32()),
        ("record", pa.int32()),
        ("age", pa.int16()),
        ("age_low", pa.int16()),
        ("age_high", pa.int16()),
        ("age_class", pa.string()),
        ("gender", pa.int8()),
        ("race", pa.int8()),
        ("taken", pa.float64()),
        ("identity", pa.string()),
    ]
)
LABELS = tuple(one.name for one in fields(Labels))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that decodes and is labelled; face: sha256 of its bytes, hexadecimal."""

    origin: Origin
    path: str
    face: str
    labels: Labels
    record: ImageRecord

    @property
    def name(self) -> str:
        """The path as tables can hold it."""
        return printable(self.origin.path(self.path))


class Candidates(Sequence[Candidate]):
    """Such files of one or several sources, in the order in which they were found.

    Parameters
    ----------
    table : as in `SCHEMA`
    """

    def __init__(self, table: pa.Table, origins: Sequence[Origin], records: Records) -> None:
        self.table, self.origins, self.records = table.combine_chunks(), origins, records

    @classmethod
    def of(
        cls, origin: Origin, records: Records, found: Iterable[tuple[int, int, Labels]]
    ) -> "Candidates":
        """Those of one source: number of the file, of its record, its labels."""
        stream = iter(found)
        tables = [SCHEMA.empty_table()]
        while batch := list(islice(stream, BATCH)):
            rows = [
                {"origin": 0, "file": file, "record": record} | _values(labels)
                for file, record, labels in batch
            ]
            tables.append(pa.Table.from_pylist(rows, SCHEMA))
        return cls(pa.concat_tables(tables), [origin], records)

    @classmethod
    def joined(cls, parts: Sequence["Candidates"]) -> "Candidates":
        """Those of one source, then those of the next."""
        starts = np.cumsum([0, *(len(part.records) for part in parts)]).tolist()
        tables = [
            part.table.set_column(
                0, SCHEMA.field("origin"), [np.full(len(part), number, np.int16)]
            ).set_column(2, SCHEMA.field("record"), [part.column("record") + np.int32(start)])
            for number, (part, start) in enumerate(zip(parts, starts, strict=False))
        ]
        origins = [origin for part in parts for origin in part.origins]
        return cls(pa.concat_tables(tables), origins, Records.joined([p.records for p in parts]))

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, slice):
            start, stop, _ = which.indices(len(self))
            rows = self.table.slice(start, stop - start).to_pylist()
            return [self._candidate(row) for row in rows]
        return self._candidate(self.table.slice(which, 1).to_pylist()[0])

    def __iter__(self) -> Iterator[Candidate]:
        for start in range(0, len(self), BATCH):
            yield from self[start : start + BATCH]

    @cached_property
    def contents(self) -> np.ndarray:
        """Sha256 of the files' bytes, as in `hash_arrays.PACKED`: (n,)."""
        return self.records.contents[self.column("record")]

    @property
    def of_classes(self) -> np.ndarray:
        """Which are labelled with a class instead of an age: bool (n,)."""
        return self.table["age"].is_null().to_numpy() & self.table["age_low"].is_null().to_numpy()

    def column(self, name: str) -> np.ndarray:
        """A column of numbers that all of them have: (n,)."""
        return self.table[name].to_numpy()

    def rows_of(self, pairs: np.ndarray) -> np.ndarray:
        """Rows of those contents of which both are here, int (pairs, 2)."""
        rows = hash_arrays.Rows(self.contents)(pairs)
        return rows[(rows >= 0).all(axis=1)]

    def only(self, which: np.ndarray) -> "Candidates":
        """Those that are marked, bool (n,)."""
        return Candidates(self.table.filter(pa.array(which)), self.origins, self.records)

    def changed(self, labels: Mapping[int, Labels | None]) -> "Candidates":
        """All, but rows with other labels; those with None are left out."""
        other = sorted(row for row, own in labels.items() if own is not None)
        same = np.setdiff1d(np.arange(len(self)), list(labels))
        rows = [
            self.table.slice(row, 1).to_pylist()[0] | _values(labels[row])  # type: ignore[arg-type]
            for row in other
        ]
        table = pa.concat_tables([self.table.take(same), pa.Table.from_pylist(rows, SCHEMA)])
        order = np.argsort(np.concatenate([same, np.array(other, int)]))
        return Candidates(table.combine_chunks().take(order), self.origins, self.records)

    def _candidate(self, row: Mapping[str, Any]) -> Candidate:
        origin, number = self.origins[row["origin"]], row["record"]
        path = origin.reader.images[row["file"]]
        (face,) = hash_arrays.hexadecimal(self.records.contents[number : number + 1])
        labels = Labels(**{name: row[name] for name in LABELS})
        return Candidate(origin, path, face, labels, self.records[number])


def printable(text: str) -> str:
    """File names may hold bytes that are not UTF-8, and ends of lines; tables may not."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return CONTROL.sub(lambda character: character[0].encode("unicode_escape").decode(), text)


def _values(labels: Labels) -> dict[str, Any]:
    return {name: getattr(labels, name) for name in LABELS}
