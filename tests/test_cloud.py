"""What other machines are told: image, dev container and SkyPilot's tasks; `make test` has hadolint
read the Dockerfile. Nothing is built or rented here.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from conftest import ROOT
from pydantic import BaseModel, ConfigDict, Field

DOCKERFILE = (ROOT / "Dockerfile").read_text()
TASKS = sorted((ROOT / "cloud").glob("*.yaml"))
each_task = pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem)
SKY = shutil.which("sky")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Build(Strict):
    dockerfile: str
    context: str
    args: dict[str, str]


class Port(Strict):
    label: str


class Requirements(Strict):
    cpus: int = Field(ge=1)
    memory: str = Field(pattern=r"^\d+([tgmk]b)?$")
    storage: str = Field(pattern=r"^\d+([tgmk]b)?$")


class DevContainer(Strict):
    """Of the fields of containers.dev/implementors/json_reference those that are used here."""

    name: str
    build: Build
    remote_user: str = Field(alias="remoteUser")
    post_create_command: str | list[str] = Field(alias="postCreateCommand")
    forward_ports: list[int] = Field(alias="forwardPorts")
    ports_attributes: dict[str, Port] = Field(alias="portsAttributes")
    host_requirements: Requirements = Field(alias="hostRequirements")
    customizations: dict[Literal["vscode"], Any]


class Autostop(Strict):
    idle_minutes: int
    down: bool


class Resources(Strict):
    accelerators: str = Field(pattern=r"^\w+:\d+$")
    disk_size: int
    autostop: Autostop


class Task(Strict):
    """Of the fields of docs.skypilot.co/en/latest/reference/yaml-spec.html those used here."""

    name: str
    workdir: str
    num_nodes: int = 1
    resources: Resources
    envs: dict[str, str | None]
    setup: str
    run: str


def patterns(name: str) -> set[str]:
    lines = (ROOT / name).read_text().splitlines()
    return {line.removeprefix("**/") for line in lines if line and not line.startswith("#")}


def test_no_image_holds_what_git_does_not():
    """Photographs, models of them, and the reports that show them."""
    assert patterns(".gitignore") | {"/reports"} <= patterns(".dockerignore")


def test_the_dev_container_is_one_of_the_image():
    folder = ROOT / ".devcontainer"
    found = DevContainer.model_validate(json.loads((folder / "devcontainer.json").read_text()))
    assert (folder / found.build.dockerfile).resolve() == ROOT / "Dockerfile"
    assert (folder / found.build.context).resolve() == ROOT
    assert set(found.build.args) == set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.M))
    assert f" {found.remote_user} " in DOCKERFILE
    assert {str(port) for port in found.forward_ports} == set(found.ports_attributes)


def installing(device: str) -> subprocess.CompletedProcess:
    """Run the choice of the Dockerfile with a pip that says what it was told."""
    (choice,) = re.findall(r"^RUN (case .*?esac)$", DOCKERFILE, re.M | re.S)
    script = f'pip() {{ echo "$PIP_EXTRA_INDEX_URL pip $*"; }}\n{choice}'
    command = ["bash", "-c", script.replace("\\\n", "")]
    environment = os.environ | {"DEVICE": device, "PIP_EXTRA_INDEX_URL": ""}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_image_for_cuda_is_held_to_hashes_and_that_for_a_cpu_has_no_cuda():
    assert installing("cuda").stdout == (
        " pip install --require-hashes --no-deps --requirement requirements.lock\n"
    )
    first, second = installing("cpu").stdout.splitlines()
    assert first.startswith("https://download.pytorch.org/whl/cpu pip install --requirement")
    assert second == " pip install --no-deps --requirement requirements-models.txt"
    refused = installing("gpu")
    assert (refused.returncode, refused.stdout) == (1, "DEVICE is gpu, and has to be cpu or cuda\n")


@each_task
def test_tasks_have_fields_of_skypilot_and_scripts_that_are_there(path):
    task = Task.model_validate(yaml.safe_load(path.read_text()))
    for script in re.findall(r"cloud/\w+\.sh", task.setup + task.run):
        assert os.access(ROOT / script, os.X_OK), script


@pytest.mark.skipif(not SKY, reason="SkyPilot is not installed: uv tool install skypilot")
@each_task
def test_skypilot_takes_the_tasks(path, tmp_path):
    content = yaml.safe_load(path.read_text())
    content["envs"] = dict.fromkeys(content["envs"], "given")
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(content))
    interpreter = Path(str(SKY)).read_text().splitlines()[0].removeprefix("#!")
    code = "import sky, sys; print(sky.Task.from_yaml(sys.argv[1]).name)"
    command = [interpreter, "-c", code, str(tmp_path / "task.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.strip() == content["name"], done.stderr


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Path:
    """A rented machine: the scripts, an environment, and a dvc that notes what it is told."""
    shutil.copytree(ROOT / "cloud", tmp_path / "cloud")
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    (programs / "activate").write_text(f'PATH="{programs}:$PATH"\n')
    (programs / "dvc").write_text(
        "#!/usr/bin/env bash\n"
        'printf "%s|" "$@" >> calls && echo >> calls\n'
        '[ "$1 $2" != "$FAILS" ]\n'
    )
    (programs / "dvc").chmod(0o755)
    monkeypatch.setenv("DVC_REMOTE", "s3://bucket/faceage")
    monkeypatch.setenv("FAILS", "none")
    return tmp_path


def run(task: str, machine: Path, **environment: str) -> tuple[int, list[str]]:
    """Exit code of a task's commands, and the calls of dvc."""
    script = yaml.safe_load((ROOT / f"cloud/{task}.yaml").read_text())["run"]
    (machine / "calls").unlink(missing_ok=True)
    done = subprocess.run(
        ["bash", "-c", script], cwd=machine, env=os.environ | environment, check=False
    )
    calls = machine / "calls"
    return done.returncode, calls.read_text().splitlines() if calls.exists() else []


