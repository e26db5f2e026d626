"""The usual way to train an age model, to be compared with: a script of a hundred lines.

    python benchmarks/usual_script.py WEIGHTS.safetensors HISTORY.csv [--epochs 12]

A data set that opens each file with Pillow and changes it with torchvision's transforms, for each
image in each epoch, behind a DataLoader with two workers; the age as one number with smooth L1,
AdamW with a cosine. Network, size, batch, rate, the changes of the images and their split are those
of the recipe `faceage-fast`. Runs where data/split.csv and data/faces.parquet are; writes the faces
as files into a temporary folder. Writes a row an epoch: seconds, val_mae.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import pandas as pd
import timm
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from faceage.core import tables

BACKBONE, IMG_SIZE, BATCH, RATE = "tf_efficientnet_lite0", 80, 64, 0.002
WORKERS, AHEAD = 2, 2  # AHEAD: batches that each makes before they are asked for
NORMALISE = transforms.Normalize([0.5] * 3, [0.5] * 3)
TRAIN = transforms.Compose(
    [
        transforms.Resize((IMG_SIZE, IMG_SIZE)),
        transforms.RandomHorizontalFlip(),
        transforms.RandomAffine(10, translate=(0.05, 0.05), scale=(0.9, 1.1)),
        transforms.ColorJitter(0.2, 0.2, 0.2),
        transforms.ToTensor(),
        NORMALISE,
        transforms.RandomErasing(0.1),
    ]
)
EVALUATE = transforms.Compose(
    [transforms.Resize((IMG_SIZE, IMG_SIZE)), transforms.ToTensor(), NORMALISE]
)


class Faces(Dataset[tuple[Tensor, Tensor]]):
    """Files and ages."""

    def __init__(self, files: list[Path], ages: list[float], change: Any) -> None:
        self.files, self.ages, self.change = files, ages, change

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """One image, changed, and its age."""
        image = Image.open(self.files[number]).convert("RGB")
        return self.change(image), torch.tensor(self.ages[number])


def loaders(folder: Path) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Write the faces of train and val as files, and serve them."""
    found = []
    for name, part in tables.read_splits().items():
        if name == "test":
            continue
        files = [folder / f"{face}.jpg" for face in part["face"]]
        for face, content in tables.image_bytes(part["face"]):
            (folder / f"{face}.jpg").write_bytes(content)
        learning = name == "train"
        data = Faces(files, part["age"].astype(float).tolist(), TRAIN if learning else EVALUATE)
        found.append(
            DataLoader(data, BATCH, shuffle=learning, num_workers=WORKERS, prefetch_factor=AHEAD)
        )
    return found[0], found[1]


class Usual:
    """The network and one step of its training."""

    def __init__(self, weights: Path, steps: int) -> None:
        self.network = timm.create_model(
            BACKBONE, pretrained=True, num_classes=1, pretrained_cfg_overlay={"file": str(weights)}
        )
        nn.init.constant_(self.network.get_classifier().bias, 33)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), RATE, weight_decay=0.05)
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)

    def step(self, images: Tensor, ages: Tensor) -> None:
        """Learn from one batch."""
        self.network.train()
        loss = nn.functional.smooth_l1_loss(self.network(images)[:, 0], ages.float())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()

    @torch.no_grad()
    def mae(self, val: DataLoader[Any]) -> float:
        """Mean absolute error, in years."""
        self.network.eval()
        errors = [(self.network(images)[:, 0] - ages).abs() for images, ages in val]
        return float(torch.cat(errors).mean())

    def history(
        self, train: DataLoader[Any], val: DataLoader[Any], epochs: int
    ) -> Iterator[dict[str, float]]:
        """Train; a row an epoch, validation and its time included."""
        for epoch in range(1, epochs + 1):
            start = time.perf_counter()
            for images, ages in train:
                self.step(images, ages)
            mae = self.mae(val)
            yield {"epoch": epoch, "seconds": time.perf_counter() - start, "val_mae": mae}


def main() -> None:
    """Train, write the history after each epoch."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weights", type=Path, help=f"ImageNet weights of {BACKBONE}")
    parser.add_argument("history", type=Path, help="CSV to write")
    parser.add_argument("--epochs", type=int, default=12)
    asked = parser.parse_args()
    torch.manual_seed(0)
    with TemporaryDirectory() as place:
        train, val = loaders(Path(place))
        usual, rows = Usual(asked.weights, asked.epochs * len(train)), []
        for row in usual.history(train, val, asked.epochs):
            rows.append(row)
            print(row, flush=True)
            pd.DataFrame(rows).to_csv(asked.history, index=False)


if __name__ == "__main__":
    main()
