"""The comment of a pull request, against two commits of a real git repository with real figures."""

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import edit_params
from matplotlib.figure import Figure
from PIL import Image

import pr_comment as script
from faceage.core.script import UserError
from faceage.reporting import themes

AGES = np.random.default_rng(0).integers(1, 90, 60).astype(float)
FACES = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(len(AGES))]
IMAGES = "https://forge.example/team/faces/raw/{commit}/{path}"


def git(*command):
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    result = subprocess.run(["git", *identity, *command], check=True, capture_output=True)
    return result.stdout.decode().strip()


def commit(message):
    git("add", "--all")
    git("commit", "--quiet", "-m", message)
    return git("rev-parse", "HEAD")


def draw(name, height):
    path = Path("reports/figures", f"{name}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(rendered(name, height))


@cache
def rendered(name, height):
    """A figure as the report renders them."""

    def bars(theme):
        figure = Figure(figsize=(2, 1))
        figure.subplots().bar([name], [height], color=theme.first)
        return figure

    return themes.png(bars, themes.LIGHT)


def run_pipeline(error, *, lr=0.1, faces=FACES, **stages):
    """Leave what a run leaves whose predictions are all too high by `error` years."""
    draw("overview", error)
    draw("history", lr)
    draw("ages_by_split", 1)
    table = pd.DataFrame({"face": faces, "age": AGES, "predicted": AGES + error})
    table.to_csv("reports/predictions.csv", index=False)
    test = {"n": 60, "mae": error, "mae_low": error - 1, "cs5": 0.5, "r2": None}
    Path("reports/metrics.json").write_text(json.dumps({"test": test, "synthetic": True}))
    Path("reports/cost.json").write_text(json.dumps({"bytes": round(error) + 19_727_705}))
    code = {"path": "src/train.py", "md5": "c0de"}
    train = {
        "cmd": "python src/train.py",
        "deps": [code],
        "params": {"params.yaml": {"seed": 0, "train": {"lr": lr, "augment": [{"name": "a|b"}]}}},
        "outs": [{"path": "models/model.safetensors", "md5": str(error)}],
    }
    split = {"cmd": "python src/split.py", "deps": [code], "outs": []}
    lock = {"schema": "2.0", "stages": {"split": split, "train": train, **stages}}
    Path("dvc.lock").write_text(yaml.safe_dump(lock))


@pytest.fixture
def base(workspace):
    """Full hash of a commit of a run, on branch main; the working tree is on branch wider."""
    git("init", "--quiet", "--initial-branch", "main")
    edit_params({"evaluate.bootstrap": 200})
    run_pipeline(6.0)
    found = commit("base")
    git("checkout", "--quiet", "-b", "wider")
    return found


@pytest.fixture
def printed(monkeypatch, capsys):
    """What the script prints, given these arguments."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["pr_comment.py", *arguments])
        script.main()
        return capsys.readouterr().out

    return call


def sections(text):
    """Text under each heading; the verdict's is called `verdict`."""
    parts = re.split(r"^####? (.+)$", text, flags=re.M)[1:]
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    return {"verdict": f"{parts[0]}\n{parts[1]}", **found}


def test_the_verdict_comes_first(base, printed):
    run_pipeline(2.0)
    head = commit("head")
    text = printed("--base", "main")
    first = f"### `wider` ({head[:7]}) against `main` ({base[:7]}): better\n"
    assert text.startswith(first)
    assert "The difference is **\N{MINUS SIGN}4.00 years**" in text
    assert "| **all** | 60 | 6.00 | 2.00 |" in text
    run_pipeline(7.0)
    assert ": worse\n" in printed("--base", base).splitlines(keepends=True)[0]


def test_metrics_and_parameters_that_differ(base, printed):
    run_pipeline(2.0, lr=0.2)
    found = sections(printed("--base", "main"))
    rows = [line for line in found["Metrics"].splitlines() if line.startswith("|")]
    assert rows == [
        "| test set | base | head | difference |",
        "| --- | --: | --: | --: |",
        "| Mean absolute error (MAE), years | 6.00 | 2.00 | \N{MINUS SIGN}4.00 |",
        "| number | base | head | difference |",
        "| --- | --: | --: | --: |",
        "| `test.mae` | 6 | 2 | \N{MINUS SIGN}4 |",
        "| `bytes` | 19,727,711 | 19,727,707 | \N{MINUS SIGN}4 |",
    ]
    rows = [line for line in found["Parameters"].splitlines() if line.startswith("|")]
    assert rows[2:] == ["| `train.lr` | `0.1` | `0.2` |"]
    lock = Path("dvc.lock")
    lock.write_text(lock.read_text().replace("lr: 0.2", "learning_rate: 0.2"))
    text = sections(printed("--base", "main"))["Parameters"]
    assert "<summary>2 parameters that one side lacks</summary>" in text
    assert "| `train.learning_rate` | \N{EN DASH} | `0.2` |" in text
    assert "| `train.lr` | `0.1` | \N{EN DASH} |" in text


def test_what_dvc_lock_says(base, printed):
    external = {"cmd": "python src/evaluate_on.py --name fairface", "deps": [], "outs": []}
    run_pipeline(2.0, lr=0.2, external=external)
    text = sections(printed("--base", "main"))["What dvc.lock says"]
    assert "| `train` | parameters: `train.lr`<br>results: `models/model.safetensors` |" in text
    assert "| `external` | all: not in the base |" in text
    assert "The same as in the base: `split`." in text
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    del lock["stages"]["external"], lock["stages"]["split"]
    lock["stages"]["train"]["cmd"] += " --fast"
    lock["stages"]["train"]["deps"] = [{"path": "data/split.csv", "md5": "5"}]
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    text = sections(printed("--base", "main"))["What dvc.lock says"]
    assert "| `split` | all: in the base only |" in text
    assert "command: `python src/train.py` → `python src/train.py --fast`" in text
    assert "dependencies: `data/split.csv` (new), `src/train.py` (removed)" in text
    assert "The same" not in text


def test_figures_by_the_addresses_of_the_commits(base, printed):
    run_pipeline(2.0)
    draw("subgroups", 1)
    Path("reports/figures/history.png").unlink()
    head = commit("head")
    text = sections(printed("--base", "main", "--images", IMAGES))["Figures"]
    path = "reports/figures/overview.png"
    addresses = [IMAGES.format(commit=each, path=path) for each in (base, head)]
    cells = [f'<img src="{each}" alt="overview.png" width="360">' for each in addresses]
    assert f"| before: `main` ({base[:7]}) | after: `wider` ({head[:7]}) |" in text
    assert f"| {cells[0]} | {cells[1]} |\n\n<details>" in text, "shown first, and unasked"
    pictures = [git_picture(*address.split("/raw/")[1].split("/", 1)) for address in addresses]
    assert pictures[0].size == pictures[1].size
    assert pictures[0].tobytes() != pictures[1].tobytes()
    assert re.search(r'\| no subgroups.png \| <img src="\S+/subgroups.png"', text)
    assert re.search(r'\| <img src="\S+/history.png" .* \| no history.png \|', text)
    assert "ages_by_split" not in text, "it is the same in both"
    assert "otherwise" not in text


def git_picture(revision, path):
    content = subprocess.run(["git", "show", f"{revision}:{path}"], check=True, capture_output=True)
    return Image.open(io.BytesIO(content.stdout)).convert("RGB")


def test_figures_that_were_drawn_after_the_commit(base, printed):
    run_pipeline(2.0)
    commit("head")
    run_pipeline(3.0)
    text = sections(printed("--base", "main", "--images", IMAGES))["Figures"]
    assert "Shown as committed; the run that is compared above draws 1 of them otherwise" in text


def test_figures_of_a_commit_are_named_where_nothing_shows_them(base, printed):
    run_pipeline(2.0, lr=0.2)
    text = sections(printed("--base", "main"))["Figures"]
    assert "These differ, and `--images` shows them: `overview` and `history`." in text
    assert "<img" not in text


def test_figures_of_folders_by_relative_paths(base, printed, workspace, tmp_path_factory):
    before = tmp_path_factory.mktemp("clone") / "before"
    git("clone", "--quiet", "--branch", "main", str(workspace), str(before))
    run_pipeline(2.0)
    text = printed("--base", str(before))
    assert text.startswith("### `wider` (")
    assert f"against `main` ({base[:7]}): better\n" in text
    shown = re.findall(r'<img src="([^"]+)"', sections(text)["Figures"])
    assert len(shown) == 2
    assert not any(Path(path).is_absolute() for path in shown)
    pictures = [Image.open(path).convert("RGB").tobytes() for path in shown]
    assert pictures[0] != pictures[1]
    # What was run in that folder counts, not its commit.
    shutil.copytree("reports", before / "reports", dirs_exist_ok=True)
    shutil.copy("dvc.lock", before)
    found = sections(printed("--base", str(before)))
    assert "no difference shown" in found["verdict"]
    assert found["Figures"].strip() == found["Parameters"].strip() == "None differs."


def test_a_link_to_the_report(base, printed):
    assert printed("--base", "main").strip().endswith("(reports/report.html)")
    text = printed("--base", "main", "--report", "https://forge.example/1")
    assert text.strip().endswith("](https://forge.example/1)")


def test_tables_hold_together(base, printed):
    """A | in a parameter would end its cell."""
    run_pipeline(2.0, lr=0.2)
    lock = Path("dvc.lock")
    lock.write_text(lock.read_text().replace("a|b", "c|d"))
    text = printed("--base", "main")
    assert r'`[{"name": "a\|b"}]` | `[{"name": "c\|d"}]`' in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        rows = table.splitlines()
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1, rows
    assert text.count("<details>") == text.count("</details>") > 0


def test_runs_that_cannot_be_compared_are_described_all_the_same(base, printed):
    others = [hashlib.sha256(face.encode()).hexdigest() for face in FACES]
    run_pipeline(2.0, lr=0.2, faces=others)
    text = printed("--base", "main")
    assert text.startswith("### `wider` (")
    assert text.splitlines()[0].endswith(": no verdict")
    assert "the two runs have 0 test faces in common" in text
    assert "| `train.lr` | `0.1` | `0.2` |" in text


def test_a_base_that_never_ran(base, printed):
    git("rm", "-r", "--quiet", "reports", "dvc.lock")
    git("commit", "--quiet", "-m", "nothing has run yet")
    git("branch", "start")
    run_pipeline(2.0)
    text = printed("--base", "start")
    assert ": no verdict\n\nstart has no reports/predictions.csv.\n" in text
    assert "has no `reports/metrics.json`." in text
    assert "| `train.lr` | \N{EN DASH} | `0.1` |" in text
    assert "| `train` | all: not in the base |" in text


def test_errors_say_what_to_do(base, printed):
    with pytest.raises(UserError, match=r"nothing is called mian.*did you mean main\?"):
        printed("--base", "mian")
    with pytest.raises(UserError, match=r"the folder reports holds no dvc\.yaml"):
        printed("--base", "reports")
    with pytest.raises(UserError, match=r"--images https://x/: .*\{commit\} and \{path\}"):
        printed("--base", "main", "--images", "https://x/")
    Path("dvc.lock").write_text("<<<<<<< HEAD\n=======\n\t:")
    with pytest.raises(UserError, match=r"dvc\.lock of wider is damaged: `git checkout"):
        printed("--base", "main")
    run_pipeline(2.0)
    Path("reports/metrics.json").write_text("{")
    with pytest.raises(UserError, match=r"reports/metrics\.json of wider is damaged"):
        printed("--base", "main")
