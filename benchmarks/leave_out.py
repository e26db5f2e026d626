"""What leaving label issues out of training is worth: label_issues.leave_out.

    python benchmarks/leave_out.py UTKFace.tar WEIGHTS

Frozen features of tf_efficientnet_lite0 and a ridge regression on them, fitted on the training set
without the share of it with the worst label issues, tested on all of the test set; three seeds
of the split. Once with the labels as they are, once with wrong ages planted in 3% of the
training set: there one knows what there is to gain. Prints a Markdown table.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
from command_line import asked
from labelled_features import read
from leakage import SEEDS, SHARES
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from faceage.cleaning import label_issues
from faceage.core.script import run
from faceage.data import splitting
from faceage.evaluation.bootstrap import Resamples

LEFT_OUT = (0.01, 0.02, 0.05, 0.10)
PLANTED = 0.03


def main() -> None:
    """Split, rank, leave out, fit and test."""
    faces, features = read(*asked(__doc__, "source", "weights"))
    once = ~faces["exact_cluster"].duplicated().to_numpy()
    faces, features = faces[once].reset_index(drop=True), features[once]
    faces["bin"] = splitting.age_bins(faces["age"], 5, 20)
    faces = faces.assign(face=faces["path"], cluster=faces["burst_cluster"])
    print("| labels | left out | MAE, years: seed 0 | seed 1 | seed 2 | mean | against none |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for planted in (0.0, PLANTED):
        runs = [errors(faces, features, seed, planted) for seed in SEEDS]
        for share in (0.0, *LEFT_OUT):
            found = [by_share[share].mean() for _, by_share in runs]
            change = [against_none(clusters, by_share, share) for clusters, by_share in runs]
            labels = f"{planted:.0%} wrong" if planted else "as they are"
            cells = " | ".join(f"{mae:.2f}" for mae in [*found, np.mean(found)])
            against = ", ".join(change) if share else ""
            print(f"| {labels} | {share:.0%} | {cells} | {against} |", flush=True)


def errors(faces, features, seed: int, planted: float):  # noqa: ANN001, ANN201
    """Clusters of the test faces, and their absolute errors by the share that was left out."""
    split = splitting.assign(faces, SHARES, seed).to_numpy()
    train, test = np.flatnonzero(split == "train"), split == "test"
    ages, clusters = faces["age"].to_numpy(dtype=float), faces["cluster"].to_numpy()
    labels = ages.copy()
    random = np.random.default_rng(seed)
    wrong = random.choice(train, round(planted * len(train)), replace=False)
    labels[wrong] = random.permutation(ages[train])[: len(wrong)]
    issues = label_issues.label_issue_scores(
        features[train], labels[train], clusters[train], seed=0
    )
    trusted = train[np.argsort(issues["issue_score"].to_numpy(), kind="stable")]
    ridge = make_pipeline(StandardScaler(), RidgeCV(label_issues.STRENGTHS))
    strength = ridge.fit(features[train], labels[train])[-1].alpha_
    same = make_pipeline(StandardScaler(), Ridge(strength))
    found = {}
    for share in (0.0, *LEFT_OUT):
        kept = trusted[: len(trusted) - round(share * len(trusted))]
        predicted = same.fit(features[kept], labels[kept]).predict(features[test])
        found[share] = np.abs(predicted.clip(0, None) - ages[test])
    return faces.loc[test, "cluster"], found


def against_none(clusters, by_share: dict[float, np.ndarray], share: float) -> str:  # noqa: ANN001
    """95% interval of the difference of the MAE to that of training on everything."""
    difference = by_share[share] - by_share[0.0]
    low, high = Resamples(clusters, 2000, seed=0).interval_of_mean(difference)
    return f"{low:+.2f} to {high:+.2f}"


if __name__ == "__main__":
    run(main)
