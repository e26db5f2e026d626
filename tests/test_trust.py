"""What comes from elsewhere is data: archives, pickles, requests; and secrets stay hidden."""

import io
import os
import pickle
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
import requests
import small_model
from conftest import ROOT, edit_params, photo
from local_server import running, write_model

import ingest
import serve
from faceage.core import params, script, sealed, secrets, tables
from faceage.core.script import UserError
from faceage.inference.onnx_predictor import OnnxPredictor
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks import saved_model
from faceage.tracking import runs
from faceage.training.checkpoints import Checkpoint

TOKEN = "a token of more than 16 characters".replace(" ", "-")
SECRET = "hunter2hunter2"


def name(age: int) -> str:
    return f"{age}_0_0_20170101000000{age:03d}.jpg"


def hostile_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for age in (20, 30, 40):
            archive.writestr(f"faces/{name(age)}", photo(age))
        archive.writestr(f"../../{name(21)}", photo(21))
        archive.writestr(f"/absolute/{name(22)}", photo(22))
        archive.writestr(f"..\\..\\{name(23)}", photo(23))
        link = zipfile.ZipInfo(f"faces/{name(24)}")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")


def hostile_tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:

        def add(member: str, content: bytes = b"", **more: object) -> None:
            info = tarfile.TarInfo(member)
            info.size = len(content)
            for key, value in more.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))

        for age in (20, 30, 40):
            add(f"faces/{name(age)}", photo(age))
        add(f"../../{name(21)}", photo(21))
        add(f"/absolute/{name(22)}", photo(22))
        add(f"faces/{name(24)}", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(f"faces/{name(25)}", type=tarfile.LNKTYPE, linkname="../../../etc/passwd")
        add(f"faces/{name(26)}", type=tarfile.CHRTYPE, devmajor=1, devminor=5)
        add(f"faces/{name(27)}", type=tarfile.FIFOTYPE)


@pytest.mark.parametrize("write", [hostile_zip, hostile_tar])
def test_archives_leave_nothing_outside_and_bring_nothing_in(workspace, tmp_path, write):
    """Nothing is unpacked: names are names, links and devices are no files."""
    outside = {path for path in tmp_path.parent.rglob("*") if tmp_path not in path.parents}
    write(workspace / "faces.archive")
    edit_params({"data.source": "faces.archive", "data.min_kept": 0.1})
    ingest.main()
    written = {str(path.relative_to(workspace)) for path in workspace.rglob("*") if path.is_file()}
    made = {"data/faces.parquet", "data/rejected.csv", "data/conflicts.csv", "reports/ingest.json"}
    there = {"faces.archive", "params.yaml", "dvc.yaml"}
    assert {path for path in written if not path.startswith((".ingest/", "src"))} == made | there
    assert {path for path in tmp_path.parent.rglob("*") if tmp_path not in path.parents} == outside
    assert not Path("/absolute").exists()
    faces = tables.read_faces()
    assert {20, 30, 40} <= set(faces["age"]) <= {20, 21, 22, 23, 30, 40}
    assert all(b"root:" not in content for _, content in tables.image_bytes(faces["face"]))


class Planted:
    """Unpickled, it leaves a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


@pytest.fixture
def trace(workspace):
    return workspace / "unpickled"


@pytest.fixture
def planted(trace) -> bytes:
    content = pickle.dumps(Planted(trace))
    pickle.loads(content)
    assert trace.exists(), "it would be seen"
    trace.unlink()
    return content


def test_a_pickle_is_no_checkpoint(trace, planted, capsys):
    checkpoint = Checkpoint("planted")
    for content in (planted, zipped(planted)):
        checkpoint.folder.mkdir(parents=True, exist_ok=True)
        checkpoint.path.write_bytes(content)
        sealed.seal(checkpoint.path)
        assert checkpoint.load() is None
        assert "member1.pt is damaged and was removed" in capsys.readouterr().err
    assert not trace.exists()


def zipped(content: bytes) -> bytes:
    """As torch.save puts it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return file.getvalue()


def test_a_pickle_is_no_model(workspace, trace, planted):
    small_model.write()
    weights = saved_model.FOLDER / saved_model.WEIGHTS
    for content in (planted, zipped(planted)):
        weights.write_bytes(content)
        with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
            TorchPredictor()
        Path("model.onnx").write_bytes(content)
        with pytest.raises(UserError, match=r"model\.onnx is no model"):
            OnnxPredictor(Path("model.onnx"))
        edit_params({"weights": str(weights)})
    assert not trace.exists()


def test_a_pickle_is_no_cache(workspace, trace, planted):
    (workspace / "faces").mkdir()
    for age in (20, 30, 40):
        (workspace / "faces" / name(age)).write_bytes(photo(age))
    edit_params({"data.source": "faces"})
    ingest.main()
    before = tables.FACES.read_bytes()
    (cache,) = (workspace / ".ingest").iterdir()
    cache.write_bytes(planted)
    sealed.seal(cache)
    ingest.main()
    assert tables.FACES.read_bytes() == before
    tables.FACES.write_bytes(planted)
    with pytest.raises(UserError, match=r"faces\.parquet is damaged"):
        tables.read_faces()
    assert not trace.exists()


def test_nothing_that_unpickles_is_called():
    unsafe = re.compile(
        r"pickle\.loads?\(|weights_only=False|allow_pickle=True|joblib|np\.load\(|yaml\.load\("
        r"|torch\.load\((?!.*weights_only=True)|shell=True|\beval\((?!\))|extractall"
    )
    for path in (ROOT / "src").rglob("*.py"):
        for line in path.read_text().splitlines():
            assert not unsafe.search(line), f"{path.name}: {line}"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def guarded(model):
    with running(model, token=TOKEN) as address:
        yield address


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/v1/model", "/metrics", "/v1/predict", "/v1/saliency"])
def test_with_a_token_only_who_has_it_is_answered(guarded, path):
    method = "POST" if path in ("/v1/predict", "/v1/saliency") else "GET"

    def status(headers: dict[str, str]) -> int:
        url = f"{guarded}{path}"
        return requests.request(method, url, data=photo(0), headers=headers, timeout=60).status_code

    for headers in ({}, bearer(""), bearer(TOKEN[:-1]), bearer(f"{TOKEN}x"), bearer("Ünicode")):
        encoded = {key: value.encode().decode("latin-1") for key, value in headers.items()}
        assert status(encoded) == 401
    assert status(bearer(TOKEN)) == 200
    assert status({"Authorization": TOKEN}) == 401
    assert status(bearer(TOKEN) | {"Host": "faces.example"}) == 200, "behind a proxy"


def test_the_page_and_the_state_need_no_token(guarded):
    for path in ("/", "/docs", "/health", "/static/main.js", "/openapi.json"):
        assert requests.get(f"{guarded}{path}", timeout=10).status_code == 200
    for path in (
        "/static/../v1/model",
        "//v1/model",
        "/V1/model",
        "/v1/model/",
        "/health/../metrics",
    ):
        request = requests.Request("GET", guarded).prepare()
        request.url = f"{guarded}{path}"
        answer = requests.Session().send(request, timeout=10)
        assert answer.status_code in (401, 404), path


def test_only_this_machine_unless_it_is_told_otherwise(monkeypatch):
    monkeypatch.setattr("sys.argv", ["serve.py"])
    assert serve.arguments().host == "127.0.0.1"


@pytest.mark.parametrize("token", ["", "short", "with blanks and more than 16", "ünicode" * 3])
def test_a_token_that_can_be_guessed_is_refused(monkeypatch, token):
    monkeypatch.setenv(serve.TOKEN, token)
    with pytest.raises(UserError, match="has to have 16 or more characters"):
        serve.given_token()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"http://me:{SECRET}@host:5000/x does not", "http://me:***@host:5000/x does not"),
        (f"postgresql://me:{SECRET}@db/mlflow", "postgresql://me:***@db/mlflow"),
        (f"https://host/faces.zip?token={SECRET}&a=b", "https://host/faces.zip?token=***&a=b"),
        (f"s3://bucket/a?X-Amz-Signature={SECRET}", "s3://bucket/a?X-Amz-Signature=***"),
        ("C:/photos/a@b.jpg and http://host:80/a@b", "C:/photos/a@b.jpg and http://host:80/a@b"),
    ],
)
def test_secrets_in_addresses_are_not_shown(text, shown):
    assert secrets.hidden(text) == shown


