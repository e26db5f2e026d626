"""What a leaking split is worth: one model, tested under every policy of split.groups.

    python benchmarks/leakage.py ../shared/data/UTKFace.tar WEIGHTS

Frozen features of tf_efficientnet_lite0 and a ridge regression on them, fitted on the parts train
and val and tested on test, under three seeds of the split; every labelled file takes part, with
copies and conflicts as they come, because that is what `none` means. Prints a Markdown table.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import pandas as pd
from labelled_features import read
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from faceage import splitting
from faceage.bootstrap import Resamples
from faceage.doubts import STRENGTHS

SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}
SEEDS = (0, 1, 2)
POLICIES = {
    "none": "path",
    "exact": "exact_group",
    "near": "near_group",
    "burst": "burst_group",
}


def main() -> None:
    """Split, fit and test under each policy and seed."""
    faces, features = read(*sys.argv[1:3])
    faces["bin"] = splitting.age_bins(faces["age"], 5, 20)
    print("| split.groups | MAE, years: seed 0 | seed 1 | seed 2 | mean |")
    print("|---|---:|---:|---:|---:|")
    for policy, column in POLICIES.items():
        found = [
            mae(faces.assign(face=faces["path"], group=faces[column]), features, seed)
            for seed in SEEDS
        ]
        cells = [f"{mean:.2f} ({low:.2f} to {high:.2f})" for mean, (low, high) in found]
        mean = np.mean([mean for mean, _ in found])
        print(f"| {policy} | {' | '.join(cells)} | {mean:.2f} |", flush=True)


def ridge() -> Pipeline:
    """The model: cheap, and the one that labels are doubted with."""
    return make_pipeline(StandardScaler(), RidgeCV(STRENGTHS))


def mae(faces: pd.DataFrame, features: np.ndarray, seed: int) -> tuple[float, tuple[float, float]]:
    """Mean absolute error of the test part, and its 95% interval by bursts drawn whole."""
    test = (splitting.assign(faces, SHARES, seed) == "test").to_numpy()
    ages = faces["age"].to_numpy(dtype=float)
    predicted = ridge().fit(features[~test], ages[~test]).predict(features[test]).clip(0, None)
    errors = np.abs(predicted - ages[test])
    resamples = Resamples(faces.loc[test, "burst_group"], 2000, seed=0)
    return float(errors.mean()), resamples.interval_of_mean(errors)


if __name__ == "__main__":
    main()
