"""Which image files are meant: files, folders, globs or a list on standard input."""

import glob
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from faceage.core import images
from faceage.core.image_files import SUFFIXES, is_leftover
from faceage.core.script import UserError

# Far above any photograph; keeps one absurd file from filling the memory.
MAX_BYTES = 64 * 2**20


@dataclass(frozen=True)
class PhotoFile:
    """A file to read, or, with `problem`, the reason why it is not."""

    path: Path
    problem: str = ""

    @property
    def name(self) -> str:
        """The path on one line: what cannot be printed is written as an escape."""
        text = str(self.path)
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

    @property
    def about(self) -> dict[str, Any]:
        """What the rows of its faces say of it."""
        return {"path": self.name}

    def picture(self) -> Image.Image:
        """The image, decoded.

        Raises
        ------
        OSError, images.Refused
            If the file cannot be read, and if it cannot be decoded.
        """
        return images.decode(self.read())

    def read(self) -> bytes:
        """The file's bytes.

        Raises
        ------
        OSError
            If there are none to be had.
        """
        if self.regular().stat().st_size > MAX_BYTES:
            raise OSError(f"larger than {MAX_BYTES // 2**20} MiB")
        return self.path.read_bytes()

    def regular(self) -> Path:
        """The path, of which it is known that there is a file to read.

        Raises
        ------
        OSError
            If there is none.
        """
        if self.problem:
            raise OSError(self.problem)
        if not self.path.is_file():
            raise OSError("not a regular file" if self.path.exists() else "there is no such file")
        return self.path


def find(arguments: Iterable[str]) -> Iterator[PhotoFile]:
    """Files behind the arguments, in their order, those of a folder sorted.

    Parameters
    ----------
    arguments : paths of files, of folders, which are searched to the ground, globs (`**` for any
        folders), or `-` for a list on standard input, a path a line

    Raises
    ------
    UserError
        If an argument matches nothing.
    """
    for argument in arguments:
        path = Path(argument)
        if argument == "-":
            lines = (line.rstrip("\n") for line in sys.stdin)
            yield from (PhotoFile(Path(line)) for line in lines if line)
        elif path.is_dir():
            yield from _below(path)
        elif path.exists() or path.is_symlink():
            yield PhotoFile(path)
        else:
            matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 (takes absolute ones)
            if not matches:
                raise UserError(
                    f"there is nothing at {PhotoFile(path).name}; name files, folders or globs,"
                    " or - for a list on standard input"
                )
            yield from find(matches)


def _below(folder: Path) -> Iterator[PhotoFile]:
    """Image files of a folder and of those in it; links that lead out of it are refused.

    They are known by their names' endings, and where there is none by their first bytes; of files
    that are named it is no matter what they are called.
    """
    ground = folder.resolve()
    for entry in sorted(folder.iterdir()):
        if is_leftover(entry.name):
            continue
        if entry.is_symlink() and not _leads_into(entry, ground):
            yield PhotoFile(entry, "a symbolic link that leads out of the folder")
        elif entry.is_dir() and not entry.is_symlink():
            yield from _below(entry)
        elif entry.suffix.lower() in SUFFIXES or (not entry.suffix and images.is_image(entry)):
            yield PhotoFile(entry)


def _leads_into(link: Path, ground: Path) -> bool:
    try:
        return link.resolve().is_relative_to(ground)
    except (OSError, RuntimeError):  # it leads to itself
        return True  # and is no regular file, as reading it says
