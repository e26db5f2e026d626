"""One training in several processes: the same numbers, one that writes, and an end if one dies."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pandas as pd
import psutil
import pytest
import together
import torch
from conftest import ROOT, edit_params
from ray_cluster import two_nodes
from test_contracts import row
from test_training import INVOLVED, SMALL, small_settings

import train
from faceage.core import tables
from faceage.networks import faces, forward
from faceage.training import launch, loop
from faceage.training.processes import Processes
from faceage.training.transforms import augment, make_transforms
from faceage.training.whole_batch import Part

PATIENCE = 400  # seconds for anything here, on a busy machine; a hang is longer
EVERY = [
    {"name": "flip", "p": 0.5},
    {"name": "affine", "rotate": 10, "zoom": 0.2, "shift": 0.1, "fill": 0.3},
    {"name": "jitter", "brightness": 0.3, "contrast": 0.3, "saturation": 0.3},
    {"name": "erase", "p": 0.3},
    {"name": "exposure", "p": 0.3, "stops": 1},
    {"name": "gamma", "p": 0.4, "gamma": 2},
    {"name": "grayscale", "p": 0.2},
    {"name": "gaussian_blur", "p": 0.4, "sigma": 0.03},
    {"name": "downscale", "p": 0.3, "factor": 3},
    {"name": "gaussian_noise", "p": 0.5, "sd": 0.1},
    {"name": "jpeg", "p": 0.5, "quality": 30},
]


def process(rank: int, count: int) -> Processes:
    return Processes(SimpleNamespace(process_index=rank, num_processes=count))


@pytest.mark.parametrize("count", [0, 1, 2, 7, 64, 65])
@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_each_row_of_a_batch_is_in_one_process(count, processes):
    parts = [process(rank, processes).part(count) for rank in range(processes)]
    if count < processes:
        assert all(part.is_whole for part in parts)
        return
    taken = [number for part in parts for number in range(count)[part.rows]]
    assert taken == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("transform", EVERY, ids=lambda transform: transform["name"])
def test_a_face_is_changed_alike_in_whichever_process_it_is(transform):
    images = torch.rand(9, 3, 32, 32, generator=torch.Generator().manual_seed(1))

    def changed(part=None):
        generator = torch.Generator().manual_seed(0)
        own = (images if part is None else images[part.rows]).clone()
        return augment(own, make_transforms([transform] * 2), generator, part), generator

    whole, after = changed()
    assert not torch.equal(whole, images)
    for rows in (slice(0, 4), slice(4, 9)):
        part, generator = changed(Part(rows, 9))
        assert torch.allclose(part, whole[rows], atol=1e-6)
        assert torch.equal(generator.get_state(), after.get_state())


def started(*script: str, **environment: str) -> subprocess.Popen[str]:
    """A script in two processes, and whatever it prints in output.txt and errors.txt."""
    own = {"PET_NPROC_PER_NODE": "2", "OMP_NUM_THREADS": "1"}
    own["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    return subprocess.Popen(
        [sys.executable, *script],
        env=os.environ | own | environment,
        stdout=Path("output.txt").open("a"),
        stderr=Path("errors.txt").open("a"),
        text=True,
    )


def ended(launcher: subprocess.Popen[str]) -> int:
    """Its exit code; nothing that it has started is left."""
    running = launcher.poll() is None
    ranks = psutil.Process(launcher.pid).children(recursive=True) if running else []
    code = launcher.wait(PATIENCE)
    _, left = psutil.wait_procs(ranks, PATIENCE)
    assert not left
    return code


def errors() -> list[str]:
    """Lines that were printed as errors; those of warnings and notes are not."""
    lines = Path("errors.txt").read_text().splitlines()
    return [line for line in lines if line.startswith(("error", "Traceback", "interrupted"))]


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The same trainings and batches in one process and in two: for each case both histories."""
    folders = {case: tmp_path_factory.mktemp(case) for case in CASES}
    found = {case: SimpleNamespace() for case in CASES}
    with pytest.MonkeyPatch.context() as patch:
        for module in (loop, forward):
            patch.setattr(module, "normalise", faces.normalise)  # to be put back
        patch.setattr(loop, "extract_features", forward.extract_features)
        together.in_double()
        for case, (target, edits) in CASES.items():
            patch.chdir(folders[case])
            for file in ("params.yaml", "dvc.yaml"):
                shutil.copy(ROOT / file, file)
            small_settings(None, {"name": target}, **edits)
            found[case].one = together.histories(Processes(), "one")[0]
        launcher = started(str(ROOT / "tests/together.py"), *map(str, folders.values()))
        assert ended(launcher) == 0, Path("errors.txt").read_text()
        for case in CASES:
            found[case].output = Path("output.txt").read_text()
            found[case].steps = torch.load(Path("steps.pt"))
            patch.chdir(folders[case])
            found[case].two, found[case].two_after_one = json.loads(Path("two.json").read_text())
            shutil.rmtree(".checkpoints/one")
            found[case].one_after_two = together.histories(Processes(), "one")[1]
            patch.chdir(folders["involved"])
    return found


