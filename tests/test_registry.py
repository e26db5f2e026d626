"""Models in a real MLflow store: served over HTTP, promoted where they are better."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import small_model
from closure import required_packages
from conftest import edit_params, photo

import publish
from faceage.core import images
from faceage.core.params import Params, load
from faceage.core.script import UserError
from faceage.inference import model_registry, pyfunc
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks import saved_model


@pytest.fixture
def store(workspace, monkeypatch):
    """A model in a repository root, and so with a database, of its own."""
    monkeypatch.setenv("DVC_ROOT", str(workspace))
    edit_params({"promote": True, "evaluate.bootstrap": 100})
    return workspace


def publish_model(spread: float, faces: int = 60, fingerprint: str | None = None) -> str:
    """Publish a model whose predictions miss the ages by so many years on average."""
    small_model.write(fingerprint=fingerprint or uuid.uuid4().hex)
    random = np.random.default_rng(7)
    age = random.integers(10, 90, faces)
    names = [f"{number:064x}" for number in range(faces)]
    table = pd.DataFrame({"face": names, "path": names, "cluster": names, "age": age})
    table["predicted"] = age + spread * random.choice([-1, 1], faces)
    Path("reports").mkdir(exist_ok=True)
    table.to_csv("reports/predictions.csv", index=False)
    publish.main()
    return Path("data/published.txt").read_text()


def champion() -> str:
    client = mlflow.MlflowClient()
    return str(client.get_model_version_by_alias(model_registry.NAME, model_registry.ALIAS).version)


def test_the_champion_is_replaced_by_what_is_better_only(store):
    assert publish_model(5).startswith("registered as faceage version 1, the first champion")
    worse = publish_model(6)
    assert worse.startswith("not promoted: version 1: MAE 6.00 instead of 5.00 years on 60 test")
    assert publish_model(5).startswith("not promoted"), "as good is not better"
    assert champion() == "1"
    assert publish_model(3).startswith("registered as faceage version 2, the new champion after")
    assert champion() == "2"
    model = mlflow.pyfunc.load_model(f"models:/{model_registry.NAME}@{model_registry.ALIAS}")
    assert model.predict(pd.DataFrame({"image": [photo(0)]}))["age"][0] >= 0


def test_promotion_is_off_by_default_and_needs_tracking(store):
    edit_params({"promote": False})
    assert publish_model(5) == "logged to MLflow\n"
    assert mlflow.search_registered_models() == []
    edit_params({"tracking": False})
    assert publish_model(5) == "not logged: tracking is off\n"
    edit_params({"promote": True})
    with pytest.raises(UserError, match="promote: on needs MLflow's registry"):
        load(Params)


def test_a_copy_of_the_model_names_all_that_it_imports():
    """MLflow adds itself; timm does not run without torchvision; HEIC is read where it can be."""
    imported = required_packages(Path(pyfunc.__file__)) - {"mlflow", "pillow-heif"}
    assert set(model_registry.REQUIREMENTS) == imported | {"torchvision"}


def test_bad_images_leave_an_error_and_the_rest_goes_on(store):
    publish_model(5)
    model = mlflow.pyfunc.load_model(f"models:/{model_registry.NAME}/1")
    rows = model.predict(pd.DataFrame({"image": [photo(0), b"", photo(1), photo(2)[:300]]}))
    assert list(rows["age"].notna()) == [True, False, True, False]
    assert rows["error"][1] == "not an image"
    assert rows["error"][3].startswith("damaged")
    one = model.predict(pd.DataFrame({"url": ["http://example.org/face.jpg"]}))
    assert one["error"][0] == "give image, path, or url as data:image/jpeg;base64,..."


def test_a_served_model_answers(store):
    """`mlflow models serve` in the local environment, asked as docs/mlflow.md asks it."""
    publish_model(5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"sqlite:///{store}/mlflow.db"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"),
            *("-m", "models:/faceage@champion", "--port", str(port), "--workers", "1"),
        ],
        env=os.environ | {"MLFLOW_TRACKING_URI": uri},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping")
        encoded = base64.b64encode(photo(0)).decode()
        records = [{"image": encoded}], [{"url": f"data:image/jpeg;base64,{encoded}"}]
        answers = [curl(port, {"dataframe_records": record}) for record in records]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
    crop = images.square(images.decode(photo(0)), small_model.SIDE)
    expected = TorchPredictor(saved_model.FOLDER).predict(crop[None])
    for (row,) in answers:
        assert row["age"] == pytest.approx(expected.age[0], abs=0.01)
        assert row["low"] < row["age"] < row["high"]
        assert row["age_group"] == expected.age_group[0]
        assert row["error"] is None


def curl(port: int, content: dict) -> list[dict]:
    """The line of docs/mlflow.md, with the request in a file."""
    Path("request.json").write_text(json.dumps(content))
    command = ["curl", "-s", "-H", "Content-Type: application/json", "-d", "@request.json"]
    url = f"http://127.0.0.1:{port}/invocations"
    answer = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    return json.loads(answer)["predictions"]


def wait_for(url: str) -> None:
    for _ in range(240):
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"{url} does not answer")
