"""Run a published recipe as an experiment of its name.

    python src/recipe.py                                      list them
    python src/recipe.py NAME [options of `dvc exp run` ...]  run one

    python src/recipe.py resnet50-128 -S data.source=faces.zip --queue

A recipe, recipes/NAME.yaml, holds what differs from params.yaml. Options that follow the name come
later and win. Ends in `dvc exp run -n NAME -S key=value ...`, which is printed first.
"""

import os
import shlex
import sys

from faceage.core.script import run
from faceage.experiments import recipes


def main() -> None:
    """List the recipes, or turn one into options of `dvc exp run` and start that."""
    if len(sys.argv) == 1 or sys.argv[1].startswith("-"):
        for name, title in recipes.titles().items():
            print(f"{name:28} {title}")
        return
    name, *more = sys.argv[1:]
    command = ["dvc", "exp", "run", "-n", name, *recipes.options(name), *more]
    print(shlex.join(command), flush=True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    run(main)
