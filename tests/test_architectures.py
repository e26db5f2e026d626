"""Networks of two dozen families through training, evaluation, export and use: make test-slow."""

import sys

import numpy as np
import pandas as pd
import pytest
from conftest import edit_params, photo

import evaluate
import export
import train
from faceage.core import images, tables
from faceage.evaluation import cost
from faceage.inference import onnx_predictor
from faceage.inference.onnx_predictor import OnnxPredictor
from faceage.inference.torch_predictor import TorchPredictor

# What is known to fail has its mark and the reason: pytest.param(name, marks=pytest.mark.xfail(
# reason=..., strict=True)).
ARCHITECTURES = [
    "coatnet_nano_rw_224",
    "convnext_atto",
    "csatv2",
    "densenet121",
    "edgenext_xx_small",
    "efficientnet_b0",
    "efficientvit_b0",
    "fastvit_t8",
    "ghostnetv3_100",
    "hiera_tiny_224",
    "levit_128s",
    "maxvit_nano_rw_256",
    "mixer_s16_224",
    "mobilenetv2_100",
    "mobileone_s0",
    "nest_tiny",
    "regnetx_002",
    "repvgg_a0",
    "resnet18",
    "swin_tiny_patch4_window7_224",
    "tf_efficientnet_lite0",
    "tnt_s_patch16_224",
    "vit_tiny_patch16_224",
    "xcit_nano_12_p16_224",
]
SIDE = 64  # of the faces in pixels
COUNTS = {"train": 8, "val": 12, "test": 12}
# One step of training, at the size that the network has of its own.
SMALL = {
    "train.img_size": None,
    "train.epochs": 1,
    "train.batch_size": 8,
    "train.warmup_epochs": 0,
    "evaluate.bootstrap": 100,
    "evaluate.robustness_faces": 2,
    "tracking": False,
}


@pytest.fixture
def split_faces(workspace) -> None:
    """Faces of all ages in three parts, as the stages before the training leave them."""
    parts = [name for name, count in COUNTS.items() for _ in range(count)]
    names = [f"{number:064x}" for number in range(len(parts))]
    rows = [
        {
            **{"face": name, "image": {"bytes": photo(n), "path": f"{n}.jpg"}, "age": 7 * n % 90},
            **{"age_low": 7 * n % 90, "age_high": 7 * n % 90, "weight": 1.0, "fixed_split": None},
            **{"age_class": None, "gender": n % 2, "race": n % 5},
            **dict.fromkeys(("exact_cluster", "near_cluster", "burst_cluster"), name),
            **{"width": SIDE, "height": SIDE, "synthetic": True},
        }
        for n, name in enumerate(names)
    ]
    tables.write_faces(rows)
    tables.write_split(pd.DataFrame({"face": names, "cluster": names, "split": parts}))
    (workspace / "data/label_issues.csv").touch()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_through_all_of_it(split_faces, monkeypatch, name):
    monkeypatch.setattr(cost, "BATCH", 2)
    monkeypatch.setattr(cost, "MIN_SECONDS", 0)
    edit_params(SMALL | {"model": name})
    train.main()
    evaluate.main()
    monkeypatch.setattr(sys, "argv", ["export.py", "--format", "onnx"])
    export.main()
    exported, predictor = OnnxPredictor(onnx_predictor.FILE), TorchPredictor()
    for count in (1, 5):
        faces = [images.square(images.decode(photo(n)), SIDE) for n in range(count)]
        found, expected = (model.predict(np.stack(faces)) for model in (exported, predictor))
        np.testing.assert_allclose(found.age, expected.age, atol=1e-3)
