"""Bad input through the real scripts: one sentence, exit code 1, no half-written output."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, edit_params, photo
from safetensors.torch import save_file

from faceage.core import outputs, script
from faceage.training.checkpoints import Checkpoint


def run_script(name: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ROOT / "src" / f"{name}.py")],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=300,
    )


def assert_one_sentence(result: subprocess.CompletedProcess, *parts: str) -> None:
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    for part in parts:
        assert part in lines[0]


@pytest.fixture
def weights_of_another_model(tmp_path: Path) -> Path:
    import timm

    path = tmp_path / "other.safetensors"
    save_file(timm.create_model("test_efficientnet").state_dict(), path)
    return path


def test_an_unknown_key(workspace):
    edit_params({"train.epoch": 3})
    assert_one_sentence(
        run_script("check"), "train.epoch is not a known key", "did you mean epochs?"
    )


def test_an_impossible_value(workspace):
    edit_params({"train.batch_size": 0})
    assert_one_sentence(run_script("check"), "train.batch_size is 0", "greater than or equal to 2")


@pytest.mark.parametrize("script", ["check", "train"])
def test_an_unknown_model_is_answered_with_the_closest_names(workspace, script):
    edit_params({"model": "resnet81", "tracking": False})
    assert_one_sentence(run_script(script), "'resnet81'", "resnet18")


def test_a_missing_source(workspace):
    edit_params({"data.source": "nowhere/faces"})
    assert_one_sentence(run_script("check"), "there is nothing at nowhere/faces", "set data.source")


def test_an_empty_source(workspace):
    (workspace / "faces").mkdir()
    edit_params({"data.source": "faces"})
    assert_one_sentence(run_script("check"), "faces is empty", "set data.source")
    assert_one_sentence(run_script("ingest"), "faces is empty", "set data.source")


def test_weights_that_are_not_there(workspace):
    edit_params({"weights": "nowhere.safetensors"})
    assert_one_sentence(
        run_script("check"), "there is no file", "nowhere.safetensors", "none to start"
    )


def test_weights_that_are_no_weights(workspace):
    (workspace / "bad.safetensors").write_bytes(b"not weights")
    edit_params({"weights": "bad.safetensors"})
    assert_one_sentence(run_script("check"), "is no safetensors file", "none to start")


def test_weights_of_another_model(workspace, weights_of_another_model):
    edit_params({"weights": str(weights_of_another_model)})
    assert_one_sentence(run_script("check"), "does not fit resnet10t", "it lacks")


def test_weights_of_another_shape(workspace):
    import timm

    state = timm.create_model("resnet10t").state_dict()
    state["conv1.0.weight"] = state["conv1.0.weight"][:, :1].contiguous()
    save_file(state, "shape.safetensors")
    edit_params({"weights": "shape.safetensors"})
    assert_one_sentence(run_script("check"), "does not fit resnet10t", "conv1.0.weight")


def test_imagenet_weights_without_a_network(workspace):
    edit_params({"weights": "imagenet"})
    empty = str(workspace / "empty_cache")
    result = run_script("check", HF_HUB_CACHE=empty, HF_HOME=empty)
    assert_one_sentence(result, "the model hub cannot be reached", "path of a .safetensors")


def test_a_size_that_the_backbone_does_not_take(workspace):
    edit_params({"model": "coatnet_nano_rw_224", "train.img_size": 100})
    assert_one_sentence(run_script("check"), "train.img_size", "100x100", "multiple of 32")


def test_a_tracking_server_that_does_not_answer(workspace):
    edit_params({"model": "test_resnet"})
    for name in ("faces.parquet", "split.csv", "label_issues.csv"):
        (workspace / "data").mkdir(exist_ok=True)
        (workspace / "data" / name).write_bytes(b"")
    result = run_script("train", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert_one_sentence(result, "http://127.0.0.1:9 does not answer", "`tracking: off`")


def test_the_wrong_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_sentence(run_script("split"), "run from the root of the repository")


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if not mounted or mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk(workspace, small_disk, monkeypatch):
    """Ingest onto a disk that is too small: one sentence, nothing half-written, the rest intact."""
    faces = workspace / "faces"
    faces.mkdir()
    for number in range(40):
        content = photo(number, (256, 256), "BMP")
        (faces / f"{number + 1}_0_0_20170101000000{number:03d}.bmp").write_bytes(content)
    for name in ("params.yaml", "dvc.yaml", "src"):
        (small_disk / name).symlink_to(workspace / name)
    (small_disk / "data").mkdir()
    (small_disk / "data/rejected.csv").write_text("earlier")
    edit_params({"data.source": str(faces)})
    monkeypatch.chdir(small_disk)
    assert_one_sentence(
        run_script("ingest"), "no room left on the disk", "faces.parquet", "free some space"
    )
    assert sorted(path.name for path in (small_disk / "data").iterdir()) == ["rejected.csv"]
    assert (small_disk / "data/rejected.csv").read_text() == "earlier"


def test_a_full_disk_while_writing_a_model(small_disk, monkeypatch):
    """A folder output appears whole or not at all, and the earlier one stays."""
    (small_disk / "models").mkdir()
    (small_disk / "models/model.json").write_text("earlier")
    monkeypatch.chdir(small_disk)

    def write():
        with outputs.atomic_folder("models") as folder:
            (folder / "model.safetensors").write_bytes(bytes(2_000_000))

    with pytest.raises(SystemExit, match="no room left on the disk while writing"):
        script.run(write)
    assert [path.name for path in small_disk.iterdir()] == ["models"]
    assert (small_disk / "models/model.json").read_text() == "earlier"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "give yourself the right"),
        (errno.EROFS, "give yourself the right"),
        (errno.ENOENT, "put it back"),
        (errno.EIO, "the disk, or the way to it, fails"),
        (errno.EMFILE, "ulimit -n"),
    ],
)
def test_what_the_system_refuses_is_one_sentence_with_the_file(number, said):
    def fail():
        raise OSError(number, os.strerror(number), "data/faces.parquet")

    with pytest.raises(SystemExit, match=f"^error: data/faces.parquet: .*{said}.* again"):
        script.run(fail)


@pytest.mark.parametrize("library", ["torch", "safetensors"])
def test_a_full_disk_while_a_library_writes_weights(small_disk, monkeypatch, library):
    """Each raises an error of its own for it; the checkpoint of the epoch before stays."""
    monkeypatch.setenv("DVC_ROOT", str(small_disk))
    checkpoint, large = Checkpoint("full"), {"weights": torch.zeros(500_000)}
    checkpoint.save({"epoch": 1})
    write = {"torch": checkpoint.save, "safetensors": checkpoint.keep}[library]

    def fill():
        write(large)

    with pytest.raises(
        SystemExit, match=r"^error: no room left on the disk while writing .*/full/"
    ):
        script.run(fill)
    assert checkpoint.load() == {"epoch": 1}
    assert [path.name for path in checkpoint.folder.iterdir()] == ["member1.pt"]


def test_what_the_system_says_of_no_file_is_ours_to_mend():
    def fail():
        raise OSError(errno.EINVAL, "Invalid argument", "x")

    with pytest.raises(OSError, match="Invalid argument"):
        script.run(fail)


def test_an_interrupted_write_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("earlier")
    with pytest.raises(KeyboardInterrupt), outputs.atomic_write(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_that_has_gone():
    """As after `| head`."""
    read, write = os.pipe()
    os.close(read)
    listing = [sys.executable, str(ROOT / "src" / "recipe.py")]
    result = subprocess.run(
        listing, check=False, stdout=write, stderr=subprocess.PIPE, timeout=300, cwd=ROOT
    )
    os.close(write)
    assert (result.returncode, result.stderr) == (141, b"")


def test_faults_of_the_program_keep_their_traceback():
    def broken():
        raise OSError("not about room")

    with pytest.raises(OSError, match="not about room"):
        script.run(broken)
