"""A folder or an archive as one thing: sorted names and the bytes behind each.

A folder that holds archives and no images is read as if they were folders: data sets come in parts.
What programs leave behind (see `image_files.is_leftover`) is no part of a source.
"""

import bz2
import errno
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import threading
import zipfile
import zlib
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, TypeVar

import numpy as np

from faceage.core.image_files import SUFFIXES, is_leftover
from faceage.core.script import UserError

Member = TypeVar("Member")

# Far above any photograph of a face; keeps one absurd file from filling the memory.
MAX_BYTES = 64 * 2**20

WHERE = "set data.source to a folder, .zip or .tar (also .gz, .bz2, .xz, .zst) of face images"
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")


# What the libraries raise, undocumented, for archives that are cut off or damaged.
BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    struct.error,
    IndexError,
)
ENCRYPTED = 0x1  # flag of a member of a .zip


# Why a file of a folder gives no bytes whenever it is asked; else the disk or the system fails, or
# a right is lacking, which DVC had when it looked at the file.
OF_THE_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO}
OF_THE_FILE |= {errno.EINVAL}


class Locked(Exception):
    """Every file of a .zip needs a password."""


class Unreadable(Exception):
    """One file of a source that gives no bytes; the text says why."""


class Place(NamedTuple):
    """Where the bytes of a file lie: in a file, of which they are a part if there is a size."""

    path: str
    start: int = 0
    size: int | None = None


class Source(ABC):
    """Files by name, relative to the source's root.

    names: sorted, without what programs leave behind; ignored: how many those are.
    """

    names: list[str]
    ignored: int

    def _set_names(self, names: Iterable[str]) -> None:
        found = sorted(names)
        self.names = [name for name in found if not is_leftover(name)]
        self.ignored = len(found) - len(self.names)

    @abstractmethod
    def read(self, name: str, max_bytes: int = MAX_BYTES) -> bytes:
        """Bytes of one file; raises `Unreadable`. Many threads may call it at once."""

    def place(self, name: str) -> Place | None:
        """Where the file's bytes lie, if they can be read without the rest of the source."""
        return None


class Folder(Source):
    """Every file below a folder, links to files followed, links to folders not.

    A data set is often a folder of links: DVC itself may check one out as links into its cache.
    Paths are text here: of tens of thousands, objects take as long as reading the files.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._set_names(
            os.path.normpath(os.path.join(os.path.relpath(folder, root), name))  # noqa: PTH118
            for folder, _, names in os.walk(root, onerror=_raise)
            for name in names
        )

    def read(self, name: str, max_bytes: int = MAX_BYTES) -> bytes:
        return read_place(self.place(name), max_bytes)

    def place(self, name: str) -> Place:
        return Place(f"{self.root}/{name}")


class Tar(Source):
    """Members of an uncompressed tar; nothing is ever unpacked onto the disk.

    Of millions of members no more is held than where each lies.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.lock = file, threading.Lock()
        self.tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 (lives as long as `file`)
        # Objects for each member would leave the memory full of holes.
        places, odd = array("q"), dict[int, tarfile.TarInfo | None]()
        numbers = _by_name(self._listed(places, odd))
        self._set_names(numbers)
        self._odd = {name: odd[number] for name, number in numbers.items() if number in odd}
        in_order = np.fromiter((numbers[name] for name in self.names), int, len(self.names))
        self._places = np.array(places).reshape(-1, 2)[in_order]

    def _listed(
        self, places: "array[int]", odd: dict[int, tarfile.TarInfo | None]
    ) -> Iterator[tuple[str, int]]:
        """Names and numbers of files; of each start and size in bytes go to `places`.

        What is sparse goes to `odd` as it is, and None for what is no file.
        """
        number = 0
        while (member := self.tar.next()) is not None:
            vars(self.tar)["members"] = []  # which would hold them all
            if member.isdir():
                continue
            places.extend((member.offset_data, member.size))
            if not member.isreg() or member.issparse():
                odd[number] = member if member.issparse() else None
            yield member.name, number
            number += 1

    def read(self, name: str, max_bytes: int = MAX_BYTES) -> bytes:
        if name not in self._odd:
            start, size = self._place(name)
            _refuse_huge(size, max_bytes)
            return _bytes_at(self.file.fileno(), start, size)
        member = self._odd[name]
        if member is None:
            raise Unreadable("not a regular file")
        _refuse_huge(member.size, max_bytes)
        with self.lock:
            file = self.tar.extractfile(member)
            return file.read() if file else b""

    def place(self, name: str) -> Place | None:
        # A temporary file, into which an archive was unpacked, has a number for a name.
        if name in self._odd or not isinstance(self.file.name, str):
            return None
        return Place(self.file.name, *self._place(name))

    def _place(self, name: str) -> list[int]:
        return self._places[bisect_left(self.names, name)].tolist()


class Zip(Source):
    """Members of a zip; nothing is ever unpacked onto the disk."""

    def __init__(self, file: IO[bytes]) -> None:
        self.zip = zipfile.ZipFile(file)
        members = [member for member in self.zip.infolist() if not member.is_dir()]
        if members and all(member.flag_bits & ENCRYPTED for member in members):
            raise Locked
        self.members = _by_name((member.filename, member) for member in members)
        self._set_names(self.members)

    def read(self, name: str, max_bytes: int = MAX_BYTES) -> bytes:
        member = self.members[name]
        _refuse_huge(member.file_size, max_bytes)
        if member.flag_bits & ENCRYPTED:
            raise Unreadable("needs a password")
        try:
            return self.zip.read(member)
        except (*BROKEN, RuntimeError, OSError, ValueError) as error:
            raise Unreadable(str(error) or type(error).__name__) from None


