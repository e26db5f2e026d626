"""Where faces lie: one Parquet file, or a folder of many, the shards, with an index of them.

The folder is on this disk, in S3 or on a web server. Of what is far only the parts are read that
are asked for.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from faceage.core import hashing, sealed, stored
from faceage.core.outputs import atomic_folder, atomic_write
from faceage.core.script import UserError

INDEX = "index.json"
FORMAT = 1
# Faces that are read at once, and that those who stream shuffle as one: few enough that a buffer
# holds pieces from all over the data, and enough for one request over a network.
ROW_GROUP = 256
FOOTERS = 128  # files whose footers are kept in memory, of about 0.1 MB each
WAITS = (1, 4, 16)  # seconds before a request that has failed is made again


class Shards:
    """The files that hold faces, in the order of the rows.

    Parameters
    ----------
    source : path of a Parquet file or of a folder of shards, or address of such a folder, as
        s3://bucket/faces.parquet or https://host/faces.parquet, or of its index. Credentials are
        those of the environment

    Raises
    ------
    UserError
        If there are none, or the index is damaged, or the server does not answer.
    """

    def __init__(self, source: Path | str) -> None:
        self.source = str(source).removesuffix(f"/{INDEX}")
        self.far = "://" in self.source
        self.footer = lru_cache(FOOTERS)(self._footer)
        self._checked: set[int] = set()
        if self.far:
            self._files = _file_system(self.source)
        elif Path(self.source).exists():
            stored.check(Path(self.source))
        else:
            raise _missing(self.source)
        one = Path(self.source).is_file() and not self.far
        self._shards = [{"name": ""}] if one else self._index()["shards"]

    def __len__(self) -> int:
        return len(self._shards)

    @property
    def digest(self) -> str:
        """SHA-256 of the file, or of the index, which has those of the shards."""
        if self._shards[0]["name"]:
            return hashing.sha256_of(self._content_of_index())
        return hashing.sha256(Path(self.source))

    def name(self, number: int) -> str:
        """Path or address of a shard."""
        return f"{self.source}/{self._shards[number]['name']}".removesuffix("/")

    def batches(self, columns: list[str]) -> Iterator[pa.Table]:
        """All rows, a row group at a time."""
        for number in range(len(self)):
            for group in range(self.footer(number).num_row_groups):
                yield self.read(number, columns, group)

    def schema(self, number: int) -> pa.Schema:
        """Columns of a shard."""
        return self.footer(number).schema.to_arrow_schema()

    def read(self, number: int, columns: list[str], group: int | None = None) -> pa.Table:
        """Columns of a shard, of one row group or of all; may be called from several threads.

        Raises
        ------
        UserError
            If the shard is damaged, or the server still does not answer when it is asked again.
        """
        footer = self.footer(number)

        def read(file: pq.ParquetFile) -> pa.Table:
            if group is None:
                return file.read(columns, use_threads=not self.far)
            return file.read_row_group(group, columns, use_threads=False)

        return self._of_file(number, read, footer)

    def _footer(self, number: int) -> pq.FileMetaData:
        shard = self._shards[number]
        if shard["name"] and not self.far and number not in self._checked:
            if not Path(self.name(number)).exists():
                raise _missing(self.name(number))
            if hashing.sha256(Path(self.name(number))) != shard["sha256"]:
                raise self._damaged(self.name(number))
            self._checked.add(number)
        footer: pq.FileMetaData = self._of_file(number, lambda file: file.metadata)
        if footer.num_rows != shard.get("faces", footer.num_rows):
            raise self._damaged(self.name(number))
        return footer

    def _of_file(
        self, number: int, use: Callable[[pq.ParquetFile], Any], footer: pq.FileMetaData = None
    ) -> Any:
        """What is read of a shard: from the disk, or over a network, which may take several tries.

        Files are opened each time, for an open one is no matter of several threads.
        """
        name = self.name(number)
        checked = {"metadata": footer, "page_checksum_verification": True}
        if not self.far:
            with whole(name, self.source), pq.ParquetFile(name, **checked) as file:
                return use(file)

        def ask() -> Any:
            # Without a cache of its own: pyarrow asks for what it needs, in few requests. The index
            # has the size: no server is asked for it.
            size = self._shards[number]["bytes"]
            with (
                self._files.open(name, cache_type="none", size=size) as content,
                pq.ParquetFile(content, pre_buffer=True, **checked) as file,
            ):
                return use(file)

        return _in_several_tries(ask, name)

    def _index(self) -> dict[str, Any]:
        path = f"{self.source}/{INDEX}"
        try:
            index = sealed.unsealed(json.loads(self._content_of_index()))
        except (ValueError, sealed.Broken):
            raise self._damaged(path) from None
        if index["format"] > FORMAT:
            raise UserError(f"{path} is of format {index['format']}: use a later faceage")
        return index

    def _content_of_index(self) -> bytes:
        path = f"{self.source}/{INDEX}"
        if self.far:
            content: bytes = _in_several_tries(lambda: self._files.cat_file(path), path)
            return content
        try:
            return Path(path).read_bytes()
        except FileNotFoundError:
            raise _missing(path) from None

    def _damaged(self, name: str) -> UserError:
        cure = "put it there again" if self.far else stored.remedy(self.source)
        return UserError(f"{name} is damaged: {cure}")


@contextmanager
def writing(
    path: Path, schema: pa.Schema, shard_faces: int | None
) -> Iterator[Callable[[pa.Table], None]]:
    """Yield a function that takes table after table; what it made then appears at `path`, whole.

    Parameters
    ----------
    shard_faces : rows of a shard, of which the last may have fewer; None: one file
    """
    if shard_faces is None:
        with atomic_write(path) as part, _parquet(part, schema) as writer:
            yield writer.write_table
        return
    with atomic_folder(path) as folder:
        writer, room = None, 0

        def write(table: pa.Table) -> None:
            nonlocal writer, room
            while len(table):
                if not room:
                    if writer:
                        writer.close()
                    name = f"part-{len(list(folder.iterdir())):05}.parquet"
                    writer, room = _parquet(folder / name, schema), shard_faces
                now = table.slice(0, room)
                writer.write_table(now)
                table, room = table.slice(len(now)), room - len(now)

        yield write
        if writer:
            writer.close()
        write_index(folder)


def write_index(folder: Path) -> None:
    """Write the index of all shards in a folder, in the order of their names."""
    shards = [
        {
            "name": path.name,
            "faces": pq.read_metadata(path).num_rows,
            "bytes": path.stat().st_size,
            "sha256": hashing.sha256(path),
        }
        for path in sorted(folder.glob("*.parquet"))
    ]
    content = {"format": FORMAT, "faces": sum(shard["faces"] for shard in shards), "shards": shards}
    (folder / INDEX).write_text(json.dumps(sealed.sealed(content), indent=1) + "\n")


@contextmanager
def whole(name: str, output: str) -> Iterator[None]:
    """Turn what pyarrow raises of a damaged Parquet file into a sentence.

    Parameters
    ----------
    output : what a stage writes: the file, or the folder that it is in
    """
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the file system
            error.filename = error.filename or name
            raise
        raise UserError(f"{name} is damaged: {stored.remedy(output)}") from None


def _parquet(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, write_page_checksum=True)


def _file_system(address: str) -> Any:
    """What reads an address, and remembers nothing of an earlier one."""
    try:
        import fsspec  # noqa: PLC0415 (where nothing is far it is not needed)

        files, _ = fsspec.url_to_fs(address, skip_instance_cache=True, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"{address} cannot be read: {error}; what reads s3:// and https:// comes with"
            " pip install -r requirements-cluster.txt"
        ) from None
    return files


def _in_several_tries(ask: Callable[[], Any], name: str) -> Any:
    """The answer of a server.

    What libraries raise when it is down, refuses, or goes silent in the middle is of many kinds.
    """
    for wait in (*WAITS, None):
        try:
            return ask()
        except FileNotFoundError:
            raise _missing(name) from None
        except Exception as error:
            if wait is None or isinstance(error, PermissionError):
                why = " ".join(str(error).split()) or type(error).__name__
                raise UserError(
                    f"{name} cannot be read ({why}); once it can, run the same command again: a"
                    " training goes on where it was"
                ) from None
            time.sleep(wait)
    raise AssertionError


def _missing(name: str) -> UserError:
    return UserError(
        f"there is no {name}: `dvc repro ingest` writes faces, in shards where data.shard_faces"
        " says so"
    )
