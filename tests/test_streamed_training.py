"""Training on streamed faces: what it learns, and that it goes on in the middle of an epoch."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import ROOT, edit_params
from servers_of_shards import s3_server, web_server
from test_devices import ended, started
from test_streaming import small, write  # noqa: F401 (a fixture)
from test_training import Killed, new_trainer

import train
from faceage.core import params, shards, tables
from faceage.core.script import UserError
from faceage.networks import saved_model, streaming
from faceage.networks.streaming import BUFFER
from faceage.tracking.run import Run
from faceage.training.checkpoints import Checkpoint
from faceage.training.dataset import FaceDataset
from faceage.training.loop import Fitted, Trainer

HISTORY = Path("reports/history.csv")
BATCH = 6
STEPS = 6  # of an epoch, of two
OFTEN: dict[str, object] = {"train.checkpoint_minutes": 0}  # after every step


@pytest.fixture(autouse=True)
def short(small, monkeypatch):  # noqa: F811
    monkeypatch.setattr(shards, "WAITS", (0.01,))
    write(count=45)
    edit_params(
        {
            **{"model": "test_resnet", "tracking": False, "train.img_size": 32, "train.epochs": 2},
            **{"train.batch_size": BATCH, "train.warmup_epochs": 0, "train.pixels": "stream"},
        }
    )


def trained() -> tuple[str, bytes]:
    """Run the stage; its history and its model."""
    train.main()
    return HISTORY.read_text(), (saved_model.FOLDER / saved_model.WEIGHTS).read_bytes()


def test_a_streamed_training_learns_what_one_in_memory_does_from_the_same_order(monkeypatch):
    found = trained()
    orders = {}
    order = FaceDataset.order

    def noted(self, generator, *arguments):
        seed = generator.initial_seed()
        if seed not in orders:
            orders[seed] = (order(self, generator, *arguments), generator.get_state())
        rows, state = orders[seed]
        generator.set_state(state)
        return rows

    monkeypatch.setattr(FaceDataset, "order", noted)
    assert trained() == found
    edit_params({"train.pixels": "memory"})
    assert trained() == found


class Taken:
    """Rows of all steps of a training, which is killed before one of them."""

    def __init__(self, trainer: Trainer, monkeypatch: pytest.MonkeyPatch, kill: int | None) -> None:
        self.rows: list[list[int]] = []
        step = trainer.step

        def noted(rows, generator):
            if len(self.rows) == kill:
                raise Killed
            self.rows.append(rows.tolist())
            return step(rows, generator)

        monkeypatch.setattr(trainer, "step", noted)


def fit(
    name: str, monkeypatch: pytest.MonkeyPatch, kill: int | None = None
) -> tuple[Fitted | None, list[list[int]]]:
    settings = params.load(params.TrainParams)
    read = train.read_faces(settings, Run())
    trainer = new_trainer(settings, read.train)
    taken = Taken(trainer, monkeypatch, kill)
    try:
        return trainer.fit(Checkpoint(name), "run", lambda *_: None), taken.rows
    except Killed:
        return None, taken.rows


@pytest.mark.parametrize("pixels", ["memory", "stream"])
def test_who_is_killed_within_an_epoch_takes_each_face_once_and_ends_alike(pixels, monkeypatch):
    edit_params({"train.pixels": pixels, "train.reweight": "loss", "train.mixup": 0.2} | OFTEN)
    whole, rows = fit("whole", monkeypatch)
    assert whole
    assert len(rows) == 2 * STEPS
    for kill in (1, STEPS, STEPS + 2):
        first, before = fit(f"killed{kill}", monkeypatch, kill)
        assert first is None
        again, after = fit(f"killed{kill}", monkeypatch)
        assert before + after == rows
        assert again
        assert again.history == whole.history
        assert all(torch.equal(again.weights[name], whole.weights[name]) for name in whole.weights)


def test_kill_9_in_the_middle_of_an_epoch_changes_no_digit(workspace, monkeypatch):
    monkeypatch.setattr(streaming, "BUFFER", BUFFER)  # that of the process which is killed
    edit_params(OFTEN)
    found = trained()
    for path in (HISTORY, saved_model.FOLDER / saved_model.WEIGHTS):
        path.unlink()
    process = subprocess.Popen([sys.executable, str(ROOT / "src/train.py")])
    kept: list[Path] = []
    while not kept:
        assert process.poll() is None
        time.sleep(0.001)
        kept = list(workspace.glob(".checkpoints/*/member1.pt"))
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    state = Checkpoint(kept[0].parent.name).load()
    assert state
    assert 0 < state["begun"]["steps"] < STEPS
    assert not HISTORY.exists()
    assert trained() == found


def test_what_is_learned_from_s3_is_what_is_learned_from_the_disk():
    found = trained()
    with s3_server(Path("data")) as bucket:
        edit_params({"train.faces": f"{bucket}/faces.parquet/index.json"})
        assert trained() == found
        edit_params({"train.pixels": "memory"})
        train.main()
    assert len(pd.read_csv(HISTORY)) == 2


def test_a_line_that_is_cut_is_a_sentence_and_the_training_goes_on(monkeypatch, capsys):
    monkeypatch.setattr(streaming, "AHEAD", 1)
    edit_params(OFTEN)
    found = trained()
    step, steps = Trainer.step, []
    with web_server(Path("data")) as server:
        edit_params({"train.faces": f"{server.address}/faces.parquet/index.json"})

        def cut_in_the_second_epoch(self, rows, generator):
            steps.append(rows)
            if len(steps) == STEPS + 2:
                server.stop()
            return step(self, rows, generator)

        monkeypatch.setattr(Trainer, "step", cut_in_the_second_epoch)
        with pytest.raises(UserError, match=r"parquet cannot be read .* run the same command"):
            train.main()
        done = len(steps) - STEPS - 1  # the last one got no pixels
    assert 1 <= done < STEPS
    capsys.readouterr()
    with web_server(Path("data"), server.port):
        assert trained() == found
    assert f"going on after step {done} of epoch 2" in capsys.readouterr().out


def test_a_sampler_cannot_be_streamed():
    edit_params({"train.reweight": "sampler"})
    with pytest.raises(UserError, match=r"train: pixels: stream reads each face once an epoch"):
        params.load(params.TrainParams)


def test_a_model_says_which_shards_it_is_from():
    train.main()
    assert saved_model.describe()["data"]["faces.parquet"] == shards.Shards(tables.FACES).digest


@pytest.mark.slow
def test_processes_that_stream_shards_of_their_own_learn_what_one_does_in_that_order(monkeypatch):
    launcher = started("src/train.py")
    assert ended(launcher) == 0, Path("errors.txt").read_text()
    found = pd.read_csv(HISTORY)
    order = Trainer._order
    monkeypatch.setattr(streaming, "BUFFER", BUFFER)
    monkeypatch.setattr(Trainer, "_order", lambda self, generator, _: order(self, generator, 2))
    train.main()
    pd.testing.assert_frame_equal(found, pd.read_csv(HISTORY), rtol=0.02)