def test_a_message_has_no_password(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@127.0.0.1:9")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))

    def main() -> None:
        with runs.open_run(True, "abc"):
            pass

    with pytest.raises(SystemExit) as end:
        script.run(main)
    assert "http://me:***@127.0.0.1:9" in str(end.value.code)
    assert SECRET not in str(end.value.code)


@pytest.mark.parametrize("key", ["data.source", "weights", "split.source"])
def test_a_parameter_with_a_password_is_refused_without_it(workspace, key):
    edit_params({key: f"https://me:{SECRET}@host/faces.zip"})
    with pytest.raises(UserError, match=f"{key} has a password or a token in it") as refused:
        params.load(params.TrainParams)
    assert SECRET not in str(refused.value)


def test_no_planted_secret_reaches_mlflow(workspace, monkeypatch):
    """Of the environment, of the address of a git remote, of the repository's settings."""
    for variable in ("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "HF_TOKEN", serve.TOKEN):
        monkeypatch.setenv(variable, SECRET)
    monkeypatch.setenv("DVC_ROOT", str(workspace))
    remote = f"https://me:{SECRET}@host/faceage.git"
    for command in (["init", "-q"], ["remote", "add", "origin", remote]):
        subprocess.run(["git", *command], check=True)
    (workspace / "reports").mkdir()
    (workspace / "reports/metrics.json").write_text("{}")
    with runs.open_run(True, "abc") as run:
        run.log_params(params.load(params.TrainParams).model_dump())
        run.log_file("reports", "reports")
    logged = [workspace / "mlflow.db", *(workspace / "mlartifacts").rglob("*")]
    assert len(logged) > 2
    for path in logged:
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path
    assert os.environ["HF_TOKEN"] == SECRET
