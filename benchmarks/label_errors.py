"""Planted label errors: how many of them are among the worst label issues.

    python benchmarks/label_errors.py UTKFace.tar WEIGHTS

3% of the faces get the age of another; three draws. Prints a Markdown table.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
from command_line import asked
from labelled_features import read

from faceage.cleaning import label_issues
from faceage.core.script import run

PLANTED, DEPTH, LARGE = 0.03, 0.06, 25  # shares of the faces; years


def main() -> None:
    """Plant, rank, count."""
    faces, features = read(*asked(__doc__, "source", "weights"))
    once = ~faces["exact_cluster"].duplicated().to_numpy()
    ages, features = faces.loc[once, "age"].to_numpy(dtype=float), features[once]
    clusters = faces.loc[once, "burst_cluster"].to_numpy()
    print(
        f"| draw | planted | precision at {PLANTED:.0%} | recall at {PLANTED:.0%} | planted,"
        f" {LARGE} years or more | of these within the top {DEPTH:.0%} |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for draw in range(3):
        random = np.random.default_rng(draw)
        places = random.choice(len(ages), round(PLANTED * len(ages)), replace=False)
        labels = ages.copy()
        labels[places] = random.permutation(ages)[: len(places)]
        issues = label_issues.label_issue_scores(features, labels, clusters, seed=0)
        ranked = np.argsort(-issues["issue_score"].to_numpy(), kind="stable")
        wrong, large = labels != ages, np.abs(labels - ages) >= LARGE
        top = ranked[: round(PLANTED * len(ages))]
        deep = ranked[: round(DEPTH * len(ages))]
        print(
            f"| {draw} | {wrong.sum()} | {wrong[top].mean():.1%} |"
            f" {wrong[top].sum() / wrong.sum():.1%} | {large.sum()} |"
            f" {large[deep].sum() / large.sum():.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    run(main)
