"""A model folder that nobody trained: everything that use needs, in a second."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from conftest import architecture

from faceage.core import sealed
from faceage.evaluation.conformal import Calibration
from faceage.networks import age_network, saved_model, targets
from faceage.networks.targets import Target

SIDE = 64
REGRESSION = targets.Regression(40, 20, "l1", 1)


def rewrite(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change a JSON object of a model folder as a program would: with a seal that fits."""
    content = json.loads(path.read_text())
    content.pop(sealed.KEY, None)
    path.write_text(json.dumps(sealed.sealed(change(content))))


def write(target: Target = REGRESSION, fingerprint: str = "none", **changes: Any) -> None:
    """Write models/ of the working directory, which holds a params.yaml."""
    torch.manual_seed(0)
    plain = architecture(**{"outputs": target.outputs} | changes)
    groupings = yaml.safe_load(Path("params.yaml").read_text())["groupings"]
    about = {
        "synthetic": True,
        "side": SIDE,
        "fingerprint": fingerprint,
        "training": {"groupings": groupings, "best_epochs": [1]},
    }
    members = [age_network.build(plain).state_dict() for _ in range(plain.members)]
    saved_model.save(members, plain, target, about)
    errors = np.random.default_rng(0).normal(0, 5, 200)
    ages = np.linspace(1, 90, 200)
    intervals = Calibration.fit(ages, ages + errors, 0.9).as_dict()
    test = {"n": 200, "mae": 5.0, "mae_low": 4.5, "mae_high": 5.5, "group_accuracy": 0.8}
    saved_model.save_evaluation(fingerprint, intervals, test)
