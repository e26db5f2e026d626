"""Stages of the real pipeline killed with SIGKILL at drawn moments, and what is left of it then.

Each stage has a folder as it was before the stage ran. For each kill it is copied to the one place
that MLflow's database knows, `dvc repro` is started there, killed, and started again.
"""

import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml
from conftest import ROOT, Edit, edit_params
from test_pipeline import SMALL, commit, draw_elsewhere

from faceage.core import hashing

KNOWN: Edit = {"layout": "auto", "align": "never"}
# Faces for the stages that come once for each source.
ELSEWHERE: Edit = {
    "external": {"drawn": KNOWN | {"source": "data/elsewhere", "calibrate": None}},
    "data.sources": {"more": KNOWN | {"source": "data/further", "weight": 1.0, "split": None}},
}
SMALLER: Edit = SMALL | {
    "sample.faces": 100,
    "sample.img_size": 64,
    "evaluate.robustness_faces": 10,
    "evaluate.bootstrap": 100,
    "evaluate.legal_ages": [18],
    **ELSEWHERE,
}
STAGES = (
    *("check", "sample", "sources@more", "ingest", "split", "label_issues", "train", "evaluate"),
    *("external_names", "external@drawn", "explain", "report", "publish"),
)
# Moments of a kill.
ANY_TIME = "at any time"
OUTPUT = "inside a write of an output"
DATABASE = "inside one of MLflow's database"
DVC_LOCK = "inside DVC's of dvc.lock"
EPOCHS = "between two epochs"
LOGGING = {"train", "evaluate", "report", "publish"}  # to MLflow
TIMES = {"reports/cost.json"}  # seconds that were measured: others each time
STORE = Path("mlflow.db")
CHECKPOINT = ".checkpoints/*/member1.pt"
ENDED = {"FINISHED", "FAILED", "KILLED"}
PATIENCE = 120  # seconds in which what was not killed has to end by itself


@dataclass(frozen=True)
class Before:
    """A stage that has yet to run: its folder, how long it takes, what came out undisturbed."""

    stage: str
    folder: Path
    seconds: float
    hashes: dict[str, str]


