"""Protocols: each is valid with each recipe, folds are run once, tables hold what was measured."""

import json
import shutil
import statistics
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, edit_params
from test_pipeline import call, commit

import protocol as script
from faceage.core.script import UserError
from faceage.experiments import overrides, protocol_table, protocols, queue

NAMES = sorted(path.stem for path in (ROOT / "protocols").glob("*.yaml"))
GIVEN = {"file": ["split.source=published.csv"]}


@pytest.fixture
def repository(workspace: Path) -> Path:
    """A repository with recipes and protocols, of one commit."""
    for name in ("recipes", "protocols"):
        shutil.copytree(ROOT / name, workspace / name)
    (workspace / "benchmarks").mkdir()
    shutil.copy(ROOT / "benchmarks/protocols.md", workspace / "benchmarks")
    shutil.copy(ROOT / "README.md", workspace)
    Path("benchmarks/protocols.json").write_text("{}")
    Path("published.csv").write_text("path,split\n")
    call("git", "init", "--quiet", "--initial-branch", "main", cwd=workspace)
    commit(workspace, "start")
    return workspace


def finish(fold: protocols.Fold, metrics: dict, edits: dict | None = None) -> None:
    """Leave the fold's experiment behind as DVC does: a commit with a ref of its name."""
    before = Path("params.yaml").read_text()
    Path("params.yaml").write_text(yaml.safe_dump(fold.params.model_dump()))
    edit_params(edits or {})
    Path("reports").mkdir(exist_ok=True)
    Path("reports/metrics.json").write_text(json.dumps({"test": metrics}))
    here = Path.cwd()
    head = call("git", "rev-parse", "HEAD", cwd=here).stdout.strip()
    commit(here, fold.name)
    ref = f"refs/exps/{head[:2]}/{head[2:]}/{fold.name}"
    call("git", "update-ref", ref, "HEAD", cwd=here)
    call("git", "reset", "--quiet", "--hard", head, cwd=here)
    Path("params.yaml").write_text(before)


def metrics(mae: float) -> dict:
    return {"n": 100, "mae": mae, "rmse": mae + 2, "cs5": 0.6, "cs10": 0.8}


@pytest.mark.parametrize("name", NAMES)
def test_a_protocol_is_valid_with_every_recipe_and_has_the_last_word(name, repository):
    protocol = protocols.load(name)
    for recipe in sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))[:3]:
        folds = protocols.folds(name, recipe, GIVEN.get(name, []))
        assert [fold.seed for fold in folds] == protocol.seeds
        assert len({fold.name for fold in folds}) == len(folds)
        for fold in folds:
            params = fold.params.model_dump()
            assert params["seed"] == fold.seed
            for key, value in protocol.changes.items():
                section, last = key.split(".")
                assert params[section][last] == value, key


def test_the_published_protocols_are_what_they_are_called(repository):
    shares = ("train", "val", "test")
    (first, *_) = protocols.folds("all-ages-5", "faceage", [])
    split = first.params.split
    assert [getattr(split, name) for name in shares] == [0.6, 0.2, 0.2]
    assert (split.clusters, split.stratify) == ("none", False)
    assert first.params.data.conflicts == "keep"
    (first, *_) = protocols.folds("21-60", "faceage", [])
    assert (first.params.data.min_age, first.params.data.max_age) == (21, 60)
    assert first.params.split.test == 0.2
    assert first.params.target.name == "dldl", "the recipe's"


def test_options_are_those_of_the_recipe_the_protocol_and_the_command_in_this_order(repository):
    given = ["train.epochs=1", "train.lr=0.01", "data.source=published.csv"]
    fold = protocols.folds("all-ages-5", "faceage", given)[2]
    assert fold.name == "all-ages-5-faceage-seed-2"
    assert fold.command[:6] == ["dvc", "exp", "run", "--queue", "-n", fold.name]
    assert fold.command[-1] == "evaluate"
    overrides = fold.options[1::2]
    assert set(fold.options[::2]) == {"-S"}
    assert overrides.index("train.lr=0.001") < overrides.index("train.lr=0.01")
    assert f"data.source={repository / 'published.csv'}" in overrides
    assert fold.params.train.epochs == 1
    assert overrides.index("train.epochs=1") < overrides.index("split.train=0.6")


