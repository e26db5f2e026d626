"""Measure a recipe under a protocol of the literature: every fold through the DVC queue.

    python src/protocol.py --list
    python src/protocol.py NAME --recipe RECIPE [-S key=value ...]

    python src/protocol.py all-ages-5 --recipe faceage -S data.source=UTKFace.tar
    python src/protocol.py file --recipe faceage -S data.source=UTKFace.tar -S split.source=my.csv

A protocol, protocols/NAME.yaml, fixes filter, split and seeds; docs/protocols.md explains each.
Stop it at any moment and start it again, here or elsewhere: folds that benchmarks/protocols.json
has with the same parameters stay, a training that was killed goes on.
Reads the folds' experiments; writes benchmarks/protocols.json, the tables of protocols.md there and
of README.md.
"""

import argparse


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="?", metavar="NAME", help="protocol, a file of protocols/")
    parser.add_argument("--recipe", help="recipe to measure, a file of recipes/")
    parser.add_argument(
        "-S", dest="given", action="append", default=[], metavar="KEY=VALUE", help="parameter"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="folds at a time, which share the cores"
    )
    parser.add_argument("--list", action="store_true", help="show the protocols")
    parser.add_argument("--table", action="store_true", help="write the table anew, run nothing")
    return parser.parse_args()


if __name__ == "__main__":
    arguments()  # --help and mistakes are answered before the imports below, which take seconds

import json
from pathlib import Path
from typing import Any

from faceage.core.outputs import atomic_write, write_json
from faceage.core.script import UserError, run
from faceage.experiments import overrides, protocol_table, protocols, queue

RESULTS = Path("benchmarks/protocols.json")
PAGES = {  # and the columns of the table there
    Path("benchmarks/protocols.md"): protocol_table.COLUMNS,
    Path("README.md"): protocol_table.FEWER_COLUMNS,
}


def main() -> None:
    """List the protocols, or queue the folds of one, wait for them and write what came out."""
    asked = arguments()
    if asked.list:
        for name in protocols.names():
            print(f"{name:12} {protocols.load(name).title}")
    elif asked.table:
        write_results({})
    elif asked.name and asked.recipe:
        measure(asked.name, asked.recipe, asked.given, asked.jobs)
    else:
        raise UserError("name a protocol and a recipe, NAME --recipe RECIPE, or give --list")


def measure(name: str, recipe: str, given: list[str], jobs: int = 1) -> None:
    """Run the folds that are not there yet, and write what is there after each."""
    folds = protocols.folds(name, recipe, given)
    key = protocols.key(name, recipe, folds)
    earlier = protocols.kept(folds, json.loads(RESULTS.read_text()).get(key, {}))
    to_run = [fold for fold in folds if fold.seed not in earlier]
    finished = queue.finished()
    overrides.refuse_others({fold.name: fold.params for fold in to_run}, finished)
    there = len(earlier) + sum(fold.name in finished for fold in to_run)
    print(f"{name}: {there} of {len(folds)} folds are there; `dvc queue status`", flush=True)
    for done in queue.work_off({fold.name: fold.command for fold in to_run}, jobs):
        print(f"{done} has finished", flush=True)
        write_results({key: protocols.measured(name, recipe, folds, queue.finished(), earlier)})
    print(protocol_table.table({name: protocols.load(name)}, json.loads(RESULTS.read_text())))


def write_results(new: dict[str, Any]) -> None:
    """Put new entries in the place of old ones, and the tables in their places on the pages."""
    entries = json.loads(RESULTS.read_text()) | new
    if new:
        write_json(RESULTS, entries)
    known = {name: protocols.load(name) for name in protocols.names()}
    for page, columns in PAGES.items():
        table = protocol_table.table(known, entries, columns)
        with atomic_write(page) as part:
            part.write_text(protocol_table.replaced(page.read_text(), table))


if __name__ == "__main__":
    run(main)
