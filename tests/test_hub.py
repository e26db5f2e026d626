"""A model and its card on the Hub: only a stand-in for it, on loopback, is tried here."""

import json
import shutil
import socket
import sys
from pathlib import Path

import huggingface_hub
import local_hub
import pytest
import small_model
from conftest import ROOT
from huggingface_hub import ModelCard, ModelCardData

import export
from faceage.core.script import UserError
from faceage.inference import hub
from faceage.networks import saved_model

REPO = "somebody/faces"


@pytest.fixture
def server(monkeypatch):
    with local_hub.running() as running:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", running.address)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        # The protocol of Xet, which the client prefers, is beyond a stand-in: files go by LFS.
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", local_hub.TOKEN)
        yield running


@pytest.fixture
def model(workspace) -> Path:
    small_model.write()
    return workspace / "models"


def test_the_folder_arrives_whole_with_a_card(server, model, tmp_path):
    assert hub.push(model, REPO) == f"{server.address}/{REPO}"
    assert server.repositories[REPO]["visibility"] == "private"
    assert set(server.files) == {"README.md", *hub.FILES}
    arrived = tmp_path / "arrived"
    arrived.mkdir()
    for name, content in server.files.items():
        (arrived / name).write_bytes(content)
    for name in hub.FILES:
        assert (arrived / name).read_bytes() == (model / name).read_bytes()
    saved_model.load(arrived)
    assert ModelCard.load(arrived / "README.md").data.to_dict()["license"] == "mit"


def test_a_repository_that_is_there_gets_another_commit(server, model):
    hub.push(model, REPO)
    small_model.write(fingerprint="second")
    hub.push(model, REPO)
    assert server.summary == "Model second"
    assert json.loads(server.files["model.json"])["fingerprint"] == "second"


def test_as_people_run_it(server, model, monkeypatch, capsys):
    command = ["export.py", "--format", "hub", "--model", str(model)]
    monkeypatch.setattr(sys, "argv", [*command, "--repo", REPO])
    export.main()
    assert capsys.readouterr().out == f"wrote {server.address}/{REPO}\n"
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(UserError, match="needs --repo OWNER/NAME"):
        export.main()


def test_the_card_of_the_model_in_the_box_says_its_terms_and_its_errors():
    found = hub.card(ROOT / "pretrained", REPO)
    data = found.data
    assert isinstance(data, ModelCardData)
    assert (data.license, data.license_name) == ("other", "non-commercial-research-only")
    assert "UTKFace" in str(data.license_link)
    (result,) = data.eval_results or []
    test = json.loads((ROOT / "pretrained/evaluation.json").read_text())["test"]
    assert (result.metric_type, result.metric_value) == ("mae", test["mae"])
    assert f"| {test['mae']:.2f} | {test['mae_low']:.2f} to {test['mae_high']:.2f} |" in found.text
    assert "**non-commercial research only**" in found.text
    assert local_hub.metadata_faults(str(found)) == []
    assert ModelCard(str(found)).data.to_dict() == data.to_dict(), "and it is read as written"
    assert "|\n\n|" not in found.text, "a table is one block"
    assert "\n\n\n" not in found.text


def test_the_card_of_a_model_without_ages(model):
    saved_model.save_evaluation("none", {}, {"n": 9, "accuracy": 0.75})
    found = hub.card(model, REPO)
    assert "the age class of one" in found.text
    assert "| In the right class | 75.0% | |" in found.text
    assert found.data.to_dict()["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.75


def test_a_refused_token(server, model, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    with pytest.raises(UserError, match=r"refuses this token for somebody/faces \(HTTP 401\)"):
        hub.push(model, REPO)
    assert server.files == {}


def test_no_token(server, model, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"no token .* hf auth login"):
        hub.push(model, REPO)


def test_no_network(server, model, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(UserError, match=r"cannot be reached.* \(ConnectError\); run"):
        hub.push(model, REPO)


def test_an_upload_that_is_cut_off(server, model, monkeypatch):
    monkeypatch.setattr(local_hub._Handler, "do_PUT", lambda handler: handler.connection.close())
    monkeypatch.setattr(huggingface_hub.utils._http.time, "sleep", lambda seconds: None)
    with pytest.raises(UserError, match=r"not for long enough \(\w+\); run the"):
        hub.push(model, REPO)
    assert server.files == {}


def test_a_card_that_the_hub_refuses_is_ours_to_mend(server, model, monkeypatch):
    monkeypatch.setattr(local_hub, "metadata_faults", lambda card: [{"message": "no such licence"}])
    with pytest.raises(ValueError, match="no such licence"):
        hub.push(model, REPO)
    assert server.files == {}


@pytest.mark.parametrize("name", ["faces", "some body/faces", "a/b/c"])
def test_a_name_that_is_none(server, model, name):
    with pytest.raises(UserError, match="no OWNER/NAME of the Hub"):
        hub.push(model, name)


def test_a_model_that_was_not_measured_or_is_not_whole_stays_here(server, model):
    shutil.move(model / "evaluation.json", model / "elsewhere.json")
    with pytest.raises(UserError, match=r"has no evaluation\.json"):
        hub.push(model, REPO)
    (model / "model.safetensors").write_bytes(b"half")
    with pytest.raises(UserError, match="is damaged, or of another model"):
        hub.push(model, REPO)
    assert server.repositories == {}
