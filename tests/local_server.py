"""The server on loopback, in a thread, around a model that nobody trained."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import small_model
import uvicorn
from conftest import ROOT

import serve
from faceage.inference.serving import app, model_info
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks.targets import Target


def write_model(folder: Path, target: Target = small_model.REGRESSION, **changes: Any) -> Path:
    """Write a model into a folder of its own, return its path."""
    shutil.copy(ROOT / "params.yaml", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        small_model.write(target, **changes)
    return folder / "models"


@contextmanager
def running(
    model: Path, predictor: TorchPredictor | None = None, token: str | None = None
) -> Iterator[str]:
    """Start a real server around the model in a folder, yield its address."""
    about = model_info.describe(model)
    application = app.create(predictor or TorchPredictor(model), about, token)
    server = uvicorn.Server(uvicorn.Config(application, log_level="error"))
    with serve.listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