CASES: dict[str, tuple[str, dict[str, object]]] = {
    "plain": ("regression", {"epochs": 4, "augment": EVERY}),
    # Phases, features of a frozen backbone, mixed images, a loss of the whole batch.
    "involved": ("corn", INVOLVED),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", ["two", "two_after_one", "one_after_two"])
def test_metrics_agree_whatever_the_number_of_processes(compared, case, way):
    """Of a training in two, of one that one process began, and of one that two began."""
    expected, found = pd.DataFrame(compared[case].one), pd.DataFrame(vars(compared[case])[way])
    assert len(expected) == 4 + (case == "involved")
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [7, 2])
def test_norms_and_dropout_see_the_whole_batch(compared, count):
    """Uneven parts, and a face each."""
    found = compared["plain"].steps[count]
    expected = together.step_of_norms(Processes(), count)
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert torch.allclose(found[name], values, rtol=1e-4, atol=1e-5), name


def test_the_first_process_alone_prints(compared):
    *going_on, last = compared["plain"].output.splitlines()
    assert going_on == ["going on after epoch 2 of an interrupted training"] * len(CASES)
    assert last == "process 0 of 2, environment 0"


# Weights hardly move, so that float32's rounding stays below what is compared. What a norm or
# a dropout did otherwise would still be seen at once, in the averaged statistics and in the loss.
SLOW: dict[str, object] = {
    "train.optimizer": "sgd",
    "train.lr": 1e-5,
    "train.epochs": 20,
    "train.patience": 20,
    "tracking": False,
}


@pytest.fixture
def prepared(workspace):
    """Faces and a split for src/train.py, and a training of 20 short epochs."""
    edit_params(SMALL | SLOW)
    ages = range(10, 70, 2)
    rows = [row(n, age=age, age_low=age, age_high=age) for n, age in enumerate(ages)]
    tables.write_faces(rows)
    names = [str(row["face"]) for row in rows]
    splits = ["train"] * 21 + ["val"] * 7 + ["test"] * 2
    table = pd.DataFrame({"face": names, "cluster": names, "split": splits})
    table.to_csv("data/split.csv", index=False)
    Path("reports").mkdir(exist_ok=True)
    return workspace


