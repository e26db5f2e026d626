"""serve.py as people start it: what it says, what it says of mistakes, how it ends."""

import json
import random
import re
import signal
import socket
import subprocess
import sys

import pytest
from conftest import ROOT
from local_server import write_model

import serve
from faceage.core import images, script
from faceage.core.utkface import Labels
from faceage.sample.synthetic import draw_face


def started(*options: str) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "src/serve.py"), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_document_shows_how_it_is_asked_and_ended(workspace):
    write_model(workspace)
    face = draw_face(Labels(40, 0, 1), 200, random.Random(0))
    (workspace / "photograph.jpg").write_bytes(images.encode(face))
    (line,) = re.findall(r"^\$ (curl .*/v1/predict)$", (ROOT / "docs/serving.md").read_text(), re.M)
    with started("--port", "0") as server:
        assert server.stdout
        said = server.stdout.readline()
        address = re.fullmatch(r"open (http://127\.0\.0\.1:\d+) \(Ctrl\+C ends it\)\n", said)
        assert address
        asked = line.replace("http://127.0.0.1:8000", address[1])
        answer = subprocess.run(asked.split(), capture_output=True, check=True, timeout=60)
        assert len(json.loads(answer.stdout)["faces"]) == 1
        server.send_signal(signal.SIGINT)
        _, complaints = server.communicate(timeout=60)
    assert server.returncode == 0
    assert "Traceback" not in complaints


def ended(monkeypatch, *options: str) -> str:
    """What it says of a mistake, on one line."""
    monkeypatch.setattr(sys, "argv", ["serve.py", *options])
    with pytest.raises(SystemExit) as end:
        script.run(serve.main)
    assert "\n" not in str(end.value.code)
    return str(end.value.code)


def test_a_port_that_is_taken(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        message = ended(monkeypatch, "--port", port)
    assert f"port {port} of 127.0.0.1 cannot be had (Address already in use)" in message


def test_no_answer_waits_for_its_head_to_be_acknowledged():
    with (
        serve.listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_cannot_be(monkeypatch, port):
    assert f"--port is {port}, and has to be from 0 to 65535" in ended(monkeypatch, "--port", port)


@pytest.mark.parametrize(
    ("host", "says"), [("192.0.2.1", "Cannot assign requested address"), ("no host", "")]
)
def test_a_host_that_is_not_this_one(monkeypatch, host, says):
    message = ended(monkeypatch, "--host", host, "--port", "0")
    assert f"port 0 of {host} cannot be had ({says}" in message


def test_a_model_that_is_not_there(workspace, monkeypatch):
    assert "there is no model at models" in ended(monkeypatch, "--port", "0")


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("model.safetensors", "model.safetensors is damaged, or of another model"),
        ("model.json", "model.json is damaged"),
        ("evaluation.json", "evaluation.json is damaged"),
    ],
)
def test_a_model_that_is_damaged(workspace, monkeypatch, file, says):
    path = write_model(workspace) / file
    path.write_bytes(path.read_bytes()[:100])
    assert says in ended(monkeypatch, "--port", "0")
