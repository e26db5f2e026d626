"""The steps of .github/workflows/ that are more than one command, run with a stand-in for `gh`.

`make test` has actionlint and zizmor read the workflows.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

COMMIT = "a" * 40
# What it is told to do it notes; it lists the pull requests and downloads the artifact beside it.
GH = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$STAND_IN/calls"
case "$1 $2" in
    "api --method")
        while [ "$1" != --jq ]; do shift; done
        jq --raw-output "$2" "$STAND_IN/pulls"
        ;;
    "run download") cp --no-dereference "$STAND_IN/comment.md" . ;;
    "pr comment") cat "${@: -1}" > "$STAND_IN/posted" ;;
esac
"""


def step(workflow, name):
    jobs = yaml.safe_load((ROOT / f".github/workflows/{workflow}.yaml").read_text())["jobs"]
    (found,) = (
        each for job in jobs.values() for each in job["steps"] if each.get("name", "") == name
    )
    return found["run"]


@pytest.fixture
def stand_in(tmp_path):
    """Folder of what the stand-in for gh knows and was told."""
    folder = tmp_path / "gh"
    folder.mkdir()
    (folder / "gh").write_text(GH)
    (folder / "gh").chmod(0o755)
    (folder / "calls").touch()
    return folder


def run(commands, stand_in, **variables):
    """As GitHub runs a step."""
    environment = {
        **os.environ,
        "PATH": f"{stand_in}:{os.environ['PATH']}",
        "STAND_IN": str(stand_in),
        "GITHUB_OUTPUT": str(stand_in / "output"),
        "GH_REPO": "team/faces",
        "COMMIT": COMMIT,
    }
    command = ["bash", "-e", "-c", commands]
    return subprocess.run(command, env=environment | variables, cwd=stand_in, check=False)


def find(stand_in, pulls, head="guest:wider"):
    (stand_in / "pulls").write_text(json.dumps(pulls))
    commands = step("comment", "Find the pull request, unless it has moved on")
    assert run(commands, stand_in, HEAD=head).returncode == 0
    return (stand_in / "output").read_text()


@pytest.mark.skipif(not shutil.which("jq"), reason="jq, which gh brings along, is not installed")
def test_the_pull_request_is_the_one_whose_head_was_run(stand_in):
    moved_on = {"number": 7, "head": {"sha": "b" * 40}}
    current = {"number": 8, "head": {"sha": COMMIT}}
    assert find(stand_in, [moved_on, current]) == "number=8\n"
    called = "api --method GET repos/team/faces/pulls -f state=open -f head=guest:wider --jq"
    assert (stand_in / "calls").read_text().startswith(called)
    (stand_in / "output").unlink()
    assert find(stand_in, [moved_on]) == "number=\n", "nothing is posted then"
    (stand_in / "output").unlink()
    branch = "guest:$(touch stolen)`touch stolen`"
    assert find(stand_in, [], branch) == "number=\n"
    assert f"-f head={branch} " in (stand_in / "calls").read_text()
    assert not (stand_in / "stolen").exists()


def post(stand_in):
    commands = step("comment", "Post the comment, or edit it")
    return run(commands, stand_in, NUMBER="8", RUN="5", URL="https://forge.example/runs/5")


def test_the_comment_is_posted_or_edited(stand_in):
    (stand_in / "comment.md").write_text("### `wider` against `main`: better\n`touch stolen`")
    assert post(stand_in).returncode == 0
    posted = (stand_in / "posted").read_text()
    assert posted.startswith("### `wider` against `main`: better\n`touch stolen`\n\n<sub>")
    assert f"code of {COMMIT} in [this run](https://forge.example/runs/5)" in posted
    calls = (stand_in / "calls").read_text()
    assert "pr comment 8 --edit-last --create-if-none --body-file body.md\n" in calls


def test_a_comment_that_is_too_long_is_cut(stand_in):
    (stand_in / "comment.md").write_text("long " * 100_000)
    assert post(stand_in).returncode == 0
    posted = (stand_in / "posted").read_text()
    assert len(posted) < 65_536
    assert posted.endswith("</sub>\n")


def test_a_link_in_place_of_the_comment_is_refused(stand_in, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (stand_in / "comment.md").symlink_to(tmp_path / "secret")
    assert post(stand_in).returncode != 0
    assert not (stand_in / "posted").exists()


def test_pins_are_taken_out_and_nothing_else(tmp_path):
    for name in ("requirements.txt", "requirements-models.txt"):
        shutil.copy(ROOT / name, tmp_path)
    commands = step("newest", "Take the pins out")
    subprocess.run(["bash", "-e", "-c", commands], cwd=tmp_path, check=True)
    for name in ("requirements.txt", "requirements-models.txt"):
        before, after = (words(Path(folder, name)) for folder in (ROOT, tmp_path))
        assert after == [line.split("==")[0] for line in before if not line.startswith("-c")]
        assert len(after) > 0


def words(path):
    """Lines without their comments."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]
