"""Print the comment of a pull request as Markdown: what has changed since BASE, the verdict first.

    python src/pr_comment.py --base main
    python src/pr_comment.py --base ../before > comment.md
    python src/pr_comment.py --base main --images 'https://HOST/OWNER/NAME/raw/{commit}/{path}'

BASE is a commit, branch, tag or DVC experiment, or the folder of another copy of the repository, in
which the base was run on this machine. What is compared with it is the working tree, as `dvc repro`
left it. Asks no forge anything: docs/pull_requests.md says how GitHub gets the comment.

Reads  reports/, dvc.lock and params.yaml of the working tree; reports/ and dvc.lock of BASE
"""

import argparse

from faceage.core.params import EvaluateParams, load
from faceage.core.script import UserError, run
from faceage.evaluation.comparison import Comparison, compare_by
from faceage.experiments import trees
from faceage.experiments.trees import Tree
from faceage.reporting.pull_request import comment


def main() -> None:
    """Look both sides up, compare them, print."""
    parser = argparse.ArgumentParser(
        description="What has changed since BASE, as Markdown: the comment of a pull request."
    )
    parser.add_argument(
        "--base", required=True, help="commit, branch, experiment, or folder of another copy"
    )
    parser.add_argument(
        "--images",
        metavar="URL",
        help="address of a committed file, with {commit} and {path} in it",
    )
    parser.add_argument(
        "--report",
        metavar="URL",
        default="reports/report.html",
        help="address of this run's report",
    )
    asked = parser.parse_args()
    base, head = trees.find(asked.base), trees.find(".")
    if asked.images and not ("{commit}" in asked.images and "{path}" in asked.images):
        raise UserError(
            f"--images {asked.images}: the address has to hold {{commit}} and {{path}}, which stand"
            " for the commit and the file, as in https://HOST/OWNER/NAME/raw/{commit}/{path}"
        )
    print(comment(base, head, _compared(base, head), images=asked.images, report=asked.report))


def _compared(base: Tree, head: Tree) -> Comparison | str:
    """The paired comparison, or why there is none: other faces, classes, no run yet."""
    params = load(EvaluateParams)
    try:
        return compare_by(params, base.predictions(), head.predictions())
    except UserError as error:
        return str(error)


if __name__ == "__main__":
    run(main)
