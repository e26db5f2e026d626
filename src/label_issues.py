"""Stage `label_issues`: rank labels by how improbable they are, and faces as outliers.

    python src/label_issues.py

Reads  data/faces.parquet, data/split.csv, weights
Writes data/label_issues.csv; data/clean_split.csv, which lacks the training faces with the worst
       issues, for `train.split`
A label of the training set is held against others of that set only, so that what is left out owes
nothing to the labels that the model is tested on. The stage train waits for none of this, unless
train.split asks for it.
"""

from faceage.core.command_line import no_options

if __name__ == "__main__":
    no_options(__doc__)

import numpy as np
import pandas as pd

from faceage.cleaning import frozen_features, label_issues
from faceage.core import tables
from faceage.core.params import LabelIssueParams, load
from faceage.core.script import run
from faceage.networks import age_network


def main() -> None:
    """Compute features once, cross-fit the ages on them, measure distances among them."""
    params = load(LabelIssueParams)
    age_network.require(params.model)
    faces = pd.concat(tables.read_splits().values(), ignore_index=True)
    features = frozen_features.of_faces(faces, params.model, params.weights)
    ranked = faces[["face", "path", "age"]].assign(
        outlier_score=label_issues.outlier_scores(features)
    )
    # Classes and bands of ages have no residual.
    exact = (faces["age_low"] == faces["age_high"]).to_numpy()
    ranked[list(label_issues.COLUMNS)] = np.nan
    if exact.any():
        found = label_issue_scores(faces[exact], features[exact], params.seed)
        ranked.loc[exact, list(label_issues.COLUMNS)] = found.to_numpy()
    ranked = ranked.sort_values(["issue_score", "face"], ascending=[False, True])
    tables.write_label_issues(ranked)
    issues = ranked.loc[ranked["issue_score"].notna(), "face"]
    tables.write_clean_split(worst(issues, faces, params.label_issues.leave_out))
    error = (ranked["age"] - ranked["predicted"]).abs().mean()
    print(f"{len(ranked)} faces; error of the predictions that labels are held against {error:.1f}")


def label_issue_scores(faces: pd.DataFrame, features: np.ndarray, seed: int) -> pd.DataFrame:
    """Issues of all labels, those of the training set from that set alone."""
    ages, clusters = faces["age"].to_numpy(dtype=float), faces["burst_cluster"].to_numpy()
    train = (faces["split"] == "train").to_numpy()
    found = label_issues.label_issue_scores(features, ages, clusters, seed)
    among_train = label_issues.label_issue_scores(
        features[train], ages[train], clusters[train], seed
    )
    found.loc[train] = among_train.to_numpy()
    return found


def worst(ranked: pd.Series, faces: pd.DataFrame, share: float) -> pd.Series:
    """So large a share of the training faces: those that come first in the ranking."""
    train = faces.loc[faces["split"] == "train", "face"]
    return ranked[ranked.isin(train)].head(round(share * len(train)))


if __name__ == "__main__":
    run(main)
