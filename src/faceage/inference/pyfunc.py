"""The saved model as MLflow's `pyfunc` flavour: images in, a table of predictions out."""

import base64
import binascii
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from faceage.core import images
from faceage.inference.torch_predictor import TorchPredictor

SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            # One of these, the others left out. Served, `image` comes in base64.
            ColSpec("binary", "image", required=False),  # content of an image file
            ColSpec("string", "url", required=False),  # data:image/jpeg;base64,...
            ColSpec("string", "path", required=False),  # of an image file
        ]
    ),
    outputs=Schema(
        [
            *(ColSpec("double", name, required=False) for name in ("age", "low", "high")),
            *(ColSpec("string", name, required=False) for name in ("age_group", "error")),
        ]
    ),
)
# A grey 16x16 PNG: an input example that shows nobody.
EXAMPLE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGElEQVR4nGNoIBEwjGoY1TCqYVTDUNUAAHRAvwHqJ1vQ"
    "AAAAAElFTkSuQmCC"
)


class AgeModel(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined]
    """Rows with `image` (bytes), `url` (data:...) or `path` in; age, low, high, age_group, error.

    Images are of aligned faces. One that cannot be read leaves a row with `error` alone.
    """

    def load_context(self, context: Any) -> None:
        """Load the model folder from the logged artifacts."""
        self.predictor = TorchPredictor(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Predictions, row for row: ages and ends of the interval in years."""
        side = self.predictor.side
        errors: list[str | None] = []
        crops = []
        for row in model_input.to_dict("records"):
            try:
                crops.append(images.square(images.decode(_content(row)), side))
                errors.append(None)
            except (*images.Refused, OSError) as error:
                errors.append(images.in_words(error))
        table = pd.DataFrame({"error": pd.Series(errors, dtype=object)})
        readable = table.index[table["error"].isna()]
        predicted = self.predictor.predict(np.stack(crops)) if crops else None
        for name, kind in {"age": float, "low": float, "high": float, "age_group": object}.items():
            values = getattr(predicted, name) if predicted else []
            table[name] = pd.Series(values, index=readable, dtype=kind)
        return table[["age", "low", "high", "age_group", "error"]]


def _content(row: dict[str, Any]) -> bytes:
    """Bytes of the image file of one row; raises `OSError` if there are none."""
    if isinstance(row.get("image"), bytes):
        return bytes(row["image"])
    if isinstance(row.get("path"), str):
        return Path(row["path"]).read_bytes()
    start, _, data = str(row.get("url")).partition(",")
    if not start.startswith("data:") or not start.endswith(";base64"):
        raise OSError("give image, path, or url as data:image/jpeg;base64,...")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise OSError("url is not valid base64") from None


# MLflow stores this file as the model's code, and runs it to get the model: nothing is pickled.
mlflow.models.set_model(AgeModel())
