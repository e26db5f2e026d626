"""Shared by all tests: nothing here reaches a network, a model hub or the user's MLflow store."""

import dataclasses
import io
import os
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import settings
from PIL import Image

# Set before the project is imported: what it imports looks at them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DVC_NO_ANALYTICS"] = "true"
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
    os.environ.pop(name, None)

from faceage.evaluation import metrics  # noqa: E402
from faceage.evaluation.age_bins import bin_index  # noqa: E402
from faceage.networks import age_network  # noqa: E402

# A busy machine is no fault of the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

ROOT = Path(__file__).parents[1]

Edit = dict[str, object]


@pytest.fixture(autouse=True)
def no_store_of_another_test() -> Iterator[None]:
    """MLflow keeps the store that it was last given, for the process and its environment."""
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri("")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the project's params.yaml and dvc.yaml, made the working directory."""
    for file in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / file, tmp_path)
    (tmp_path / "src").symlink_to(ROOT / "src")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit_params(edits: Edit, path: Path = Path("params.yaml")) -> None:
    """Set dotted keys in params.yaml, as `dvc exp run -S` does."""
    content = yaml.safe_load(path.read_text())
    for key, value in edits.items():
        *sections, last = key.split(".")
        section = content
        for name in sections:
            section = section[name]
        section[last] = value
    path.write_text(yaml.safe_dump(content))


def photo(number: int, size: tuple[int, int] = (64, 64), kind: str = "JPEG") -> bytes:
    """An image file of coloured blobs: the same for the same number, else like no other."""
    blobs = Image.frombytes("RGB", (8, 8), random.Random(number).randbytes(192))
    buffer = io.BytesIO()
    blobs.resize(size, Image.Resampling.BICUBIC).save(buffer, kind)
    return buffer.getvalue()


def architecture(outputs: int = 1, **changes: Any) -> age_network.Architecture:
    """A small network's, with a plain head."""
    known = age_network.Architecture(
        model="test_resnet",
        img_size=32,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        hidden=(),
        dropout=0.0,
        init="default",
        outputs=outputs,
        coral=False,
        auxiliary=0,
        members=1,
        hflip_tta=False,
    )
    return dataclasses.replace(known, **changes)


def errors_of(age: Any, predicted: Any, boundaries: list[int]) -> pd.DataFrame:
    """Errors face by face, an age group being right where the predicted age is in it."""
    return metrics.errors(
        age, predicted, (bin_index(age, boundaries), bin_index(predicted, boundaries))
    )