class Pipeline:
    """The project with a small sample, and a copy of it before each stage."""

    def __init__(self, base: Path) -> None:
        self.work = base / "work"
        self.base = base
        kept = {key: text for key, text in os.environ.items() if not key.startswith("DVC_")}
        self.environment = kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "true",
            "DVC_SITE_CACHE_DIR": str(base / "site"),
            "OMP_NUM_THREADS": "1",  # digits are compared with those of runs with as many
        }
        self.before: dict[str, Before] = {}

    def make(self, stages: tuple[str, ...] = STAGES) -> None:
        """Run stages undisturbed, up to the last of these; keep the folder before each of these."""
        self._begin()
        last = max(map(STAGES.index, stages))
        for stage in STAGES[: last + 1]:
            folder = self.base / "before" / stage
            if stage in stages:
                copy(self.work, folder)
            start = time.monotonic()
            ended = self.dvc(stage)
            seconds = time.monotonic() - start
            assert ended.returncode == 0, ended.stdout + ended.stderr
            self.before[stage] = Before(stage, folder, seconds, self.hashes(stage))

    def _begin(self) -> None:
        self.work.mkdir(parents=True)
        for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(ROOT / name, self.work)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src", self.work / "src", ignore=ignored)
        (self.work / ".dvc").mkdir()
        for name in ("config", ".gitignore"):
            shutil.copy(ROOT / ".dvc" / name, self.work / ".dvc")
        draw(self.work)
        edit_params(SMALLER, self.work / "params.yaml")
        subprocess.run(["git", "init", "--quiet"], cwd=self.work, check=True)
        commit(self.work, "the project with a small sample")

    def start(self, stage: str) -> subprocess.Popen[bytes]:
        """`dvc repro` of a stage, leading a session of its own."""
        return subprocess.Popen(
            ["dvc", "repro", "--single-item", stage],
            cwd=self.work,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dvc(self, stage: str) -> subprocess.CompletedProcess[str]:
        """`dvc repro` of a stage to its end."""
        return self.run("dvc", "repro", "--single-item", stage)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command in the working folder to its end."""
        return subprocess.run(
            command,
            cwd=self.work,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    def hashes(self, stage: str) -> dict[str, str]:
        """What the stage's outputs are, file by file, and what dvc.lock says of them."""
        locked = yaml.safe_load((self.work / "dvc.lock").read_text())["stages"][stage]["outs"]
        found = {out["path"]: out["md5"] for out in locked if out["path"] not in TIMES}
        return found | {f"{path} itself": hashing.md5(self.work / path) for path in found}


def draw(tree: Path) -> None:
    """The faces that `ELSEWHERE` names."""
    (tree / "data").mkdir()
    draw_elsewhere(tree / "data/elsewhere", 20, 1000)
    draw_elsewhere(tree / "data/further", 20, 2000)


def copy(source: Path, target: Path) -> None:
    """A copy of a folder in which links, times and permissions are as they were."""
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", source, target], check=True)


def kill(pipeline: Pipeline, stage: str, seed: int) -> str:
    """Kill a stage once, see what is left, start it again; what came of it, or `lost: why`."""
    draw = random.Random(f"{stage} {seed}")
    before = pipeline.before[stage]
    own = EPOCHS if stage == "train" else DATABASE if stage in LOGGING else DVC_LOCK
    # Once at any time, once inside a write, and from then on one or the other.
    moment = (ANY_TIME, own, draw.choice([ANY_TIME, OUTPUT]))[seed // len(STAGES) % 3]
    by_itself = [] if moment == DVC_LOCK else ["dvc alone", "the stage alone"]
    whom = draw.choice(["all of them", "all of them", *by_itself])
    at = draw.uniform(0.2, 1) * before.seconds
    copy(before.folder, pipeline.work)
    process = pipeline.start(stage)
    when = _wait(process, at, moment, pipeline.work)
    if not _kill(process, whom):  # the moment did not come
        copy(before.folder, pipeline.work)
        process = pipeline.start(stage)
        when = _wait(process, 0.5 * at, ANY_TIME, pipeline.work)
        _kill(process, "all of them")
    left = _left_over(process.pid) or _damage(pipeline)
    how = f"lost: after the kill: {left}" if left else _go_on(pipeline, before)
    if how.startswith("lost"):
        return f"{how}: {stage} seed {seed}: {whom}, {when}"
    return f"{when.split(':')[0]}, {how}"


def _go_on(pipeline: Pipeline, before: Before) -> str:
    """Start a stage again that was killed; how that went, or `lost: why`."""
    epochs, runs = _first_epoch(pipeline.work), _runs(pipeline.work)
    how, again = "completed", pipeline.dvc(before.stage)
    if again.returncode:
        cleared = pipeline.run(sys.executable, "src/recover.py")
        if "left by a run that was killed: " not in cleared.stdout:
            return f"lost: {again.stderr[-1000:]}{cleared.stderr[-1000:]}"
        how, again = "completed after recover.py", pipeline.dvc(before.stage)
    if again.returncode:
        return f"lost: {again.stdout[-2000:]}{again.stderr[-2000:]}"
    if (found := pipeline.hashes(before.stage)) != before.hashes:
        wrong = [path for path, md5 in before.hashes.items() if found.get(path) != md5]
        return f"lost: other outputs: {wrong}"
    if reason := _damage(pipeline) or _unfinished(pipeline.work) or _open_runs(pipeline.work):
        return f"lost: in the end: {reason}"
    if epochs and len(_runs(pipeline.work)) != len(runs):
        return "lost: a training that goes on has another run"
    return how


def _wait(
    process: subprocess.Popen[bytes],
    at: float,
    moment: str,
    work: Path,
) -> str:
    """Wait for the drawn time, or until the moment is there; say when that was."""
    start = time.monotonic()
    is_inside = SHOWN_BY.get(moment)
    while process.poll() is None:
        passed = time.monotonic() - start
        if is_inside(work) if is_inside else passed > at:
            return f"{moment}: after {passed:.2f} s"
        time.sleep(0 if is_inside else 0.01)
    return "never"


def _output(work: Path) -> bool:
    folders = (work / name for name in ("data", "data/checked", "models", "reports"))
    more = (*work.glob("reports/*/"), *work.glob(".checkpoints/*/"), work / ".ingest")
    return any(name.endswith(".part") for folder in (*folders, *more) for name in _names(folder))


def _database(work: Path) -> bool:
    return (work / "mlflow.db-journal").exists()


def _dvc_lock(work: Path) -> bool:
    return _is_empty(work / "dvc.lock")


def _first_epoch(work: Path) -> bool:
    return any(work.glob(CHECKPOINT))


SHOWN_BY = {OUTPUT: _output, DATABASE: _database, DVC_LOCK: _dvc_lock, EPOCHS: _first_epoch}


def _names(folder: Path) -> list[str]:
    with suppress(OSError):
        return os.listdir(folder)
    return []


def _is_empty(path: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_size == 0
    return False


def _kill(process: subprocess.Popen[bytes], whom: str) -> bool:
    """Kill whom it was to be, or all where there is no such one yet; False if it has ended."""
    if process.poll() is not None:
        return False
    stages = [each for each in _session(process.pid) if "src/" in " ".join(each.cmdline())]
    if whom == "dvc alone":
        process.kill()
    elif whom == "the stage alone" and stages:
        for each in stages:
            with suppress(psutil.NoSuchProcess):
                each.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE)
    return True


def _session(leader: int) -> Iterator[psutil.Process]:
    """Processes of the session that `dvc repro` leads, with those that have lost their parent."""
    for each in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(each.pid) == leader and each.status() != psutil.STATUS_ZOMBIE:
                each.cmdline()
                yield each


def _left_over(leader: int) -> str:
    """Processes that have not ended by themselves in time; they are killed now."""
    deadline = time.monotonic() + PATIENCE
    while left := list(_session(leader)):
        if time.monotonic() > deadline:
            os.killpg(leader, signal.SIGKILL)
            return f"still at work: {left}"
        time.sleep(0.05)
    return ""


def _damage(pipeline: Pipeline) -> str:
    """What is broken of what may never be: MLflow's database, DVC's cache, earlier outputs."""
    work = pipeline.work
    if (work / STORE).exists():
        with closing(sqlite3.connect(work / STORE)) as database:
            (found,) = database.execute("PRAGMA integrity_check").fetchone()
        if found != "ok":
            return f"{STORE}: {found}"
    for entry in (work / ".dvc/cache/files/md5").glob("??/*"):
        name = entry.parent.name + entry.name.removesuffix(".dir")
        if len(name) == 32 and hashlib.md5(entry.read_bytes()).hexdigest() != name:
            return f"{entry} is another than its name says"
    return ""


def _unfinished(work: Path) -> str:
    """Temporary files that nobody will remove."""
    found = [path for path in work.rglob(".*.part") if ".git" not in path.parts]
    return f"left behind: {found}" if found else ""


def _open_runs(work: Path) -> str:
    """Runs of MLflow that have not ended."""
    still = [run for run in _runs(work) if run[1] not in ENDED]
    return f"open runs: {still}" if still else ""


def _runs(work: Path) -> list[tuple[str, str]]:
    """Name and status of each run in MLflow's database."""
    if not (work / STORE).exists():
        return []
    with closing(sqlite3.connect(work / STORE)) as database:
        tables = database.execute("SELECT name FROM sqlite_master").fetchall()
        if ("runs",) not in tables:  # a database that was killed before it had any
            return []
        return database.execute("SELECT name, status FROM runs").fetchall()
