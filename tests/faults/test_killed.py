"""SIGKILL to `dvc repro`, its stage or both: the next `dvc repro` ends as if nothing had been."""

import os
import signal
import subprocess
import time
from collections import Counter

import killing
import pytest
import reading
import record
import tiny_pipeline
from conftest import edit_params
from test_pipeline import call, commit

from faceage.core import hashing

KILLS = 40
OUTPUTS = ("models/model.bin", "reports/history.csv", "reports/predictions.csv")


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    pipeline = killing.Pipeline(tmp_path_factory.mktemp("few"))
    pipeline.make(("sample",))
    return pipeline


@pytest.mark.parametrize("seed", [14, 26])  # all inside dvc.lock; dvc alone inside an output
def test_a_killed_stage(few, seed):
    outcome = killing.kill(few, "sample", seed)
    assert not outcome.startswith(record.LOST), outcome


def test_results_of_before_come_back_after_a_kill(tmp_path, monkeypatch):
    """DVC removes them when the stage starts; they are in its cache, and in git."""
    made = tiny_pipeline.make(tmp_path / "repository")
    tiny_pipeline.work_in(made, monkeypatch)
    monkeypatch.setenv("EPOCH_SECONDS", "0")
    call("dvc", "repro", cwd=made)
    commit(made, "results")
    before = [hashing.md5(made / path) for path in OUTPUTS]
    edit_params({"train.lr": 0.2}, made / "params.yaml")
    process = subprocess.Popen(
        ["dvc", "repro"], cwd=made, env=os.environ | {"EPOCH_SECONDS": "60"}, start_new_session=True
    )
    while len(tiny_pipeline.trained(made)) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (made / OUTPUTS[0]).exists()
    call("git", "checkout", "--quiet", "dvc.lock", "params.yaml", "reports", cwd=made)
    call("dvc", "checkout", cwd=made)
    assert [hashing.md5(made / path) for path in OUTPUTS] == before
    assert "up to date" in call("dvc", "repro", cwd=made).stdout


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """The pipeline before and after every stage, and what a reader of reports/ saw meanwhile."""
    pipeline = killing.Pipeline(tmp_path_factory.mktemp("all"))
    with reading.reader(pipeline.work / "reports") as seen:
        pipeline.make()
        pipeline.run("git", "add", "--all")
        pipeline.run("git", "commit", "--quiet", "--message", "results")
        for path in ("tables", "predictions.csv", "history.csv"):
            pipeline.run("rm", "-r", f"reports/{path}")
        restored = pipeline.run("dvc", "repro")
    assert restored.returncode == 0, restored.stderr
    return pipeline, seen


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_a_reader_of_reports_sees_no_half_file(read):
    """Neither while every stage writes nor while DVC puts back what was deleted."""
    seen = Counter(read[1])
    whole = seen.pop("whole")
    outcomes = Counter({"whole": whole, record.LOST: len(seen)})
    record.write("Two at once: a reader of reports/ during a run", {"files": outcomes})
    assert whole > len(killing.STAGES)
    assert not seen


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_many_killed_stages(read):
    pipeline = read[0]
    start = time.monotonic()
    found: dict[str, Counter[str]] = {stage: Counter() for stage in killing.STAGES}
    for seed in range(KILLS):
        stage = killing.STAGES[seed % len(killing.STAGES)]
        outcome = killing.kill(pipeline, stage, seed)
        print(f"{stage} {seed}: {outcome}", flush=True)
        found[stage][outcome.split(":")[0]] += 1
    minutes = (time.monotonic() - start) / 60
    record.write("Killed anywhere: stages of dvc repro", found, f"{minutes:.1f} minutes.")
    assert all(map(record.survived, found.values())), found
