"""Models in MLflow: logged, and registered where they are shown to beat the one that is in use."""

from importlib.metadata import version
from pathlib import Path

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models.model import ModelInfo

from faceage.core import tables
from faceage.evaluation.comparison import BETTER, Difference, compare
from faceage.inference import pyfunc
from faceage.tracking.run import Run

NAME, ALIAS = "faceage", "champion"
PREDICTIONS = tables.PREDICTIONS  # the same path among the artifacts of a run
# What a copy of the model needs to run elsewhere.
REQUIREMENTS = (
    *("torch", "torchvision", "timm", "safetensors", "huggingface-hub", "coral-pytorch"),
    *("numpy", "pandas", "pillow", "psutil", "pydantic", "pyyaml", "scipy", "tqdm"),
)


def log(run: Run, folder: Path, predictions: Path, epoch: int) -> ModelInfo | None:
    """Log a model folder to the run, with the code that reads it, unless tracking is off.

    Parameters
    ----------
    predictions : path of the model's predictions.csv, which later models are compared with
    epoch : that the weights are from, whose metrics are the model's, with those on the test set
    """
    if not run.run_id:
        return None
    run.log_file(predictions, PREDICTIONS.parent.name)
    return mlflow.pyfunc.log_model(
        name="model",
        model_id=begin_model(run.run_id),
        step=epoch,
        python_model=pyfunc.__file__,
        artifacts={"model": str(folder)},
        code_paths=[str(Path(pyfunc.__file__).parents[1])],
        signature=pyfunc.SIGNATURE,
        input_example=pd.DataFrame({"image": [pyfunc.EXAMPLE]}),
        pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
    )


def begin_model(run_id: str) -> str:
    """Name a model of the run, with what was measured of it on the data set `testing`; its id.

    MLflow keeps what a metric was measured on with models, not with runs.
    """
    client, run = MlflowClient(), mlflow.get_run(run_id)
    for half in _unfinished_models(run):
        client.delete_logged_model(half)
    model = mlflow.initialize_logged_model("model", run.info.run_id, params=run.data.params)
    inputs = run.inputs.dataset_inputs if run.inputs else []
    tested = [each.dataset for each in inputs if "testing" in {tag.value for tag in each.tags}]
    of = {"dataset_name": tested[-1].name, "dataset_digest": tested[-1].digest} if tested else {}
    last = [
        client.get_metric_history(run.info.run_id, key)[-1]
        for key in run.data.metrics
        if key.startswith("test.")
    ]
    metrics = [
        Metric(each.key, each.value, each.timestamp, each.step, model.model_id, **of)
        for each in last
    ]
    client.log_batch(run.info.run_id, metrics=metrics)
    return str(model.model_id)


def promote(
    model: ModelInfo, predictions: pd.DataFrame, *, count: int, seed: int, smallest: int
) -> str:
    """Register the model as champion if there is none or it is better; say what came of it.

    Parameters
    ----------
    predictions : reports/predictions.csv of the model, with ages
    count, seed, smallest : see `comparison.compare`
    """
    client = MlflowClient()
    champion = _champion(client)
    if champion is None:
        number = _register(client, model)
        return f"registered as {NAME} version {number}, the first {ALIAS}"
    found = compare(
        _predictions(champion), predictions, count=count, seed=seed, smallest=smallest
    ).overall
    against = f"version {champion.version}: {_in_words(found)}"
    if found.verdict != BETTER:
        return f"not promoted: {against}"
    number = _register(client, model)
    return f"registered as {NAME} version {number}, the new {ALIAS} after {against}"


def _unfinished_models(run: mlflow.entities.Run) -> list[str]:
    """Models of a run whose logging was killed."""
    models = mlflow.search_logged_models(
        experiment_ids=[run.info.experiment_id],
        filter_string=f"source_run_id = '{run.info.run_id}'",
        output_format="list",
    )
    pending = mlflow.entities.LoggedModelStatus.PENDING
    return [model.model_id for model in models if model.status == pending]


def _champion(client: MlflowClient) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(NAME, ALIAS)
    except MlflowException:
        return None


def _predictions(champion: ModelVersion) -> pd.DataFrame:
    text = mlflow.artifacts.load_text(f"runs:/{champion.run_id}/{PREDICTIONS}")
    return tables.read_predictions(text, f"{PREDICTIONS} of version {champion.version}")


def _register(client: MlflowClient, model: ModelInfo) -> str:
    number = str(mlflow.register_model(model.model_uri, NAME).version)
    client.set_registered_model_alias(NAME, ALIAS, number)
    return number


def _in_words(found: Difference) -> str:
    return (
        f"MAE {found.mae_b:.2f} instead of {found.mae_a:.2f} years on {found.n:,} test faces that"
        f" both have ({found.low:+.2f} to {found.high:+.2f}; {found.verdict})"
    )
