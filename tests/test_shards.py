"""data/faces.parquet in many files: the same faces, here, in S3 and on a web server."""

import json
import random
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import edit_params
from servers_of_shards import s3_server, web_server
from test_contracts import row
from test_ingest import good_files, run_ingest, write_folder

from faceage.core import shards, tables
from faceage.core.script import UserError
from faceage.core.shards import INDEX, Shards

COUNT = 11


@pytest.fixture(autouse=True)
def small_and_impatient(monkeypatch):
    monkeypatch.setattr(shards, "ROW_GROUP", 2)
    monkeypatch.setattr(shards, "WAITS", (0.01,))


@pytest.fixture
def written(workspace) -> list[dict[str, object]]:
    rows = [row(number, age=number, age_low=number, age_high=number) for number in range(COUNT)]
    tables.write_faces(rows, shard_faces=4)
    return rows


def contents(source: Path | str = tables.FACES) -> list[tuple[str, bytes]]:
    return list(tables.image_bytes(tables.read_faces(source)["face"], source))


def test_rows_are_those_of_one_file_in_the_same_order(written):
    table, files = tables.read_faces(), contents()
    assert [len(pq.read_table(path)) for path in sorted(tables.FACES.glob("*.parquet"))] == [
        4,
        4,
        3,
    ]
    tables.write_faces(written)
    assert tables.FACES.is_file()
    assert tables.read_faces().equals(table)
    assert contents() == files
    assert len(files) == COUNT


def test_ingest_writes_shards_that_all_read(workspace):
    write_folder(good_files(), workspace / "photos")
    run_ingest(workspace / "photos")
    table, files = tables.read_faces(), contents()
    edit_params({"data.shard_faces": 3})
    run_ingest(workspace / "photos")
    index = json.loads((tables.FACES / INDEX).read_text())
    assert index["faces"] == len(table)
    assert index["shards"][0]["faces"] == 3
    assert tables.read_faces().equals(table)
    assert contents() == files


def test_the_digest_is_that_of_the_content(written):
    before = Shards(tables.FACES).digest
    tables.write_faces(written, shard_faces=4)
    assert Shards(tables.FACES).digest == before
    tables.write_faces([*written[:-1], row(99)], shard_faces=4)
    assert Shards(tables.FACES).digest != before


@pytest.mark.parametrize("name", ["part-00001.parquet", INDEX])
def test_a_damaged_file_is_named(written, name):
    path = tables.FACES / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{name} is damaged: `rm -r data/faces.parquet && dvc"):
        contents()


def test_a_missing_file_is_named(written):
    (tables.FACES / "part-00002.parquet").unlink()
    with pytest.raises(UserError, match=r"there is no data/faces\.parquet/part-00002\.parquet"):
        tables.read_faces()
    (tables.FACES / INDEX).unlink()
    with pytest.raises(UserError, match=r"there is no data/faces\.parquet/index\.json"):
        tables.read_faces()
    shutil.rmtree(tables.FACES)
    with pytest.raises(UserError, match=r"there is no data/faces\.parquet: `dvc repro ingest`"):
        tables.read_faces()


def test_shards_that_are_exchanged_are_seen(written):
    """Each is whole, but not the one that the index has at its place."""
    paths = [tables.FACES / f"part-0000{number}.parquet" for number in (0, 1)]
    first, second = (path.read_bytes() for path in paths)
    paths[0].write_bytes(second)
    paths[1].write_bytes(first)
    with pytest.raises(UserError, match=r"part-00000\.parquet is damaged"):
        tables.read_faces()


def test_what_a_failed_ingest_leaves_is_what_was_there(written):
    before = contents()

    def rows():
        yield from written[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tables.write_faces(rows(), shard_faces=2)
    assert contents() == before
    assert [path.name for path in tables.FACES.parent.iterdir()] == ["faces.parquet"]


def test_in_s3_and_on_a_web_server_they_are_the_same(written):
    table, files = tables.read_faces(), contents()
    with s3_server(Path("data")) as bucket:
        assert contents(f"{bucket}/faces.parquet") == files
        digest = Shards(f"{bucket}/faces.parquet/{INDEX}").digest
    with web_server(Path("data")) as server:
        address = f"{server.address}/faces.parquet"
        assert tables.read_faces(address).equals(table)
        assert contents(address) == files
        assert {digest} == {Shards(address).digest, Shards(tables.FACES).digest}


def test_what_is_far_and_cannot_be_read_is_a_sentence(written, tmp_path):
    with web_server(Path("data")) as server:
        with pytest.raises(UserError, match=rf"there is no {server.address}/nothing/index\.json"):
            Shards(f"{server.address}/nothing")
        found = Shards(f"{server.address}/faces.parquet")
        path = tables.FACES / "part-00001.parquet"
        content = bytearray(path.read_bytes())
        content[100] ^= 1
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"part-00001\.parquet cannot be read \(.*CRC"):
            found.read(1, ["face", "image.bytes"], 0)
    with pytest.raises(UserError, match=r"part-00000\.parquet cannot be read .*run the same comm"):
        found.read(0, ["face"], 0)
    with pytest.raises(UserError, match=r"index\.json cannot be read"):
        Shards(f"{server.address}/faces.parquet")


def test_a_server_that_fails_once_is_asked_again(written, monkeypatch):
    with web_server(Path("data")) as server:
        found = Shards(f"{server.address}/faces.parquet")
        opened = found._files.open
        failures: list[int] = []

        def flaky(*arguments, **options):
            if not failures:
                failures.append(1)
                raise ConnectionResetError("reset by peer")
            return opened(*arguments, **options)

        monkeypatch.setattr(found._files, "open", flaky)
        assert found.read(0, ["face"]).num_rows == 4
    assert failures


def test_of_what_is_far_only_the_part_is_read_that_is_asked_for(workspace, monkeypatch):
    """Which makes it possible to stream from a place that is larger than the disk."""
    monkeypatch.setattr(shards, "ROW_GROUP", 1)
    noise = [random.Random(number).randbytes(200_000) for number in range(4)]
    tables.write_faces([row(n, image={"bytes": noise[n], "path": f"{n}.jpg"}) for n in range(4)], 4)
    with web_server(Path("data")) as server:
        found = Shards(f"{server.address}/faces.parquet")
        assert len(found.read(0, ["face", "age"])) == 4
        assert server.sent < 100_000
        assert found.read(0, ["image.bytes"], 2)["image"][0]["bytes"].as_py() == noise[2]
        assert 200_000 < server.sent < 350_000
