"""Search good parameters: Optuna proposes, `dvc exp run` executes, one trial after the other.

    python src/sweep.py SPACE --trials N [-S key=value ...]

    python src/sweep.py sweeps/learning.yaml --trials 20
    python src/sweep.py sweeps/learning.yaml --trials 40    # goes on after the first 20

SPACE says which parameters are tried, and between which values; -S gives what all trials have in
common. Each trial is an experiment NAME-000, judged by its validation error and stopped early where
that is worse than the median of the others after as many epochs. Stop the command and start it
again: it goes on where it was. docs/experiments.md explains more.

Reads  the experiments, reports/history.csv of a trial while it trains
Writes sweeps/NAME/index.html and what each trial printed; the study to MLflow's database
"""

import argparse
from pathlib import Path


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("space", type=Path, metavar="SPACE", help="search space, as in sweeps/")
    parser.add_argument("--trials", type=int, required=True, metavar="N", help="trials in all")
    parser.add_argument(
        "-S", dest="given", action="append", default=[], metavar="KEY=VALUE", help="parameter"
    )
    return parser.parse_args()


if __name__ == "__main__":
    arguments()  # --help and mistakes are answered before the imports below, which take seconds

from filelock import FileLock, Timeout
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState

from faceage.core.outputs import atomic_write
from faceage.core.params import EvaluateParams, load
from faceage.core.script import UserError, run
from faceage.evaluation.comparison import Comparison, compare_by
from faceage.experiments import overrides, runs, search_space, sweeps
from faceage.experiments.sweeps import Sweep
from faceage.reporting import sweep_page


def main() -> None:
    """Run trials until there are as many as asked for, then judge the best one."""
    asked = arguments()
    given = dict(overrides.pair(item) for item in asked.given)
    space = search_space.load(asked.space, given)
    folder = sweeps.FOLDER / asked.space.stem
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            params = load(EvaluateParams)
            search(sweeps.begin(asked.space.stem, space, given, params.seed), asked.trials, params)
    except Timeout:
        raise UserError(f"another sweep.py is at work on {asked.space.stem}") from None
    except StorageInternalError as error:
        first = str(error.__cause__ or error).splitlines()[0]
        raise UserError(
            f"the study cannot be kept ({first}); nothing of it is lost: start the same command"
            " again when its database can be reached"
        ) from None


def search(sweep: Sweep, trials: int, params: EvaluateParams) -> None:
    """Run what is missing; write the page after each trial."""
    print(f"{sweep.base}: the parameters as they are", flush=True)
    sweeps.run_base(sweep)
    while len(sweep.done()) < trials:
        trial = sweeps.run_next(sweep)
        print(f"{sweep.experiment(trial)}: {in_words(trial)}", flush=True)
        write_page(sweep, None)
    comparison = judge(sweep, params)
    write_page(sweep, comparison)
    best = sweep.study.best_trial
    print(f"best: {sweep.experiment(best)}, {best.value:.4g}; {sweep.folder}/index.html")
    print(f"dvc exp apply {sweep.experiment(best)}")


def judge(sweep: Sweep, params: EvaluateParams) -> Comparison:
    """Compare the best trial with the parameters as they are, on the test faces of both."""
    a, b = (runs.find(name) for name in (sweep.base, sweep.experiment(sweep.study.best_trial)))
    return compare_by(params, a.predictions, b.predictions)


def write_page(sweep: Sweep, comparison: Comparison | None) -> None:
    """Write what is known so far; the comparison is there when all trials are."""
    with atomic_write(sweep.folder / "index.html") as part:
        part.write_text(sweep_page.page(sweep, comparison), encoding="utf-8")


def in_words(trial: FrozenTrial) -> str:
    """What became of a trial, for the terminal."""
    tried = ", ".join(f"{key} {sweep_page.shown(value)}" for key, value in trial.params.items())
    outcome = {
        TrialState.COMPLETE: f"validation error {trial.value or 0:.4g}",
        TrialState.PRUNED: f"stopped after epoch {len(trial.intermediate_values)}",
    }
    return f"{outcome.get(trial.state) or trial.user_attrs['reason']} ({tried})"


if __name__ == "__main__":
    run(main)
