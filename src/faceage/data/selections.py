"""Some files of a source, for another process that sees the same disks."""

import tarfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

from faceage.data.sources import (
    MAX_BYTES,
    Place,
    Source,
    not_whole,
    open_source,
    read_place,
)

OPENED = ExitStack()  # what this process reads as long as it lives


class Selection(Source):
    """Some files of a source, which a process that sees the same disks can read: it gets pickled.

    Where they lie is found out then, for of all files that is large.
    """

    def __init__(self, path: str | Path, source: Source, names: Sequence[str]) -> None:
        self.path, self.source = path, source
        self._set_names(names)

    def read(self, name: str, max_bytes: int = MAX_BYTES) -> bytes:
        return self.source.read(name, max_bytes)

    def place(self, name: str) -> Place | None:
        return self.source.place(name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Elsewhere, (self.path, {name: self.place(name) for name in self.names})


class _Elsewhere(Source):
    """A selection in another process: files are read where they lie.

    Of an archive that has to be read from its start, each process opens its own.
    """

    def __init__(self, path: str | Path, places: dict[str, Place | None]) -> None:
        self.path, self.places = path, places
        self._set_names(places)

    def read(self, name: str, max_bytes: int = MAX_BYTES) -> bytes:
        place = self.places[name]
        if place is None:
            return _opened_for_good(self.path).read(name, max_bytes)
        try:
            return read_place(place, max_bytes)
        except tarfile.TarError as error:
            raise not_whole(Path(place.path), error) from None


@cache
def _opened_for_good(path: str | Path) -> Source:
    return OPENED.enter_context(open_source(path))
