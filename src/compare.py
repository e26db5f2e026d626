"""Compare two runs on the test faces that they share, as Markdown for a pull request.

    python src/compare.py A B

A is the run to beat, B the new one; each is a commit, branch or tag, a DVC experiment, or a report
folder on disk. `python src/compare.py HEAD reports`: what `dvc repro` has just changed.

Reads  reports/predictions.csv of both
"""

import argparse

from faceage.core.params import EvaluateParams, load
from faceage.core.script import run
from faceage.evaluation.comparison import compare_by
from faceage.experiments import runs
from faceage.reporting.comparison_text import markdown


def main() -> None:
    """Look both runs up, compare them, print."""
    parser = argparse.ArgumentParser(
        description="Compare two runs on the test faces that they share, as Markdown."
    )
    parser.add_argument("a", metavar="A", help="run to beat: commit, branch, experiment or folder")
    parser.add_argument("b", metavar="B", help="new run, likewise")
    asked = parser.parse_args()
    params = load(EvaluateParams)
    a, b = runs.find(asked.a), runs.find(asked.b)
    comparison = compare_by(params, a.predictions, b.predictions)
    print(markdown(a.label, b.label, comparison))


if __name__ == "__main__":
    run(main)
