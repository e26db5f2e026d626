"""The summary in the terminal."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import summary
from faceage.core.script import UserError

METRICS = {
    "synthetic": True,
    "test": {"n": 361, "mae": 5.12, "mae_low": 4.78, "mae_high": 5.45},
    "baselines": {
        "median": {"mae": 17.2, "mae_low": 16.1, "mae_high": 18.4},
        "ridge": {"mae": 9.8, "mae_low": 9.2, "mae_high": 10.5},
    },
}


@pytest.fixture
def metrics(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("reports/metrics.json")
    path.parent.mkdir()
    path.write_text(json.dumps(METRICS))
    return path


def test_shows_the_error_beside_the_baselines(metrics, capsys):
    summary.main()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["this", "model", "5.12", "4.78", "to", "5.45"] in lines
    assert ["ridge", "regression", "on", "16x16", "pixels", "9.80", "9.20", "to", "10.50"] in lines
    assert ["always", "the", "training", "median", "17.20", "16.10", "to", "18.40"] in lines


def test_names_the_report_and_what_to_type_next(metrics, capsys):
    summary.main()
    shown = capsys.readouterr().out
    for text in (
        "reports/report.html",
        "dvc repro",
        "dvc exp run -S model=efficientnet_b0",
        "dvc exp run -S data.source=PATH",
        "dvc exp show",
        "mlflow ui",
    ):
        assert f"  {text}" in shown


@pytest.mark.parametrize("synthetic", [True, False])
def test_says_so_if_and_only_if_the_faces_are_synthetic(metrics, capsys, synthetic):
    metrics.write_text(json.dumps(METRICS | {"synthetic": synthetic}))
    summary.main()
    assert ("says nothing about people" in capsys.readouterr().out) == synthetic


def test_fits_a_terminal_of_80_columns_in_ascii(metrics, capsys):
    summary.main()
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert max(map(len, shown.splitlines())) <= 80


def test_without_metrics_says_what_to_do(metrics):
    metrics.unlink()
    with pytest.raises(UserError, match=r"no reports/metrics\.json yet: `dvc repro`"):
        summary.main()


def test_damaged_metrics_say_what_to_do(metrics):
    metrics.write_text('{"test": ')
    with pytest.raises(UserError, match=r"damaged: `rm -r reports/metrics\.json && dvc repro`"):
        summary.main()


def test_imports_nothing_slow():
    code = "import sys, summary; print({'pandas', 'numpy', 'torch', 'mlflow'} & set(sys.modules))"
    source = Path(summary.__file__).parent
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


def test_the_readme_shows_the_committed_numbers():
    committed = json.loads((ROOT / "reports/metrics.json").read_text())
    readme = (ROOT / "README.md").read_text()
    for measured in (committed["test"], *committed["baselines"].values()):
        low, high = f"{measured['mae_low']:.2f}", f"{measured['mae_high']:.2f}"
        assert f"{measured['mae']:.2f}" in readme
        assert f"| {low} to {high} |" in readme
