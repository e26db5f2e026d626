"""Stage `doubt`: rank labels by how improbable they are, and faces by how unlike the others.

    python src/doubt.py

Reads  data/faces.parquet, weights
Writes data/doubts.csv, reports/label_doubts.csv; drops nothing
"""

import pandas as pd

from faceage import doubts, frozen_features, networks, tables
from faceage.outputs import write_csv
from faceage.params import DoubtParams, load
from faceage.stage import run

LISTED = 0.06  # share of the faces that reports/label_doubts.csv names


def main() -> None:
    """Compute features once, cross-fit the ages on them, measure distances among them."""
    params = load(DoubtParams)
    networks.require(params.model)
    faces = tables.read_faces()
    features = frozen_features.of_faces(faces, params.model, params.weights)
    ranked = faces[["face", "path", "age"]].assign(distance=doubts.distances(features))
    if faces["age"].notna().all():
        ages, groups = faces["age"].to_numpy(dtype=float), faces["burst_group"].to_numpy()
        found = doubts.label_doubts(features, ages, groups, params.seed)
    else:  # classes have no residual
        found = pd.DataFrame(index=faces.index, columns=list(doubts.COLUMNS), dtype=float)
    ranked[list(doubts.COLUMNS)] = found
    ranked = ranked.sort_values(["doubt", "face"], ascending=[False, True])
    tables.write_doubts(ranked)
    write_csv("reports/label_doubts.csv", ranked.head(round(LISTED * len(ranked))))
    error = (ranked["age"] - ranked["predicted"]).abs().mean()
    print(f"{len(ranked)} faces; error of the predictions that labels are held against {error:.1f}")


if __name__ == "__main__":
    run(main)
