"""The faces of a split as MLflow's Datasets page shows them: name, digest, source, profile."""

import hashlib
from pathlib import Path

import pandas as pd
from mlflow.data.dataset import Dataset
from mlflow.data.pandas_dataset import from_pandas

from faceage.core import repository

COLUMNS = ["face", "age", "age_low", "age_high", "gender", "race"]


def of_split(name: str, faces: pd.DataFrame, source: Path) -> Dataset:
    """Describe a split; nothing of a picture goes to MLflow.

    Parameters
    ----------
    faces : a row of faces.parquet each, without their images
    source : where they are, relative to the repository

    Returns
    -------
    A data set whose digest is that of faces and labels in their order: the same on each machine.
    """
    table = faces[COLUMNS].astype({"face": str})
    text = table.to_csv(index=False, lineterminator="\n")
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = str(repository.root() / source)
    return from_pandas(table, source=path, targets="age", name=name, digest=digest)
