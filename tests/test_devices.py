"""One training in several processes: the same numbers, one that writes, and an end if one dies."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest
import together
import torch
from conftest import ROOT
from test_training import INVOLVED, small_settings

from faceage.networks import faces, forward
from faceage.training import loop
from faceage.training.processes import Processes
from faceage.training.transforms import augment, make_transforms
from faceage.training.whole_batch import Part

PATIENCE = 120  # seconds for anything here; a hang is longer
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
        own = images if part is None else images[part.rows]
        return augment(own, make_transforms([transform] * 2), generator, part), generator

    whole, after = changed()
    assert not torch.equal(whole, images)
    for rows in (slice(0, 4), slice(4, 9)):
        part, generator = changed(Part(rows, 9))
        assert torch.allclose(part, whole[rows], atol=1e-6)
        assert torch.equal(generator.get_state(), after.get_state())


def started(*script: str, processes: int = 2, **environment: str) -> subprocess.Popen[str]:
    """A script in two processes, and whatever it prints in output.txt and errors.txt."""
    own = {"PET_NPROC_PER_NODE": str(processes), "OMP_NUM_THREADS": "1"}
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
    ranks = psutil.Process(launcher.pid).children(recursive=True) if not launcher.poll() else []
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