class Parts(Source):
    """Archives of one folder, each like a folder of its name, and the other files beside them."""

    def __init__(self, folder: Folder, archives: dict[str, Source]) -> None:
        beside = {name: (folder, name) for name in folder.names if name not in archives}
        self.members: dict[str, tuple[Source, str]] = beside | {
            f"{_without_ending(archive)}/{name}": (part, name)
            for archive, part in archives.items()
            for name in part.names
        }
        self._set_names(self.members)
        self.ignored = folder.ignored + sum(part.ignored for part in archives.values())

    def read(self, name: str, max_bytes: int = MAX_BYTES) -> bytes:
        source, inner = self.members[name]
        return source.read(inner, max_bytes)

    def place(self, name: str) -> Place | None:
        source, inner = self.members[name]
        return source.place(inner)


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
    with ExitStack() as stack:
        if path.is_dir():
            folder = Folder(path)
            parts = {name: stack.enter_context(_archive(path / name)) for name in _archives(folder)}
            source: Source = Parts(folder, parts) if parts else folder
        else:
            source = stack.enter_context(_archive(path))
        if not source.names:
            raise UserError(f"data.source: {path} is empty; {WHERE}")
        yield source


def read_place(place: Place, max_bytes: int) -> bytes:
    """The bytes at a place; raises `Unreadable`, and `tarfile.TarError` where a part lacks some."""
    try:
        info = os.stat(place.path)  # noqa: PTH116
        if not stat.S_ISREG(info.st_mode):
            raise Unreadable("not a regular file")
        size = info.st_size if place.size is None else place.size
        _refuse_huge(size, max_bytes)
        with open(place.path, "rb") as file:  # noqa: PTH123
            if place.size is None:
                return file.read()
            return _bytes_at(file.fileno(), place.start, size)
    except OSError as error:
        # It was there when the names were listed: gone is something else than unreadable.
        if error.errno not in OF_THE_FILE or not os.path.lexists(place.path):
            raise
        raise Unreadable(error.strerror or str(error)) from None


def _bytes_at(file: int, start: int, size: int) -> bytes:
    content = os.pread(file, size, start)
    if len(content) < size:
        raise tarfile.ReadError("unexpected end of data")
    return content


def _raise(error: OSError) -> None:
    """For `os.walk`, which else passes over folders that it may not read, without a word."""
    if os.path.basename(error.filename) != "lost+found":  # noqa: PTH119 (of the system's own)
        raise error


def _archives(folder: Folder) -> list[str]:
    """The folder's archives; none where there are images beside them."""
    if any(PurePosixPath(name).suffix.lower() in SUFFIXES for name in folder.names):
        return []
    return [name for name in folder.names if name.lower().endswith(ARCHIVES)]


def _without_ending(archive: str) -> str:
    ending = max((e for e in ARCHIVES if archive.lower().endswith(e)), key=len)
    return archive[: -len(ending)]


@contextmanager
def _archive(path: Path) -> Iterator[Source]:
    """The source in an archive; raises `UserError` if it cannot be read to its end."""
    with ExitStack() as stack:
        try:
            plain = _decompressed(stack.enter_context(path.open("rb")), stack)
            source = Zip(plain) if _starts_with(plain, b"PK") else Tar(plain)
        except Locked:
            raise UserError(
                f"data.source: {path} needs a password; unpack it and set data.source to the folder"
            ) from None
        except UnicodeDecodeError:
            raise UserError(
                f"data.source: names in {path} are damaged; unpack it with another program and set"
                " data.source to the folder"
            ) from None
        except BROKEN as error:
            raise not_whole(path, error) from None
        except OSError as error:
            if error.errno is not None:  # of the file system, not of a decompressor
                raise
            raise not_whole(path, error) from None
        try:
            yield source
        except tarfile.TarError as error:  # a member that is cut off shows when it is read
            raise not_whole(path, error) from None


def not_whole(path: Path, error: Exception) -> UserError:
    """What to say of an archive that is damaged."""
    return UserError(
        f"data.source: {path} is not a whole .zip or .tar, plain or compressed ({error}); {WHERE}"
    )


def _decompressed(file: IO[bytes], stack: ExitStack) -> IO[bytes]:
    """Undo a compression into a temporary file: files are read in any order, and it cannot seek."""
    opener = next((DECOMPRESSORS[m] for m in DECOMPRESSORS if _starts_with(file, m)), None)
    if opener is None:
        return file
    plain = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
    with opener(file) as unpacked:
        shutil.copyfileobj(unpacked, plain)
    plain.seek(0)
    return plain


def _zstandard(file: IO[bytes]) -> Any:
    import pyarrow as pa  # noqa: PLC0415 (Python has it from 3.14 on)

    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")


DECOMPRESSORS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"\x28\xb5\x2f\xfd": _zstandard,
}


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


def _refuse_huge(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise Unreadable(f"{size / 2**20:.0f} MiB, more than {max_bytes / 2**20:.0f}")
