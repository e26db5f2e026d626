"""Faces of another source that are in the training data too: what a model has learned by heart."""

from dataclasses import dataclass

import numpy as np

from faceage.core import hash_arrays, images, tables
from faceage.core.progress import bar
from faceage.data import duplicates
from faceage.data.candidates import Candidates


@dataclass(frozen=True)
class Shared:
    """Names of faces: of the same file or pixels as one at home, and near-duplicates of one."""

    exact: set[str]
    near: set[str]


def with_training(found: Candidates, threshold: float) -> Shared:
    """Compare faces with all of data/faces.parquet: train, val and test.

    Parameters
    ----------
    threshold : correlation from which two are near-duplicates, as `data.near_duplicate`
    """
    home = tables.read_faces()["face"]
    contents = bar(tables.image_bytes(home), "shared with training", "face", len(home))
    known = [duplicates.fingerprint(images.decode(content)) for _, content in contents]
    own = found.records.fingerprints(found.column("record"))
    pairs = duplicates.near_pairs(np.stack([*known, *own]), threshold, known=len(known))
    across = pairs[(pairs[:, 0] < len(known)) & (pairs[:, 1] >= len(known))]
    near = set(hash_arrays.hexadecimal(found.contents[across[:, 1] - len(known)]))
    exact = set(hash_arrays.hexadecimal(found.contents)) & set(home)
    return Shared(exact, near - exact)
