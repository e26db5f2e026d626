"""Stage `doubt`: rank labels by how improbable they are, and faces by how unlike the others.

    python src/doubt.py

Reads  data/faces.parquet, data/split.csv, weights
Writes data/doubts.csv, reports/label_doubts.csv; drops nothing
A label of the part train is held against others of that part only, so that what training leaves out
owes nothing to the labels that it is tested on.
"""

import numpy as np
import pandas as pd

from faceage import tables
from faceage.data import doubts
from faceage.learning import frozen_features, networks
from faceage.outputs import write_csv
from faceage.params import DoubtParams, load
from faceage.stage import run

LISTED = 0.06  # share of the faces that reports/label_doubts.csv names


def main() -> None:
    """Compute features once, cross-fit the ages on them, measure distances among them."""
    params = load(DoubtParams)
    networks.require(params.model)
    faces = pd.concat(tables.read_parts().values(), ignore_index=True)
    features = frozen_features.of_faces(faces, params.model, params.weights)
    ranked = faces[["face", "path", "age"]].assign(distance=doubts.distances(features))
    if faces["age"].notna().all():
        found = label_doubts(faces, features, params.seed)
    else:  # classes have no residual
        found = pd.DataFrame(index=faces.index, columns=list(doubts.COLUMNS), dtype=float)
    ranked[list(doubts.COLUMNS)] = found
    ranked = ranked.sort_values(["doubt", "face"], ascending=[False, True])
    tables.write_doubts(ranked)
    write_csv("reports/label_doubts.csv", ranked.head(round(LISTED * len(ranked))))
    error = (ranked["age"] - ranked["predicted"]).abs().mean()
    print(f"{len(ranked)} faces; error of the predictions that labels are held against {error:.1f}")


def label_doubts(faces: pd.DataFrame, features: np.ndarray, seed: int) -> pd.DataFrame:
    """Doubts of all labels, those of the part train from that part alone."""
    ages, groups = faces["age"].to_numpy(dtype=float), faces["burst_group"].to_numpy()
    train = (faces["part"] == "train").to_numpy()
    found = doubts.label_doubts(features, ages, groups, seed)
    among_train = doubts.label_doubts(features[train], ages[train], groups[train], seed)
    found.loc[train] = among_train.to_numpy()
    return found


if __name__ == "__main__":
    run(main)
