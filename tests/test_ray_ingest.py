"""Ingest on a real Ray cluster of two nodes: its outputs are those of one machine to the byte."""

import sys
from pathlib import Path

import pytest
from conftest import photo
from ray_cluster import two_nodes
from test_ingest import STAMP, all_files, run_ingest, write_folder, write_tar, write_zip

from faceage.core import cluster, tables
from faceage.core.script import UserError
from faceage.data import reading

WRITTEN = (tables.FACES, tables.REJECTED, tables.CONFLICTS, Path("reports/ingest.json"))


@pytest.fixture(scope="module")
def nodes():
    with two_nodes() as running:
        yield running


@pytest.fixture
def alone(monkeypatch):
    """Ingest on this machine alone."""

    def outputs(source) -> list[bytes]:
        with monkeypatch.context() as patch:
            patch.delenv(cluster.ADDRESS, raising=False)
            return from_nothing(source)

    return outputs


def from_nothing(source) -> list[bytes]:
    for cached in Path(".ingest").glob("*"):
        cached.unlink()
    run_ingest(source)
    return [path.read_bytes() for path in WRITTEN]


def many_files() -> dict[str, bytes]:
    return all_files() | {f"{20 + n % 60}_0_1_{STAMP}{n}.jpg": photo(100 + n) for n in range(60)}


@pytest.fixture
def small_lots(monkeypatch):
    monkeypatch.setattr(reading, "LOT", 5)


def test_without_ray_a_sentence_says_what_to_install(workspace, monkeypatch):
    monkeypatch.setenv(cluster.ADDRESS, "local")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-cluster\.txt"):
        run_ingest(write_folder(all_files(), workspace / "faces"))


def parts(files, path):
    """A folder of archives: what is in a plain tar is read where it lies."""
    names = sorted(files)
    path.mkdir()
    write_tar({name: files[name] for name in names[::2]}, path / "one.tar")
    write_zip({name: files[name] for name in names[1::2]}, path / "two.zip")
    return path


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("faces", write_folder),
        ("f.tar", write_tar),
        ("f.tar.gz", write_tar),
        ("f.zip", write_zip),
        ("parts", parts),
    ],
)
def test_the_outputs_are_those_of_one_machine(nodes, workspace, alone, small_lots, name, write):
    source = write(many_files(), workspace / name)
    assert from_nothing(source) == alone(source)


def test_what_was_decoded_before_is_not_decoded_again(nodes, workspace, small_lots, monkeypatch):
    folder = write_folder(many_files(), workspace / "faces")
    first = from_nothing(folder)
    known: list[bool] = []
    read = cluster.in_order

    def watched(do, items):
        for seen in read(do, items):
            known.extend(one.record is None for one in seen)
            yield seen

    monkeypatch.setattr(cluster, "in_order", watched)
    run_ingest(folder)
    assert len(known) == len(many_files())
    assert all(known)
    assert [path.read_bytes() for path in WRITTEN] == first


def test_what_a_worker_finds_wrong_with_the_source_ends_in_one_sentence(nodes, workspace):
    path = write_tar(all_files() | {f"9_0_0_{STAMP}.jpg": bytes(50_000)}, workspace / "f.tar")
    content = path.read_bytes()
    path.write_bytes(content[:-45_000])
    with pytest.raises(UserError, match=r"f\.tar is not a whole"):
        run_ingest(path)


def test_a_node_that_is_killed_in_mid_ingest_changes_nothing(
    nodes, workspace, alone, small_lots, monkeypatch
):
    import ray

    source = write_tar(many_files(), workspace / "f.tar")
    read = cluster.in_order
    killed: list[object] = []

    def until_one_dies(do, items):
        for seen in read(do, items):
            if not killed:
                victim = nodes.list_all_nodes()[-1]
                assert ray.cluster_resources()["CPU"] == 2
                nodes.remove_node(victim, allow_graceful=False)
                killed.append(victim)
            yield seen

    monkeypatch.setattr(cluster, "in_order", until_one_dies)
    outputs = from_nothing(source)
    assert killed
    assert ray.cluster_resources()["CPU"] == 1
    assert outputs == alone(source)