def test_one_experiment_begins_with_what_is_there_and_leaves_what_it_wrote(machine):
    code, calls = run("experiment", machine, EXPERIMENT="b0 -S model=b0 -S 'data.source=/my faces'")
    assert code == 0
    assert calls == [
        "remote|add|--quiet|--local|--force|--default|cloud|s3://bucket/faceage|",
        "fetch|--run-cache|",
        "exp|run|--pull|--name|b0|-S|model=b0|-S|data.source=/my faces|",
        "push|--run-cache|",
    ]


def test_an_empty_remote_is_no_fault_and_a_failed_experiment_is_one(machine):
    assert run("experiment", machine, EXPERIMENT="b0", FAILS="fetch --run-cache")[0] == 0
    code, calls = run("experiment", machine, EXPERIMENT="b0", FAILS="exp run")
    assert code != 0
    assert not any(call.startswith("push") for call in calls)


def test_each_experiment_runs_on_one_of_the_machines(machine):
    experiments = "a -S seed=0\n\nb -S seed=1\nc -S seed=2\n"
    ran = []
    for rank in range(4):
        place = {"SKYPILOT_NODE_RANK": str(rank), "SKYPILOT_NUM_NODES": "4"}
        code, calls = run("experiments", machine, EXPERIMENTS=experiments, **place)
        assert code == 0
        ran.append([call.split("|")[4] for call in calls if call.startswith("exp|run")])
    assert ran == [["a"], ["b"], ["c"], []]
    two = {"SKYPILOT_NODE_RANK": "0", "SKYPILOT_NUM_NODES": "2"}
    _, calls = run("experiments", machine, EXPERIMENTS=experiments, **two)
    assert [call.split("|")[4] for call in calls if call.startswith("exp|run")] == ["a", "c"]
