"""A real Ray cluster of two nodes, one of which dies: its results are those of one machine."""

import json
import socket
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import small_model
from conftest import edit_params, photo
from ray_cluster import two_nodes
from test_ingest import STAMP, all_files, run_ingest, write_folder, write_tar, write_zip

import evaluate_on
import predict
from faceage.core import cluster, tables
from faceage.core.script import UserError
from faceage.data import reading
from faceage.inference import blocks, image_files

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


def test_where_no_cluster_answers_a_sentence_says_so_at_once(workspace, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed: requirements-cluster.txt")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv(cluster.ADDRESS, f"127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(UserError, match="no Ray cluster answers there"):
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


@pytest.fixture
def album(workspace, monkeypatch):
    """A model and a folder of pictures, some of which cannot be used; blocks of five files."""
    monkeypatch.setattr(blocks, "SIZE", 5)
    small_model.write()
    return write_folder(many_files(), workspace / "album")


def predicted(monkeypatch, *options: str) -> int:
    """Write ages.parquet; the exit code."""
    arguments = ["predict.py", "--detect", "never", "--parquet", "ages.parquet", *options, "album"]
    monkeypatch.setattr(sys, "argv", arguments)
    try:
        predict.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def ages() -> pd.DataFrame:
    return pd.read_parquet("ages.parquet")


def test_predictions_are_those_of_one_machine(nodes, album, monkeypatch):
    assert predicted(monkeypatch) == 1  # some of the files are bad
    alone = Path("ages.parquet").read_bytes()
    assert predicted(monkeypatch, "--ray") == 1
    assert Path("ages.parquet").read_bytes() == alone
    assert not Path("ages.parquet.parts").exists()


def test_a_run_that_was_ended_goes_on_and_accounts_for_each_file(nodes, album, monkeypatch):
    read = cluster.in_order
    asked_for: list[blocks.Block] = []

    def until_interrupted(do, items):
        asked_for.extend(items)
        for number, done in enumerate(read(do, items)):
            if number == 3:
                raise KeyboardInterrupt
            yield done

    def watched(do, items):
        asked_for.extend(items)
        yield from read(do, items)

    monkeypatch.setattr(cluster, "in_order", until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        predicted(monkeypatch, "--ray")
    assert not Path("ages.parquet").exists()
    first, second, *others = asked_for
    finished = [block for block in others if block.is_done()]
    assert finished
    first.files[0].path.write_bytes(photo(999))
    second.part.write_bytes(second.part.read_bytes()[:-100])

    asked_for.clear()
    monkeypatch.setattr(cluster, "in_order", watched)
    assert predicted(monkeypatch, "--ray") == 1
    assert [block.files for block in asked_for[:2]] == [first.files, second.files]
    assert not {block.part for block in finished} & {block.part for block in asked_for}
    together = ages()
    assert predicted(monkeypatch) == 1
    pd.testing.assert_frame_equal(together, ages())
    assert list(together["path"]) == [file.name for file in image_files.find(["album"])]


def test_ray_is_refused_without_a_file_to_write(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["predict.py", "--ray", "album"])
    with pytest.raises(SystemExit):
        predict.arguments()
    assert "say with --parquet" in capsys.readouterr().err


def test_a_source_elsewhere_is_measured_alike(nodes, workspace, monkeypatch):
    small_model.write()
    edit_params({"data.min_kept": 0.0})
    source = str(write_tar(many_files(), workspace / "f.tar"))
    entry = {"source": source, "layout": "auto", "align": "never", "calibrate": None}
    edit_params({"external": {"there": entry}})
    monkeypatch.setattr(sys, "argv", ["evaluate_on.py", "--name", "there"])
    evaluate_on.main()
    on_the_cluster = json.loads(Path("reports/external/there.json").read_text())
    monkeypatch.delenv(cluster.ADDRESS)
    evaluate_on.main()
    alone = json.loads(Path("reports/external/there.json").read_text())
    assert on_the_cluster["ages"]["n"] > 60
    assert on_the_cluster == alone


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
    assert outputs == alone(source)
    ended = time.monotonic() + 60  # it takes Ray seconds to see that a node is gone
    while ray.cluster_resources()["CPU"] == 2 and time.monotonic() < ended:
        time.sleep(0.5)
    assert ray.cluster_resources()["CPU"] == 1
