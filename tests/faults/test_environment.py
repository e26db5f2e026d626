"""The disk is full, rights are lost, files go or change: a sentence, and all is well after it.

Each stage runs with a fault at a random one of its calls of the system, then, when the cause has
gone, once more. DVC_STAGE and a dvc.lock are as in a stage that DVC runs.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import record
import yaml
from conftest import ROOT, Edit, edit_params
from killing import ELSEWHERE, STAGES, draw

from faceage.core import hashing
from faceage.core.dotted import filled
from faceage.tracking import mlflow_runs

SMALL = {
    "sample.faces": 60,
    "sample.img_size": 64,
    "model": "test_resnet",
    "train.img_size": 32,
    "train.epochs": 3,
    "evaluate.bootstrap": 100,
}
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
WITHOUT_A_MODEL = ["check", "sample", "ingest", "split"]
RESULTS = ("data", "models", "reports")
TIMES = "reports/cost.json"  # which says how long something took
SPEEDS = re.compile(rb"<dd>[\d.,]+ (ms|faces a second)</dd>")  # what report.html shows of it
WATCHED = "reports/history.csv"  # grows by a row with each epoch, for those who look on
DISOWNED = "its results may be of either state and do not count"
KINDS = ("full", "io", "denied", "unreadable", "vanish", "change")  # of failing.c
MOMENTS = 2  # of each kind of fault in each stage


class Stages:
    """Runs stages in forks of one process, with faults: see forked_stages.py."""

    def __init__(self, folder: Path, names: Sequence[str], **environment: str) -> None:
        library, source = folder / "failing.so", ROOT / "tests/faults/failing.c"
        command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("needs gcc on Linux: apt-get install gcc")
        scripts = {Path(script_of(name)[0]).stem for name in names}
        one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self.said = {name: folder / name for name in ("out", "err")}
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/faults/forked_stages.py"), *scripts],
            env=os.environ | {"LD_PRELOAD": str(library)} | one_thread | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def run(self, stage: str, folder: Path, kind: str, call: int) -> tuple[int, dict[str, int]]:
        """Run a stage in the tree of a folder: exit status, calls of the sort of each kind.

        call: of those that the kind is about the one from which they fail
        """
        places = [folder / "root", *(folder / "tree" / name for name in RESULTS)]
        request = {
            "command": script_of(stage),
            "folder": str(folder / "tree"),
            "below": ":".join(map(str, places)),
            "kind": kind,
            "call": call,
            "environment": {"DVC_ROOT": str(folder / "root"), "DVC_STAGE": stage},
        }
        request |= {name: str(path) for name, path in self.said.items()}
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(request), file=self.process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer["status"], answer["calls"]

    def close(self) -> None:
        self.process.communicate()


class Undisturbed:
    """A folder in which all stages have run: tree/, and what lies in the real repository, root/."""

    def __init__(
        self, folder: Path, stages: Stages, names: Sequence[str], edits: Edit | None = None
    ) -> None:
        self.folder, self.stages = folder, stages
        tree = folder / "tree"
        tree.mkdir(parents=True)
        for name in ("dvc.yaml", "params.yaml"):
            shutil.copy(ROOT / name, tree)
        (tree / "src").symlink_to(ROOT / "src")
        edit_params(SMALL | (edits or {}), tree / "params.yaml")
        if any("@" in name for name in names):
            edit_params(ELSEWHERE, tree / "params.yaml")
            draw(tree)
        (folder / "root").mkdir()
        if "train" in names:
            write_database(folder / "root")
        self.calls = {}
        for name in names:
            status, self.calls[name] = stages.run(name, folder, "full", sys.maxsize)
            assert status == 0, stages.said["err"].read_text()
        self.outputs = {name: outputs_of(name) for name in names}
        locked = {
            name: {"outs": [{"path": path, "md5": hashing.md5(tree / path)} for path in paths]}
            for name, paths in self.outputs.items()
        }
        (tree / "dvc.lock").write_text(yaml.safe_dump({"stages": locked}))
        self.hashes = hashes(tree)

    def outcome(self, stage: str, kind: str, seed: int) -> str:
        """Run a stage with a fault and, when its cause has gone, without."""
        count = self.calls[stage][kind]
        if not count:
            return ""
        work, outputs = self.folder.with_name("work"), self.outputs[stage]
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(self.folder, work, symlinks=True)
        for path in outputs:  # as DVC does before it runs a stage
            remove(work / "tree" / path)
        call = random.Random(f"{stage} {kind} {seed}").randint(1, count)
        status, _ = self.stages.run(stage, work, kind, call)
        said = {name: path.read_text() for name, path in self.stages.said.items()}
        fault = f"{record.LOST}: {stage}, {kind} at {call} of {count}, status {status}"
        sentences = re.findall(r"^error: .+", said["err"], re.MULTILINE)
        if "Traceback" in said["err"] or len(sentences) != (status != 0):
            return f"{fault}: {said['err'][-3000:]}"
        written = self.others_than_undisturbed(work / "tree", outputs)
        written = [path for path in written if status == 0 or path != WATCHED]
        if (
            DISOWNED in said["err"]
        ):  # whole, of another state; DVC takes nothing of a stage that failed
            written = []
        left = [str(path) for path in work.rglob("*.part")]
        if written or left:
            return f"{fault}: left behind {written} {left}"

        self.put_back_inputs(work / "tree", outputs)
        status, _ = self.stages.run(stage, work, "none", 0)
        again = {name: path.read_text() for name, path in self.stages.said.items()}
        if status or hashes(work / "tree") != self.hashes:
            others = self.others_than_undisturbed(work / "tree", list(RESULTS))
            return f"{fault}, not mended: {others} {again['err'][-3000:]}"
        finished = re.findall(r"^epoch +(\d+)/", said["out"], re.MULTILINE)
        if sentences and finished and f"going on after epoch {finished[-1]} " not in again["out"]:
            return f"{fault}: epoch {finished[-1]} was lost"
        return "a sentence" if sentences else "done all the same"

    def others_than_undisturbed(self, tree: Path, places: list[str]) -> list[str]:
        """Files in some places that are not as they were without a fault, but for times."""
        found = hashes(tree)
        return [
            path
            for path in found
            if any(path == place or path.startswith(f"{place}/") for place in places)
            and found[path] != self.hashes.get(path)
        ]

    def put_back_inputs(self, tree: Path, outputs: list[str]) -> None:
        for path in self.hashes:
            if not any(path == place or path.startswith(f"{place}/") for place in outputs):
                shutil.copy2(self.folder / "tree" / path, tree / path)


def write_database(root: Path) -> None:
    """Without a run: its hundred tables would be most of the calls of the stage that came first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(root))
        mlflow_runs.database()


