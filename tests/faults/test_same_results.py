"""Same in, same out: two runs from nothing, in two folders, leave the same bytes but for times."""

from collections import Counter

import pytest
import record
from killing import STAGES
from test_environment import WITHOUT_A_MODEL, undisturbed

# What differs between two shells and two days, and is no input.
SHELLS = [
    {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C", "COLUMNS": "60"},
    {"PYTHONHASHSEED": "2", "TZ": "America/Lima", "LC_ALL": "C.UTF-8", "COLUMNS": "200"},
]


def run(folder, names, shell: int, seed: int = 0) -> dict[str, str]:
    """Hashes of all results of these stages, from nothing."""
    edits: dict[str, object] = {"seed": seed, "tracking": "train" in names and "publish" in names}
    with undisturbed(folder, names, edits, **SHELLS[shell]) as made:
        return made.hashes


def different(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))


def test_two_runs_up_to_the_model(tmp_path):
    names = [*WITHOUT_A_MODEL, "train"]
    first, second = (run(tmp_path / f"{shell}", names, shell) for shell in (0, 1))
    assert "models/model.safetensors" in first
    assert different(first, second) == []


@pytest.mark.faults
def test_two_runs_and_one_with_another_seed(tmp_path):
    runs = [run(tmp_path / f"{shell}", STAGES, shell) for shell in (0, 1)]
    lost = different(*runs)
    found = Counter({"the same": len(runs[0]) - len(lost)}) + Counter({record.LOST: len(lost)})
    record.write("Same in, same out: files of two runs from nothing", {"all stages": found})
    assert lost == []
    another = run(tmp_path / "seed", STAGES, 0, seed=1)
    changed = different(runs[0], another)
    assert {"data/faces.parquet", "data/split.csv", "models/model.safetensors"} <= set(changed)
    assert "reports/metrics.json" in changed
