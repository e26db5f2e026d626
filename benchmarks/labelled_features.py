"""Every labelled file of a source with its clusters, and the features of a frozen backbone."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from faceage.cleaning.frozen_features import IMG_SIZE
from faceage.core import hash_arrays, images
from faceage.core.params import IngestParams, load
from faceage.data import clustering, ingest_cache, ingestion, origins
from faceage.data.candidates import LABELS
from faceage.networks import age_network
from faceage.networks.forward import extract_features

MODEL = "tf_efficientnet_lite0"
SIDE = 200  # of UTKFace's images


def read(source: str, weights: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Labels and clusters of each file, copies too, and float32 features, row for row.

    The features of a source are computed once and kept in the system's folder for such files.
    """
    params = load(IngestParams)
    data = params.data.model_copy(update={"source": source})
    with origins.opened(data, params.groupings) as origin:
        earlier = ingest_cache.load(data)
        found, _ = ingestion.inspect(origin, earlier.records)
        seen = ingest_cache.compare(found.records, earlier, data)
        ingest_cache.save(data, seen, earlier)
        first = {candidate.face: candidate for candidate in reversed(found)}
        features = _features(origin.source, list(first.values()), Path(source), weights)
    clusters = clustering.cluster(found, seen.near)
    table = found.table.select(LABELS).to_pandas()
    table["path"] = [candidate.name for candidate in found]
    for kind in ("exact", "near", "burst"):
        rows = getattr(clusters, kind)
        table[f"{kind}_cluster"] = hash_arrays.hexadecimal(found.contents[rows])
    row_of = {face: row for row, face in enumerate(first)}
    return table, features[[row_of[candidate.face] for candidate in found]]


def _features(files, found, source: Path, weights: str) -> np.ndarray:  # noqa: ANN001
    name = f"faceage_features_{source.stem}_{Path(weights).stem}_{len(found)}.npy"
    kept = Path(tempfile.gettempdir()) / name
    if kept.exists():
        return np.load(kept)
    pixels = np.empty((len(found), SIDE, SIDE, 3), dtype=np.uint8)
    for row, candidate in enumerate(found):
        pixels[row] = images.square(images.decode(files.read(candidate.path)), SIDE)
    architecture = age_network.for_features(MODEL, IMG_SIZE)
    backbone, _ = age_network.build_backbone(architecture, weights)
    features = extract_features(backbone, architecture, torch.from_numpy(pixels)).numpy()
    np.save(kept, features)
    return features
