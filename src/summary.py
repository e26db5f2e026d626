"""Say in the terminal how well the model does, where the report is and what to type next.

    python src/summary.py

Reads  reports/metrics.json
"""

from faceage.core.command_line import no_options

if __name__ == "__main__":
    no_options(__doc__)

from pathlib import Path
from typing import Any

from faceage.core import formats, stored
from faceage.core.script import UserError, run

METRICS = Path("reports/metrics.json")

NEXT = {
    "dvc repro": "again: nothing has changed, nothing runs",
    "dvc exp run -S model=efficientnet_b0": "the same with another backbone",
    "dvc exp run -S data.source=PATH": "your faces: a folder, .tar(.gz) or .zip",
    "dvc exp show": "compare the experiments",
    "mlflow ui": "see all runs in the browser",
}


def main() -> None:
    """Print the test error beside the baselines, then the way on."""
    metrics = read_metrics()
    faces = f"{metrics['test']['n']:,} {'synthetic ' if metrics['synthetic'] else ''}test faces"
    if "mae" in metrics["test"]:
        print_errors(metrics, faces)
    else:
        print_accuracy(metrics["test"], faces)
    if metrics["synthetic"]:
        print("\n  Synthetic sample: shows that the pipeline works, says nothing about people.")
    print("\nReport\n\n  reports/report.html\n\nNext\n")
    for command, purpose in NEXT.items():
        print(f"  {command:38}{purpose}")
    print()


def print_errors(metrics: dict[str, Any], faces: str) -> None:
    """Errors of model and baselines, where the faces have ages."""
    print(f"\nMean absolute error in years on {faces}, with 95% intervals\n")
    for name, found in {
        "this model": metrics["test"],
        "ridge regression on 16x16 pixels": metrics["baselines"]["ridge"],
        "always the training median": metrics["baselines"]["median"],
    }.items():
        interval = f"{found['mae_low']:5.2f} to {found['mae_high']:.2f}"
        print(f"  {name:34}{found['mae']:6.2f}   {interval}")


def print_accuracy(test: dict[str, Any], faces: str) -> None:
    """Share of the faces put into the right class, where they have classes only."""
    print(f"\nFaces put into the right class, of {faces}, with 95% intervals\n")
    for name, key in (("this model", "accuracy"), ("always the commonest class", "commonest")):
        interval = f"{test[f'{key}_low']:.1%} to {test[f'{key}_high']:.1%}"
        print(f"  {name:34}{test[key]:6.1%}   {interval}")


def read_metrics() -> dict[str, Any]:
    """Content of reports/metrics.json.

    Raises
    ------
    UserError
        If there is none yet, it is damaged, or of a later format than this program knows.
    """
    try:
        metrics = stored.read_json(METRICS)
    except FileNotFoundError:
        raise UserError(f"there is no {METRICS} yet: `dvc repro` makes it") from None
    formats.require_known(metrics, METRICS)
    return metrics


if __name__ == "__main__":
    run(main)