def as_written(stage: str) -> tuple[dict[str, Any], dict[str, str]]:
    """A stage of dvc.yaml, and the values of its texts: the key of a source, where it is of one."""
    name, _, key = stage.partition("@")
    written = PIPELINE[name]
    return written.get("do", written), {"key": key}


def script_of(stage: str) -> list[str]:
    """What `python` is given: script and arguments."""
    written, values = as_written(stage)
    return filled(written["cmd"], values).split()[1:]


def outputs_of(stage: str) -> list[str]:
    """Paths that a stage writes."""
    written, values = as_written(stage)
    outs = [out for sort in ("outs", "metrics", "plots") for out in written.get(sort, [])]
    return [filled(out if isinstance(out, str) else next(iter(out)), values) for out in outs]


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def hashes(tree: Path) -> dict[str, str]:
    """Of all results but for those that are times."""
    files = (path for name in RESULTS for path in (tree / name).rglob("*") if path.is_file())
    names = {path.relative_to(tree).as_posix(): path for path in files}
    return {name: _hash(path) for name, path in names.items() if name != TIMES}


def _hash(path: Path) -> str:
    return hashing.sha256_of(SPEEDS.sub(b"", path.read_bytes()))


@contextmanager
def undisturbed(
    folder: Path, names: Sequence[str], edits: Edit | None = None, **environment: str
) -> Iterator[Undisturbed]:
    """Run stages from nothing, in a process with this environment."""
    folder.mkdir(exist_ok=True)
    stages = Stages(folder, names, **environment)
    try:
        yield Undisturbed(folder / "undisturbed", stages, names, edits)
    finally:
        stages.close()


def disturb(made: Undisturbed, names: Sequence[str], moments: int) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for kind in KINDS:
        outcomes = [made.outcome(name, kind, seed) for name in names for seed in range(moments)]
        print(*(text for text in outcomes if text.startswith(record.LOST)), sep="\n")
        found[kind] = Counter(text.split(":")[0] for text in outcomes if text)
    return found


def test_a_fault_of_each_kind_in_stages_without_a_model(tmp_path):
    with undisturbed(tmp_path, WITHOUT_A_MODEL) as made:
        found = disturb(made, ["ingest", "split"], 1)
    assert all(map(record.survived, found.values())), found
    assert sum(outcomes["a sentence"] for outcomes in found.values()) >= 8


@pytest.mark.faults
@pytest.mark.timeout(1500)
def test_faults_in_all_stages(tmp_path):
    with undisturbed(tmp_path, STAGES) as made:
        found = disturb(made, STAGES, MOMENTS)
    named = {
        "full": "the disk is full",
        "io": "the disk fails",
        "denied": "no right to write",
        "unreadable": "no right to read",
        "vanish": "a file goes",
        "change": "a file changes",
    }
    title = "The environment: faults at random calls of the system, two of each kind in each stage"
    record.write(title, {named[kind]: outcomes for kind, outcomes in found.items()})
    assert all(map(record.survived, found.values())), found
