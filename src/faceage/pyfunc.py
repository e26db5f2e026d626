"""The saved model as MLflow's `pyfunc` flavour: a table of images in, a table of ages out."""

import base64
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from faceage.predictor import Predictor
from faceage.tracking import Run

SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec("binary", "image", required=False),  # content of an image file
            ColSpec("string", "path", required=False),  # or where it is
        ]
    ),
    outputs=Schema([ColSpec("double", "age")]),
)
# A grey 16x16 PNG: an input example that shows nobody.
EXAMPLE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGElEQVR4nGNoIBEwjGoY1TCqYVTDUNUAAHRAvwHqJ1vQ"
    "AAAAAElFTkSuQmCC"
)


class AgeModel(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined]
    """Takes rows with `image` (bytes) or `path` (str) and returns rows with `age` in years."""

    def load_context(self, context: Any) -> None:
        """Load the model folder from the logged artifacts."""
        self.predictor = Predictor(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Ages in years, one a row."""
        column = "image" if "image" in model_input else "path"
        return pd.DataFrame({"age": self.predictor.ages(list(model_input[column]))})


def log(run: Run, folder: Path, requirements: list[str]) -> None:
    """Log a model folder to the run, with the code that reads it, unless tracking is off."""
    if run.run_id:
        mlflow.pyfunc.log_model(
            name="model",
            python_model=__file__,
            artifacts={"model": str(folder)},
            code_paths=[str(Path(__file__).parent)],
            signature=SIGNATURE,
            input_example=pd.DataFrame({"image": [EXAMPLE]}),
            pip_requirements=requirements,
        )


# MLflow stores this file as the model's code, and runs it to get the model: nothing is pickled.
mlflow.models.set_model(AgeModel())