def in_two(epochs: int, **environment: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """src/train.py in two processes, after so many epochs; and these, in their order."""
    launcher = started("src/train.py", **environment)
    wait_for(lambda: len(history()) >= epochs or launcher.poll() is not None)
    assert launcher.poll() is None, Path("errors.txt").read_text()
    ranks = psutil.Process(launcher.pid).children()
    return launcher, sorted(ranks, key=lambda rank: int(rank.environ()["RANK"]))


def wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def history() -> pd.DataFrame:
    path = Path("reports/history.csv")
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def test_a_killed_process_ends_the_training_with_a_sentence_and_it_goes_on(prepared):
    """One of two is killed, then the other one; what they began is ended by one alone."""
    train.main()
    whole, models = history(), Path("models/model.json").read_text()
    shutil.rmtree("models")
    Path("reports/history.csv").unlink()
    for victim, epochs in ((1, 1), (0, 4)):
        launcher, ranks = in_two(epochs)
        pid = ranks[victim].pid
        ranks[victim].kill()
        assert ended(launcher) == 1
        (said,) = errors()
        assert said.startswith(f"error: train: process {victim} (pid {pid}) was ended by SIGKILL,")
        assert said.endswith(launch.GO_ON)
        Path("errors.txt").unlink()
    assert "going on after epoch" in Path("output.txt").read_text()
    assert not Path("models").exists()
    assert len(history()) < 20
    train.main()
    pd.testing.assert_frame_equal(history(), whole, rtol=1e-5)
    assert json.loads(Path("models/model.json").read_text()).keys() == json.loads(models).keys()


def test_of_several_that_ended_the_one_that_began_it_is_named():
    def failure(exitcode: int, timestamp: int) -> SimpleNamespace:
        return SimpleNamespace(
            exitcode=exitcode,
            timestamp=timestamp,
            pid=7,
            error_file_data={},
            signal_name=lambda: signal.Signals(-exitcode).name,
        )

    stopped, lost = failure(-signal.SIGTERM, 1), failure(launch.LOST, 1)
    ends = {0: stopped, 1: lost, 2: failure(-signal.SIGKILL, 3), 3: failure(-signal.SIGSEGV, 2)}
    assert "process 3 (pid 7) was ended by SIGSEGV;" in launch._what_became_of(ends)
    assert "process 1 has lost" in launch._what_became_of({1: lost, 2: lost})
    ends = {0: stopped, 1: failure(3, 2)}
    assert "process 1 (pid 7) ended with exit code 3," in launch._what_became_of(ends)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_all_of_them(prepared, number):
    launcher, _ = in_two(1)
    launcher.send_signal(number)
    assert ended(launcher) == 130
    assert errors() == ["interrupted: run the same command again to go on"]


@pytest.mark.slow
def test_no_process_outlives_its_launcher(prepared):
    launcher, _ = in_two(1)
    launcher.kill()
    assert ended(launcher) == -signal.SIGKILL


@pytest.mark.slow
def test_what_is_wrong_for_all_of_them_is_said_once(prepared):
    edit_params({"train.optimizer": "sdg"})
    assert ended(started("src/train.py")) == 1
    (said,) = errors()
    assert said.startswith("error: train.optimizer: timm knows no 'sdg'")


@pytest.mark.slow
def test_one_process_alone_is_tracked(prepared):
    edit_params({"tracking": True, "train.epochs": 2})
    assert ended(started("src/train.py")) == 0
    (run,) = mlflow.MlflowClient(f"sqlite:///{prepared}/mlflow.db").search_runs(["1"])
    assert run.data.tags["processes"] == "2"
    assert run.info.status == "FINISHED"
    assert run.data.metrics["val_mae"] == pytest.approx(history()["val_mae"].iloc[-1], rel=1e-5)


@pytest.fixture
def port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def nodes(port: str, folders: list[Path]) -> list[subprocess.Popen[str]]:
    """A process on each of two machines, both of them this one, started in these folders."""
    launchers = []
    for number, folder in enumerate(folders):
        where = {"NNODES": "2", "NODE_RANK": str(number), "MASTER_ADDR": "127.0.0.1"}
        where |= {"MASTER_PORT": port, "NPROC_PER_NODE": "1"}
        with contextlib.chdir(folder):
            launchers.append(
                started("src/train.py", **{f"PET_{name}": value for name, value in where.items()})
            )
    return launchers


@pytest.mark.slow
def test_two_machines_and_one_of_them_goes(prepared, port):
    """Their training is that of one; what is killed on one of them ends both, and says so."""
    train.main()
    whole = history()
    Path("reports/history.csv").unlink()
    launchers = nodes(port, [prepared, prepared])
    wait_for(lambda: len(history()) >= 2)
    (rank,) = psutil.Process(launchers[1].pid).children()
    pid = rank.pid
    rank.kill()
    assert [ended(launcher) for launcher in launchers] == [1, 1]
    lost, killed = sorted(errors(), key=lambda said: "SIGKILL" in said)
    assert "process 0 has lost the processes of other machines" in lost
    assert killed.startswith(f"error: train: process 1 (pid {pid}) was ended by SIGKILL")
    launchers = nodes(port, [prepared, prepared])
    assert [ended(launcher) for launcher in launchers] == [0, 0]
    pd.testing.assert_frame_equal(history(), whole, rtol=1e-5)


@pytest.mark.slow
def test_machines_that_would_train_something_else_are_told(prepared, port, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(prepared, other, dirs_exist_ok=True, symlinks=True)
    with contextlib.chdir(other):
        edit_params({"train.lr": 0.5})
    launchers = nodes(port, [prepared, other])
    assert [ended(launcher) for launcher in launchers] == [1, 1]
    (said,) = errors()
    assert "has other code, parameters or data than process 0" in said


@pytest.mark.slow
def test_torchrun_by_hand(prepared):
    """Its own report comes after the sentence of the first process."""
    edit_params({"train.epochs": 2})
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    assert ended(started(*torchrun, "src/train.py")) == 0
    assert len(history()) == 2
    edit_params({"train.optimizer": "sdg"})
    assert ended(started(*torchrun, "src/train.py")) == 1
    assert errors()[0].startswith("error: train.optimizer: timm knows no 'sdg'")


@pytest.mark.slow
def test_a_ray_cluster_trains_as_one_process_and_goes_on_where_a_node_ends(prepared):
    train.main()
    whole = history()
    Path("reports/history.csv").unlink()
    with two_nodes():
        launcher = started("src/train.py", PET_NPROC_PER_NODE="")
        wait_for(lambda: len(history()) >= 2 or launcher.poll() is not None)
        ranks = [each for each in psutil.process_iter() if trains_in(prepared, each)]
        victim = next(rank for rank in ranks if rank.environ().get("RANK") == "1")
        victim.kill()
        assert ended(launcher) == 1
        (said,) = errors()
        assert said.startswith(f"error: train: process 1 (pid {victim.pid}) was ended by SIGKILL")
        _, left = psutil.wait_procs(ranks, PATIENCE)
        assert not left
        Path("errors.txt").unlink()
        launcher = started("src/train.py", PET_NPROC_PER_NODE="")
        reached = len(history()) + 1
        wait_for(lambda: len(history()) > reached or launcher.poll() is not None)
        launcher.send_signal(signal.SIGINT)
        assert ended(launcher) == 130
        assert errors() == ["interrupted: run the same command again to go on"]
        wait_for(lambda: not any(trains_in(prepared, each) for each in psutil.process_iter()))
        assert ended(started("src/train.py", PET_NPROC_PER_NODE="")) == 0
    assert "in 2 processes" in Path("output.txt").read_text()
    pd.testing.assert_frame_equal(history(), whole, rtol=1e-5)


def trains_in(folder: Path, process: psutil.Process) -> bool:
    try:
        return "src/train.py" in process.cmdline() and process.cwd() == str(folder)
    except psutil.Error:
        return False
