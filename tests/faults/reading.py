"""A reader that parses every file of a folder again and again while others write there."""

import csv
import io
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

PAUSE = 0.02  # seconds between two looks


def _is_csv(content: bytes) -> bool:
    rows = list(csv.reader(io.StringIO(content.decode())))
    return content.endswith(b"\n") and len({len(row) for row in rows}) == 1


def _is_json(content: bytes) -> bool:
    return bool(content.endswith(b"\n") and json.loads(content) is not None)


# By the ending of a file's name, whether its content is whole.
WHOLE: dict[str, Callable[[bytes], bool]] = {
    ".csv": _is_csv,
    ".json": _is_json,
    ".yaml": lambda content: isinstance(yaml.safe_load(content), dict),
    ".html": lambda content: content.rstrip().endswith(b"</html>"),
    ".md": lambda content: content.endswith(b"\n"),
    ".png": lambda content: content.endswith(b"IEND\xaeB`\x82"),
}


def is_whole(name: str, content: bytes) -> bool:
    """Whether a file ends where its writer meant it to."""
    try:
        return WHOLE[Path(name).suffix](content)
    except ValueError:
        return False


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.rglob("*"))
    except OSError:  # a folder that has gone meanwhile
        return []


@contextmanager
def reader(folder: Path) -> Iterator[Counter[str]]:
    """Read meanwhile; counts `whole` files, and each that was `half FILE`.

    A file that is not there is none that is half: DVC removes a stage's outputs before it runs.
    """
    found: Counter[str] = Counter()
    over = threading.Event()

    def read() -> None:
        known: dict[Path, int] = {}
        while not over.is_set():
            for path in _files(folder):
                try:
                    if path.suffix not in WHOLE or path.stat().st_mtime_ns == known.get(path):
                        continue
                    time_of_it, content = path.stat().st_mtime_ns, path.read_bytes()
                except OSError:
                    continue
                name = path.relative_to(folder).as_posix()
                if is_whole(name, content):
                    found["whole"] += 1
                    known[path] = time_of_it
                elif not path.match(".*.part") and ".part/" not in name:
                    found[f"half {name}"] += 1
            time.sleep(PAUSE)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
