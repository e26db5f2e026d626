"""The real DVC queue with four workers: no experiment is lost, none has another's result."""

import csv
import io

import pytest
import tiny_pipeline
import yaml
from test_pipeline import call

from faceage.core import repository
from faceage.experiments import queue


@pytest.mark.slow
def test_eight_experiments_on_four_workers(tmp_path, monkeypatch):
    made = tiny_pipeline.make(tmp_path / "repository")
    tiny_pipeline.work_in(made, monkeypatch)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # which the queue sets for its workers
    monkeypatch.setattr(queue, "POLL", 1)
    rates = {f"rate-{number}": round(0.01 * 2**number, 4) for number in range(1, 9)}
    commands = {
        name: ["dvc", "exp", "run", "--queue", "-n", name, "-S", f"train.lr={rate}"]
        for name, rate in rates.items()
    }
    assert sorted(queue.work_off(commands, jobs=4)) == sorted(rates)
    call("dvc", "queue", "stop", cwd=made)
    assert sorted(tiny_pipeline.trained(made)) == sorted(rates), "each was trained once"
    commits = queue.finished()
    assert len(set(commits.values())) == len(rates)
    for name, rate in rates.items():
        params = yaml.safe_load(repository.git("show", f"{commits[name]}:params.yaml"))
        history = repository.git("show", f"{commits[name]}:reports/history.csv")
        last = list(csv.DictReader(io.StringIO(history)))[-1]
        assert params["train"]["lr"] == rate
        assert float(last["val_mae"]) == pytest.approx(tiny_pipeline.error(rate))
