"""A folder, .tar, .tar.gz or .zip as one thing: sorted names and the bytes behind each."""

import gzip
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from faceage.core.script import UserError

Member = TypeVar("Member")

# Far above any photograph of a face; keeps one absurd file from filling the memory.
MAX_BYTES = 64 * 2**20

WHERE = "set data.source to a folder, .tar, .tar.gz or .zip of face images"


class Unreadable(Exception):
    """One file of a source that gives no bytes; the text says why."""


class Source(ABC):
    """Files by name, relative to the source's root; `names` is sorted."""

    names: list[str]

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Bytes of one file; raises `Unreadable`. Call it from one thread at a time."""


class Folder(Source):
    """Every file below a folder, links to files followed, links to folders not.

    A data set is often a folder of links: DVC itself may check one out as links into its cache.
    Paths are text here: of tens of thousands, objects take as long as reading the files.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.names = sorted(
            os.path.normpath(os.path.join(os.path.relpath(folder, root), name))  # noqa: PTH118
            for folder, _, names in os.walk(root)
            for name in names
        )

    def read(self, name: str) -> bytes:
        path = f"{self.root}/{name}"
        try:
            info = os.stat(path)  # noqa: PTH116
            if not stat.S_ISREG(info.st_mode):
                raise Unreadable("not a regular file")
            _refuse_huge(info.st_size)
            with open(path, "rb") as file:  # noqa: PTH123
                return file.read()
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from None


class Tar(Source):
    """Members of an uncompressed tar; nothing is ever unpacked onto the disk."""

    def __init__(self, file: IO[bytes]) -> None:
        self.tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 (lives as long as `file`)
        members = [member for member in self.tar if not member.isdir()]
        self.members = _by_name((member.name, member) for member in members)
        self.names = sorted(self.members)

    def read(self, name: str) -> bytes:
        member = self.members[name]
        if not member.isreg():
            raise Unreadable("not a regular file")
        _refuse_huge(member.size)
        file = self.tar.extractfile(member)
        return file.read() if file else b""


class Zip(Source):
    """Members of a zip; nothing is ever unpacked onto the disk."""

    def __init__(self, file: IO[bytes]) -> None:
        self.zip = zipfile.ZipFile(file)
        members = [member for member in self.zip.infolist() if not member.is_dir()]
        self.members = _by_name((member.filename, member) for member in members)
        self.names = sorted(self.members)

    def read(self, name: str) -> bytes:
        member = self.members[name]
        _refuse_huge(member.file_size)
        try:
            return self.zip.read(member)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError) as error:
            raise Unreadable(str(error)) from None


@contextmanager
def open_source(path: str | Path) -> Iterator[Source]:
    """Open a data source for reading.

    Raises
    ------
    UserError
        If there is nothing at `path`, nothing in it, or it is no archive that can be read.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"data.source: there is nothing at {path}; {WHERE}")
    if path.is_dir():
        source: Source = Folder(path)
        _refuse_empty(source, path)
        yield source
        return
    try:
        with path.open("rb") as file, _unpacked(file) as plain:
            source = Zip(plain) if _starts_with(plain, b"PK") else Tar(plain)
            _refuse_empty(source, path)
            yield source
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(
            f"data.source: {path} is not a whole .tar, .tar.gz or .zip ({error}); {WHERE}"
        ) from None


@contextmanager
def _unpacked(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Undo gzip into a temporary file: names are read in sorted order, and gzip cannot seek."""
    if not _starts_with(file, b"\x1f\x8b"):
        yield file
        return
    with tempfile.TemporaryFile() as plain, gzip.open(file) as unzipped:
        shutil.copyfileobj(unzipped, plain)
        plain.seek(0)
        yield plain


def _starts_with(file: IO[bytes], magic: bytes) -> bool:
    start = file.read(len(magic))
    file.seek(0)
    return start == magic


def _by_name(pairs: Iterable[tuple[str, Member]]) -> dict[str, Member]:
    """Number the later ones of members that share a name, so that none hides another."""
    named: dict[str, Member] = {}
    for name, member in pairs:
        unique, copy = name, 1
        while unique in named:
            copy += 1
            unique = f"{name}#{copy}"
        named[unique] = member
    return named


def _refuse_empty(source: Source, path: Path) -> None:
    if not source.names:
        raise UserError(f"data.source: {path} is empty; {WHERE}")


def _refuse_huge(size: int) -> None:
    if size > MAX_BYTES:
        raise Unreadable(f"{size / 2**20:.0f} MiB, more than {MAX_BYTES / 2**20:.0f}")
