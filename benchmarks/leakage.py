"""What a leaking split is worth: one model, tested under every policy of split.clusters.

    python benchmarks/leakage.py UTKFace.tar WEIGHTS

Frozen features of tf_efficientnet_lite0 and a head with one hidden layer, trained on the splits
train and val and tested on test, under three seeds of the split. Every labelled file takes part,
with copies and conflicts as they come, because that is what `none` means. Prints a Markdown table.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import torch
from command_line import asked
from labelled_features import read
from torch import nn
from torch.nn import functional as F

from faceage.core.script import run
from faceage.data import splitting
from faceage.evaluation.bootstrap import Resamples

SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}
SEEDS = (0, 1, 2)
POLICIES = {
    "none": "path",
    "exact": "exact_cluster",
    "near": "near_cluster",
    "burst": "burst_cluster",
}
HIDDEN, DROPOUT, EPOCHS, BATCH, RATE, DECAY = 256, 0.2, 30, 256, 1e-3, 0.05


def main() -> None:
    """Split, train and test under each policy and seed; intervals draw bursts whole."""
    faces, features = read(*asked(__doc__, "source", "weights"))
    faces["bin"] = splitting.age_bins(faces["age"], 5, 20)
    faces["face"] = faces["path"]
    ages = faces["age"].to_numpy(dtype=float)
    print("| split.clusters | MAE, years: seed 0 | seed 1 | seed 2 | mean |")
    print("|---|---:|---:|---:|---:|")
    for policy, column in POLICIES.items():
        cells, means = [], []
        for seed in SEEDS:
            split = splitting.assign(faces.assign(cluster=faces[column]), SHARES, seed)
            test = (split == "test").to_numpy()
            errors = test_errors(ages, features, test, seed)
            resamples = Resamples(faces.loc[test, "burst_cluster"], 2000, seed=0)
            low, high = resamples.interval_of_mean(errors)
            cells.append(f"{errors.mean():.2f} ({low:.2f} to {high:.2f})")
            means.append(errors.mean())
        print(f"| {policy} | {' | '.join(cells)} | {np.mean(means):.2f} |", flush=True)


def test_errors(ages: np.ndarray, features: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Absolute errors, in years, on the faces in `test` of a head trained on the others."""
    torch.manual_seed(seed)
    learned = torch.from_numpy(features[~test])
    mean, sd = learned.mean(0), learned.std(0) + 1e-6
    centre, spread = ages[~test].mean(), ages[~test].std()
    wanted = torch.from_numpy((ages[~test] - centre) / spread).float()
    learned = (learned - mean) / sd
    head = nn.Sequential(
        nn.Linear(features.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, 1)
    )
    optimizer = torch.optim.AdamW(head.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(learned)).split(BATCH):
            optimizer.zero_grad()
            F.smooth_l1_loss(head(learned[rows])[:, 0], wanted[rows]).backward()
            optimizer.step()
        schedule.step()
    head.eval()
    with torch.inference_mode():
        predicted = head((torch.from_numpy(features[test]) - mean) / sd)[:, 0].numpy()
    return np.abs((predicted * spread + centre).clip(0, None) - ages[test])


if __name__ == "__main__":
    run(main)
