"""What a timm backbone that is not trained any further makes of faces."""

import numpy as np
import pandas as pd
import torch

from faceage import devices, faces, networks, tables
from faceage.inference import predict

PX = 128  # side of the input: enough for the features, and quick


def features(table: pd.DataFrame, model: str, weights: str, seed: int) -> np.ndarray:
    """Features of faces: float32 (n, features), row for row as the table.

    Parameters
    ----------
    table : columns `face`, `width`, `height`
    model, weights : as in params.yaml; without weights the features are random ones, by `seed`,
        from which less can be told, but something

    Raises
    ------
    UserError
        If the weights cannot be had or do not fit the model.
    """
    side = faces.stored_side(table)
    pixels = faces.decode(table, tables.image_bytes(table["face"]), side)
    torch.manual_seed(seed)
    network = networks.build(networks.for_features(model, PX), weights).to(devices.pick())
    return predict(network, pixels, torch.float32, through=network.backbone).numpy()
