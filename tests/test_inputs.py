"""What is edited while a stage is at work: it does not count as what the stage has read."""

import os
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from test_corruption import ENVIRONMENT, dvc

from faceage.core import inputs

PIPELINE = """
stages:
  used:
    cmd: python read.py
    params: [lr]
    deps: [in.csv, read.py, code]
    outs: [out.txt]
  each:
    foreach: ${sources}
    do:
      cmd: python read.py
      params: ["sources.${key}"]
      deps: ["${item.place}"]
      outs: ["${key}.txt"]
"""
READ = """
import time
from pathlib import Path
from faceage.core.script import run
def main():
    text = Path("in.csv").read_text() + Path("params.yaml").read_text()
    Path("has.read").touch()
    while not Path("go.on").exists():
        time.sleep(0.05)
    Path("out.txt").write_text(text)
run(main)
"""
PARAMS = {"lr": 1, "other": 1, "sources": {"here": {"place": "in.csv", "weight": 1}}}


@pytest.fixture
def pipeline(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (("dvc.yaml", PIPELINE), ("read.py", READ), ("in.csv", "one\n")):
        Path(name).write_text(text)
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS))
    Path("code/__pycache__").mkdir(parents=True)
    Path("code/one.py").touch()
    Path("code/__pycache__/one.pyc").touch()
    Path(".dvcignore").write_text("__pycache__/\n")
    return tmp_path


def repro_with(edit) -> subprocess.CompletedProcess[str]:
    """`dvc repro` of a stage, with an edit after it has read and before it has written."""
    for name in ("has.read", "go.on"):
        Path(name).unlink(missing_ok=True)
    command = ["dvc", "repro", "used"]
    with Path("said").open("w") as said:
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=said, stderr=said)
        while not Path("has.read").exists():
            assert process.poll() is None, Path("said").read_text()
            time.sleep(0.05)
        edit()
        Path("go.on").touch()
        status = process.wait(60)
    return subprocess.CompletedProcess(command, status, Path("said").read_text())


def test_an_edit_while_a_stage_is_at_work_is_none_of_its_inputs(pipeline):
    """Without this, DVC would take the edited file, or parameter, for what it had read."""
    dvc("init", "--no-scm")
    edited = yaml.safe_dump(PARAMS | {"lr": 2})
    ended = repro_with(lambda: Path("params.yaml").write_text(edited))
    assert ended.returncode != 0
    assert "error: params.yaml: lr changed while used was at work" in ended.stdout
    assert "Traceback" not in ended.stdout
    assert not Path("dvc.lock").exists()
    ended = repro_with(lambda: Path("params.yaml").write_text(edited + "# of no stage\n"))
    assert ended.returncode == 0, ended.stdout
    assert Path("out.txt").read_text() == f"one\n{edited}"
    locked = yaml.safe_load(Path("dvc.lock").read_text())["stages"]["used"]
    assert locked["params"]["params.yaml"]["lr"] == 2


@pytest.mark.parametrize(
    ("edit", "name"),
    [
        (lambda: Path("in.csv").write_text("three\n"), "in.csv"),
        (lambda: Path("in.csv").unlink(), "in.csv"),
        (lambda: Path("code/two.py").touch(), "code/two.py"),
        (lambda: Path("code/__pycache__/two.pyc").touch(), None),
        (lambda: Path("code/.DS_Store").touch(), None),
        (lambda: os.utime("read.py", ns=(0, 0)), "read.py"),
        (lambda: Path("params.yaml").write_text(yaml.safe_dump(PARAMS | {"other": 2})), None),
        (lambda: Path("params.yaml").write_text("{"), "in the middle of an edit"),
    ],
)
def test_what_counts_as_a_change(pipeline, monkeypatch, edit, name):
    monkeypatch.setenv(inputs.BY_DVC, "used")
    before = inputs.state()
    assert {"in.csv", "read.py", "code/one.py", "params.yaml: lr"} == before.keys()
    edit()
    changed = inputs.changed(before)
    if name == "in the middle of an edit":
        assert "dvc.yaml or params.yaml" in changed
    else:
        assert changed == ([name] if name else [])


def test_a_stage_for_each_of_several_has_its_own_inputs(pipeline, monkeypatch):
    monkeypatch.setenv(inputs.BY_DVC, "each@here")
    before = inputs.state()
    assert set(before) == {
        "in.csv",
        "params.yaml: sources.here.place",
        "params.yaml: sources.here.weight",
    }


def test_where_dvc_runs_no_stage_nothing_is_held_against_anything(pipeline, monkeypatch):
    monkeypatch.delenv(inputs.BY_DVC, raising=False)
    assert inputs.state() == {}
    monkeypatch.setenv(inputs.BY_DVC, "of another pipeline")
    assert inputs.state() == {}