@pytest.mark.parametrize(
    ("name", "recipe", "given", "message"),
    [
        ("all-ages", "faceage", [], "there is no protocol all-ages; there are 21-60"),
        ("21-60", "facage", [], "there is no recipe facage; did you mean faceage"),
        ("21-60", "faceage", ["split.test=0.1"], "split.test is fixed by the protocol 21-60"),
        ("21-60", "faceage", ["seed=4"], "seed is fixed by the protocol"),
        ("21-60", "faceage", ["train.epochs"], "-S takes key=value, and was given train.epochs"),
        ("21-60", "faceage", ["train.epoch=3"], "epoch"),
        ("21-60", "faceage", ["train.epochs=0"], "train.epochs is 0"),
        ("file", "faceage", [], "the protocol file needs -S split.source=..."),
    ],
)
def test_what_cannot_be_measured_is_a_clear_error(repository, name, recipe, given, message):
    with pytest.raises(UserError) as error:
        protocols.folds(name, recipe, given)
    assert message in str(error.value)


def test_a_protocol_that_does_not_say_what_it_has_to_is_refused(repository):
    content = yaml.safe_load(Path("protocols/21-60.yaml").read_text())
    del content["published"][0]["certain"]
    Path("protocols/21-60.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"21-60\.yaml: published\.0\.certain: Field required"):
        protocols.load("21-60")


def test_mean_and_standard_deviation_are_those_of_a_sample():
    found = protocols.mean_and_sd([4.0, 5.0, 6.0, 7.0])
    assert found["mean"] == 5.5
    assert found["sd"] == pytest.approx((5 / 3) ** 0.5)  # squares 2.25, .25, .25, 2.25 over n - 1
    assert protocols.mean_and_sd([4.0]) == {"mean": 4.0, "sd": None}


class Queue:
    """What `dvc` says and does, as far as the queue goes: tasks end as `outcome` says."""

    def __init__(self, folds, outcome) -> None:
        self.folds = {fold.name: fold for fold in folds}
        self.outcome = outcome
        self.states: dict[str, str] = {}
        self.queued: list[str] = []

    def __call__(self, command) -> str:
        match list(command)[:3]:
            case ["dvc", "exp", "run"]:
                name = command[command.index("-n") + 1]
                self.queued.append(name)
                self.states[name] = "Queued"
            case ["dvc", "queue", "status"]:
                lines = [f"7ee0f1c  {name}  10:15 AM  {s}" for name, s in self.states.items()]
                return "\n".join(
                    ["Task     Name  Created   Status", *lines, "", "Worker status: 0"]
                )
            case ["dvc", "queue", "remove"]:
                del self.states[command[3]]
            case ["dvc", "queue", "start"]:
                for name in [name for name, state in self.states.items() if state == "Queued"]:
                    self.states[name] = "Success" if self.outcome else "Failed"
                    if self.outcome:
                        finish(self.folds[name], self.outcome)
        return ""


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr(queue, "POLL", 0)
    monkeypatch.setattr(protocols.mlflow_runs, "minutes_of_training", lambda name: None)


def test_folds_that_exist_are_not_run_again(repository, monkeypatch, no_waiting, capsys):
    folds = protocols.folds("21-60", "faceage", [])
    finish(folds[0], metrics(4.0))
    dvc = Queue(folds, metrics(5.0))
    dvc.states = {folds[1].name: "Failed"}  # which was killed, say
    monkeypatch.setattr(queue, "_call", dvc)
    script.measure("21-60", "faceage", [])
    assert dvc.queued == [folds[1].name, folds[2].name]
    assert "1 of 3 folds are there" in capsys.readouterr().out
    script.measure("21-60", "faceage", [])
    assert len(dvc.queued) == 2
    (entry,) = json.loads(Path("benchmarks/protocols.json").read_text()).values()
    assert [fold["mae"] for fold in entry["folds"]] == [4.0, 5.0, 5.0]
    assert entry["summary"]["mae"]["mean"] == pytest.approx(14 / 3, abs=1e-4)
    assert entry["summary"]["mae"]["sd"] == pytest.approx(statistics.stdev([4, 5, 5]), abs=1e-4)
    head = call("git", "rev-parse", "--short", "HEAD", cwd=repository).stdout.strip()
    assert {fold["commit"] for fold in entry["folds"]} == {head}
    page = Path("benchmarks/protocols.md").read_text()
    assert "| **4.67 ± 0.58** | 60.0% ± 0.0% |" in page
    assert page.count("not measured") == len(NAMES) - 2  # `file` has no row without a file


def test_folds_measured_elsewhere_stay_and_each_new_one_is_written(
    repository, monkeypatch, no_waiting
):
    """As after a new commit on another machine, where DVC knows nothing of the experiments."""
    folds = protocols.folds("21-60", "faceage", [])
    results = Path("benchmarks/protocols.json")
    dvc = Queue(folds, metrics(5.0))
    monkeypatch.setattr(queue, "_call", dvc)
    script.measure("21-60", "faceage", [])
    entry = json.loads(results.read_text())
    rows = entry["21-60/faceage"]["folds"]
    rows[0]["mae"] = 4.0
    del rows[1:]
    commit(repository, "another")
    results.write_text(json.dumps(entry))
    dvc.states, dvc.queued, written = {}, [], []
    write = script.write_results

    def writing(new: dict) -> None:
        written.append(new)
        write(new)

    monkeypatch.setattr(script, "write_results", writing)
    script.measure("21-60", "faceage", [])
    assert dvc.queued == [folds[1].name, folds[2].name]
    assert len(written) == 2
    (entry,) = json.loads(results.read_text()).values()
    assert [fold["mae"] for fold in entry["folds"]] == [4.0, 5.0, 5.0]
    assert len({fold["commit"] for fold in entry["folds"]}) == 2


def test_what_is_there_of_a_protocol_is_shown_as_such(repository, no_waiting):
    folds = protocols.folds("21-60", "faceage", [])
    finish(folds[1], metrics(4.0))
    entry = protocols.measured("21-60", "faceage", folds, queue.finished(), {})
    table = protocol_table.table({"21-60": protocols.load("21-60")}, {"": entry})
    assert "| **4.00** | 60.0% |" in table
    assert "| 1 of 3 |" in table


def test_parameters_are_the_same_wherever_the_files_lie(repository):
    Path("there").mkdir()
    for path in ("faces.tar", "there/faces.tar", "there/others.tar"):
        Path(path).touch()
    params = [
        protocols.comparable(protocols.folds("21-60", "faceage", [f"data.source={path}"])[0].params)
        for path in ("faces.tar", "there/faces.tar", "there/others.tar")
    ]
    assert params[0] == params[1] != params[2]


@pytest.mark.parametrize(
    ("then", "stays"),
    [
        ({}, True),
        ({"train.lr": 0.5}, False),
        ({"train.gone": 1}, False),
        ({"train.img_size": None}, False),
    ],
)
def test_a_fold_stays_if_no_parameter_of_then_is_another_now(repository, then, stays):
    folds = protocols.folds("21-60", "faceage", [])
    params = protocols.comparable(folds[0].params)
    del params["train.lr"]  # as of a version without it
    entry = {"params": params | then, "folds": [{"seed": 1, "mae": 4.0}]}
    expected = {1: {"seed": 1, "mae": 4.0}} if stays else {}
    assert protocols.kept(folds, entry) == expected


def test_jobs_share_the_cores(repository, monkeypatch, no_waiting):
    folds = protocols.folds("21-60", "faceage", [])
    dvc, started = Queue(folds, metrics(5.0)), []

    def calling(command: list[str]) -> str:
        started.append([*command])
        return dvc(command)

    monkeypatch.setattr(queue, "_call", calling)
    monkeypatch.setattr(queue.os, "cpu_count", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    script.measure("21-60", "faceage", [], jobs=2)
    assert ["dvc", "queue", "start", "--jobs", "2"] in started
    assert queue.os.environ["OMP_NUM_THREADS"] == "2"


def test_a_fold_of_other_parameters_is_not_taken_for_one_of_these(repository):
    folds = protocols.folds("21-60", "faceage", [])
    finish(folds[1], metrics(4.0), {"train.epochs": 2})
    with pytest.raises(
        UserError, match=r"seed-1 exists and had other parameters \(train\.epochs\)"
    ):
        overrides.refuse_others({fold.name: fold.params for fold in folds}, queue.finished())


def test_a_fold_that_fails_ends_the_run_with_its_name(repository, monkeypatch, no_waiting):
    folds = protocols.folds("21-60", "faceage", [])
    monkeypatch.setattr(queue, "_call", Queue(folds, None))
    with pytest.raises(UserError, match="seed-0 failed; `dvc queue logs 21-60-faceage-seed-0`"):
        script.measure("21-60", "faceage", [])
    assert json.loads(Path("benchmarks/protocols.json").read_text()) == {}


def test_a_command_that_fails_says_so_in_its_own_words():
    with pytest.raises(UserError, match="no-such-option"):
        queue._call(["git", "status", "--no-such-option"])


def test_published_splits_are_told_apart_by_their_files(repository):
    Path("other.csv").write_text("path,split\n")
    one, two = (
        protocols.folds("file", "faceage", [f"split.source={name}.csv"])
        for name in ("published", "other")
    )
    assert one[0].name == "file-published-faceage-seed-0"
    assert one[0].params.split.source == str(repository / "published.csv")
    for folds in (one, two):
        for fold in folds:
            finish(fold, metrics(5.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocols.mlflow_runs, "minutes_of_training", lambda name: 20.0)
        entries = [
            protocols.measured("file", "faceage", folds, queue.finished(), {})
            for folds in (one, two)
        ]
    keys = [protocols.key("file", "faceage", folds) for folds in (one, two)]
    assert keys == ["file/published.csv/faceage", "file/other.csv/faceage"]
    known = {"file": protocols.load("file")}
    lines = protocol_table.table(known, dict(zip(keys, entries))).splitlines()[2:]
    assert len(lines) == 2
    assert lines[0].startswith("| `file`, published.csv | ours: `faceage`, ")
    assert "| 112 | 3 | 20.0 |" in lines[0]


def test_a_recipe_of_classes_is_refused(repository):
    folds = protocols.folds("21-60", "faceage", [])
    for fold in folds:
        finish(fold, {"n": 100, "accuracy": 0.8})
    with pytest.raises(UserError, match="has classes and no ages"):
        protocols.measured("21-60", "faceage", folds, queue.finished(), {})


def test_the_page_shows_what_was_measured_and_every_published_figure(monkeypatch):
    """If not, `python src/protocol.py --table` writes it anew."""
    monkeypatch.chdir(ROOT)
    known = {name: protocols.load(name) for name in protocols.names()}
    entries = json.loads((ROOT / "benchmarks/protocols.json").read_text())
    for path, columns in script.PAGES.items():
        page = path.read_text()
        table = protocol_table.table(known, entries, columns)
        assert protocol_table.replaced(page, table) == page
    explained = (ROOT / "docs/protocols.md").read_text()
    for name, protocol in known.items():
        assert f"`{name}`" in explained
        for figure in protocol.published:
            assert figure.source in explained


def test_the_script_lists_and_says_what_it_needs(repository, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["protocol.py", "--list"])
    script.main()
    listed = capsys.readouterr().out
    assert all(name in listed for name in NAMES)
    monkeypatch.setattr("sys.argv", ["protocol.py", "21-60"])
    with pytest.raises(UserError, match="name a protocol and a recipe"):
        script.main()


def test_only_experiments_of_this_commit_count(repository):
    (fold, *_) = protocols.folds("21-60", "faceage", [])
    finish(fold, metrics(4.0))
    assert list(queue.finished()) == [fold.name]
    subprocess.run(["touch", "more"], check=True)
    commit(repository, "another")
    assert queue.finished() == {}
