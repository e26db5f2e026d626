"""What is written appears whole or not at all; what a killed writer left is cleared."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faceage.core import hashing
from faceage.core.outputs import atomic_folder, atomic_write


@pytest.fixture
def killed() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_failed_leaves_what_there_was(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("before")
    with pytest.raises(RuntimeError), atomic_write(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]
    assert path.read_text() == "before"


def test_what_killed_writers_left_is_removed_and_what_others_write_is_not(tmp_path, killed):
    alive, own = os.getppid(), os.getpid()
    for pid in (killed, alive, own):
        (tmp_path / f".out.csv.{pid}.part").write_text("half")
    (tmp_path / f".other.csv.{killed}.part").write_text("another's")
    with atomic_write(tmp_path / "out.csv") as part:
        part.write_text("whole")
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"out.csv", f".out.csv.{alive}.part", f".other.csv.{killed}.part"}


def test_what_a_killed_writer_left_is_removed_though_nobody_took_its_exit_code(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    (tmp_path / f".out.csv.{process.pid}.part").write_text("half")
    with atomic_write(tmp_path / "out.csv") as part:
        part.write_text("whole")
    process.wait()
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]


def test_a_folder_takes_the_place_of_one_that_a_process_of_this_number_left(tmp_path):
    """In a container the next process has the number of the killed one."""
    left = tmp_path / f".figures.{os.getpid()}.part"
    left.mkdir()
    (left / "half.png").touch()
    with atomic_folder(tmp_path / "figures") as folder:
        (folder / "whole.png").touch()
    assert [file.name for file in (tmp_path / "figures").iterdir()] == ["whole.png"]
    assert not left.exists()


def test_unfinished_files_do_not_count_in_the_hash_of_a_folder(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    before = hashing.md5(tmp_path)
    Path(tmp_path / ".a.json.1.part").write_text("{")
    assert hashing.md5(tmp_path) == before
