"""The benchmarks of speed: what they compute, their page; gpu.py on a bare machine."""

import ast
import json
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import gpu
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import speed_growth
import speed_page
import speed_steps
import speed_work
import torch
import yaml
from conftest import ROOT, photo

from faceage.core import images, utkface
from faceage.data import duplicates
from faceage.experiments.recipes import merged
from faceage.sample.sample_files import sample_files

TINY = gpu.Recipe(model="test_resnet", img_size=32, epochs=2, batch_size=4)
CPU = torch.device("cpu")


def test_a_ratio_is_the_median_over_rounds():
    found = speed_work.ratio([2.0, 9.0, 4.0], [1.0, 3.0, 2.0])
    assert found == {
        "ratio": 2.0,
        "smallest": 2.0,
        "largest": 3.0,
        "seconds": [4.0, 2.0],
        "rounds": 3,
    }


def test_ways_are_measured_in_turns_forwards_and_backwards():
    done: list[str] = []
    seconds = speed_work.in_turns({name: partial(done.append, name) for name in "ab"}, rounds=3)
    assert "".join(done) == "ab" + "abbaab"
    assert [len(times) for times in seconds.values()] == [3, 3]


@pytest.mark.parametrize(
    ("operation", "shapes", "kind"),
    [
        ("aten::mkldnn_convolution", [[8, 24, 9, 9], [24, 1, 5, 5], [24]], "depthwise forward"),
        ("aten::mkldnn_convolution", [[8, 24, 9, 9], [48, 24, 1, 1]], "pointwise forward"),
        (
            "aten::convolution_backward",
            [[8, 24, 9, 9], [8, 24, 9, 9], [24, 1, 3, 3]],
            "depthwise backward",
        ),
        ("aten::convolution_backward", [[8, 4, 9, 9], [8, 3, 9, 9], [4, 3, 3, 3]], "full backward"),
        ("aten::clamp", [[8, 24, 9, 9]], "clamp"),
    ],
)
def test_convolutions_of_a_profile_are_told_apart(operation, shapes, kind):
    assert speed_steps.kind_of(operation, shapes) == kind


def test_the_shortest_training_that_got_to_the_wanted_error_counts(tmp_path: Path):
    history = tmp_path / "history.csv"
    pd.DataFrame({"epoch": [1, 2], "val_mae": [4.9, 5.1]}).to_csv(history)
    late = speed_steps.ended_usual(history)
    assert late == {"epochs": 2, "as_used": 5.1, "single_views": 5.1}

    def training(epochs: int, as_used: float, single_views: float) -> dict[str, float]:
        return {"epochs": epochs, "as_used": as_used, "single_views": single_views}

    ours = [training(9, 4.7, 4.9), training(7, 4.8, 5.0), training(6, 4.9, 5.1)]
    found = {"epoch_seconds": {"usual": 30, "ours": 10}, "loading_seconds": 10}

    def to_wanted(how: str, *usual: dict[str, float]) -> tuple[int, bool, float]:
        got = speed_steps.to_wanted(found | {"ended": {"usual": usual, "ours": ours}}, how)
        return got["ours"]["epochs"], got["usual"]["reached"], got["ratio"]

    assert to_wanted("as_used", late) == (6, False, pytest.approx(60 / 70))
    assert to_wanted("single_views", late) == (7, False, pytest.approx(60 / 80))
    assert to_wanted("single_views", late, training(8, 4.9, 4.9))[1:] == (True, pytest.approx(3))
    ours = [late]
    assert to_wanted("as_used", late) == (2, False, None)


def test_changed_copies_are_no_near_duplicates_and_no_bursts():
    name, content = next(iter(sample_files(60, 128, 0, 0)))
    copies = [speed_growth.changed((name, content, number)) for number in range(16)]
    assert copies[0] == (name, content)
    assert copies[3] == speed_growth.changed((name, content, 3))
    labels = {utkface.parse(Path(path).name) for path, _ in copies}
    assert len(labels) == 1
    taken = sorted(utkface.taken(Path(path).name) or 0 for path, _ in copies)
    assert min(np.diff(taken)) > 24 * 3600
    prints = [duplicates.fingerprint(images.decode(content)) for _, content in copies]
    assert len(duplicates.near_pairs(np.stack(prints), 0.98)) == 0


def test_the_page_has_a_chapter_for_each_part_that_was_measured():
    spread = {"ratio": 1.5, "smallest": 1.25, "largest": 2.0, "seconds": [3, 2], "rounds": 5}
    about = {"measured": {"machine": "a CPU, 2 cores", "minutes": 3.0}}
    page = speed_page.page({"input": {"share": spread} | about})
    assert "150.0% (125.0% to 200.0%)" in page
    assert "a CPU, 2 cores; 3.0 minutes." in page
    assert page.count("\n## ") == 1


def test_the_committed_page_is_of_the_committed_figures():
    results = ROOT / "benchmarks/speed.json"
    if not results.exists():
        pytest.skip("nothing has been measured")
    page = speed_page.page(json.loads(results.read_text()))
    assert page == results.with_suffix(".md").read_text()


def test_gpu_has_what_the_recipe_says():
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    recipe = merged(params, yaml.safe_load((ROOT / "recipes/faceage-gpu.yaml").read_text()))
    train = recipe["train"]
    said = {"model": recipe["model"], "dropout": train["head"]["dropout"]}
    names = [name for name in asdict(gpu.Recipe()) if name not in said]
    assert asdict(gpu.Recipe()) == {name: train[name] for name in names} | said
    assert recipe["target"]["name"] == "dldl"
    assert recipe["target"]["sigma"] == gpu.SIGMA
    assert train["optimizer"] == "adamw"
    assert train["scheduler"]["name"] == "cosine"
    assert train["hflip_tta"]


def test_gpu_imports_what_a_bare_machine_has():
    tree = ast.parse((ROOT / "benchmarks/gpu.py").read_text())
    imported = {
        str(node.module).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }
    imported |= {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    # Pillow comes with torchvision, and that with timm.
    assert imported - sys.stdlib_module_names == {
        *("torch", "timm", "numpy", "pandas", "pyarrow", "PIL")
    }


def test_gpu_learns_and_prints_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = [
        {"face": f"f{n}", "age": 20 + n, "image": {"bytes": photo(n, (40, 40)), "path": f"{n}.jpg"}}
        for n in range(11)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "faces.parquet")
    faces, splits = [row["face"] for row in rows], ["train"] * 8 + ["val"] * 3
    parts = pd.DataFrame({"face": faces, "split": splits})
    parts.to_csv(tmp_path / "split.csv", index=False)
    gpu.throughput(TINY, CPU)
    gpu.train(TINY, CPU, tmp_path / "faces.parquet", tmp_path / "split.csv", None)
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| step, ") for line in lines) == 2
    assert [line.split(" | ")[0] for line in lines[-2:]] == ["| 1", "| 2"]


def test_gpu_learns_to_tell_ages():
    torch.manual_seed(0)
    recipe = replace(TINY, lr=0.01, ema_decay=0.0)
    training = gpu.Training(recipe, CPU, torch.float32)
    pictures = torch.stack(
        [torch.from_numpy(np.array(images.decode(photo(n, (32, 32))))) for n in range(8)]
    )
    ages = torch.tensor([10.0, 60.0] * 4)
    for number in range(1, 41):
        training.step(pictures, ages, number)
    found = training.ages(pictures)
    assert found[1::2].mean() - found[::2].mean() > 25
