"""Millions of files predicted by the workers of a cluster, block by block.

A block's rows are a Parquet file in a folder of parts, written by the worker whole or not at all. A
part is named after all that its rows come from, so a run that was ended goes on with what is not
there, and what has changed since is predicted anew.
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from faceage.core import cluster
from faceage.core.hashing import sha256
from faceage.core.progress import bar
from faceage.core.script import UserError
from faceage.inference import batch_prediction, file_prediction, film_prediction, films, row_writers
from faceage.inference.batch_prediction import Row
from faceage.inference.file_prediction import How
from faceage.inference.image_files import PhotoFile

SIZE = 512  # files of a block: what a worker that dies loses

load = cache(file_prediction.load)


@dataclass(frozen=True)
class Block:
    """Some of the files, and where their rows go."""

    files: Sequence[PhotoFile]
    part: Path

    def is_done(self) -> bool:
        """Whether its rows are there, and each file has some."""
        try:
            with pq.ParquetFile(self.part, page_checksum_verification=True) as part:
                paths = part.read(["path"]).column("path").to_pylist()
        except (OSError, pa.ArrowException):
            return False
        return list(dict.fromkeys(paths)) == list(dict.fromkeys(file.name for file in self.files))

    def rows(self) -> Iterator[Row]:
        """Its rows."""
        yield from pq.read_table(self.part).to_pylist()


def rows(
    files: Sequence[PhotoFile], runtime: str, model: Path, how: How, folder: Path
) -> Iterator[Row]:
    """Rows of all files, in their order, as `file_prediction` has them; each file has at least one.

    Parameters
    ----------
    runtime, model : as of `file_prediction.load`
    folder : for the parts, on a disk that all nodes see; gone when all rows have been taken

    Raises
    ------
    UserError
        If the cluster, the model or a part is not to be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    blocks = list(_blocks(files, f"{runtime} {_content(model)} {how}", folder))
    to_do = [block for block in blocks if not block.is_done()]
    do = partial(_predict, runtime, model.absolute(), how)
    done = cluster.in_order(do, to_do)
    for _ in bar(done, "predict", "block", len(to_do)):
        pass
    for block in blocks:
        if not block.is_done():
            raise UserError(f"{block.part} is not whole; run the same command again to mend it")
        yield from block.rows()
    shutil.rmtree(folder)


def _blocks(files: Sequence[PhotoFile], model: str, folder: Path) -> Iterator[Block]:
    for start in range(0, len(files), SIZE):
        block = files[start : start + SIZE]
        digest = hashlib.sha256(model.encode())
        for file in block:
            digest.update(f"{file} {_state(file)}\n".encode())
        yield Block(block, folder / f"{digest.hexdigest()[:32]}.parquet")


def _state(file: PhotoFile) -> str:
    """What tells a file from another that has taken its place."""
    try:
        found = file.path.stat()
    except (OSError, ValueError):
        return "gone"
    return f"{found.st_mtime_ns} {found.st_size}"


def _content(model: Path) -> str:
    files = sorted(model.iterdir()) if model.is_dir() else [model]
    return " ".join(sha256(file) for file in files if file.is_file())


def _predict(runtime: str, model: Path, how: How, block: Block) -> None:
    """What a worker does: predict a block and write its part."""
    with_films = any(map(films.is_film, block.files))
    columns = film_prediction.COLUMNS if with_films else batch_prediction.COLUMNS
    with row_writers.parquet(block.part, columns) as part:
        for row in file_prediction.rows(block.files, load(runtime, model), how):
            part.write(row)
