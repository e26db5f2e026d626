"""A sweep: Optuna proposes parameters, `dvc exp run` executes each trial, a study remembers all.

The study lies in the database of the MLflow runs. Each trial is a DVC experiment `NAME-000`; what
is judged is its validation error, as reports/history.csv has it, never the test set.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import optuna
import pandas as pd
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from faceage.core import repository
from faceage.core.script import UserError
from faceage.core.settings import Params
from faceage.experiments import overrides, queue, trial_process
from faceage.experiments.search_space import Space
from faceage.tracking import mlflow_runs

optuna.logging.set_verbosity(optuna.logging.WARNING)

FOLDER = Path("sweeps")
# Trials that no other is measured against before it is stopped, and epochs that each one gets.
UNPRUNED_TRIALS, UNPRUNED_EPOCHS = 5, 2
FAILURES = 3  # in a row after which it is no use going on


@dataclass(frozen=True)
class Sweep:
    """What is tried: `given` are values by dotted keys that all trials have besides the recipe."""

    name: str
    space: Space
    given: dict[str, str]
    study: optuna.Study
    seed: int

    @property
    def folder(self) -> Path:
        """Where its page and what its trials print is kept."""
        return FOLDER / self.name

    @property
    def base(self) -> str:
        """The experiment that trials are compared with: the parameters before any was tried."""
        return f"{self.name}-base"

    def experiment(self, trial: Trial | FrozenTrial) -> str:
        """The experiment of a trial."""
        return f"{self.name}-{trial.number:03}"

    def done(self) -> list[FrozenTrial]:
        """Trials that ended with a value, or were pruned."""
        return self.study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))


def begin(name: str, space: Space, given: dict[str, str], seed: int) -> Sweep:
    """Open the study of that name, or go on with it.

    Raises
    ------
    UserError
        If it was begun with another space, other parameters or from another commit.
    """
    # MLflow's tables are there first, and the version that the database is marked with is theirs:
    # Optuna would take it for one of its own.
    storage = RDBStorage(mlflow_runs.database(), skip_compatibility_check=True)
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="minimize",
        load_if_exists=True,
        pruner=MedianPruner(UNPRUNED_TRIALS, UNPRUNED_EPOCHS),
    )
    now = {
        "commit": repository.git("rev-parse", "HEAD"),
        "space": space.model_dump(mode="json"),
        "given": given,
    }
    for key, value in now.items():
        begun = study.user_attrs.get(key, value)
        if begun != value:
            how = f"from another commit, {begun[:7]}" if key == "commit" else f"with another {key}"
            raise UserError(
                f"the sweep {name} was begun {how}, and its trials would not be comparable: go on"
                " there, or copy the file under another name"
            )
        study.set_user_attr(key, value)
    return Sweep(name, space, given, study, seed)


def run_base(sweep: Sweep) -> None:
    """Run the experiment that the chosen trial is compared with, unless it is there."""
    options = sweep.space.options(sweep.given)
    trial_process.wait(sweep.folder / "base.log")
    _require_the_commit(sweep.base, overrides.configured(options))
    if sweep.base not in queue.finished():
        trial_process.run(_command(sweep.base, options), sweep.folder / "base.log")
    if sweep.base not in queue.finished():
        raise UserError(_why(sweep.base, sweep.folder / "base.log"))


def run_next(sweep: Sweep) -> FrozenTrial:
    """Run one trial: the one that was interrupted, or else a new one.

    Raises
    ------
    UserError
        If it fails, and those before it have failed too.
    """
    running = sweep.study.get_trials(states=(TrialState.RUNNING,))
    trial = Trial(sweep.study, running[0]._trial_id) if running else _ask(sweep)
    log = sweep.folder / f"{trial.number:03}.log"
    try:
        params = overrides.configured(options := _options(sweep, trial))
    except UserError as error:
        return _failed(sweep, trial, str(error))
    name = sweep.experiment(trial)
    trial_process.wait(log)
    _require_the_commit(name, params)
    if name not in queue.finished():
        trial_process.run(
            _command(name, options), log, lambda history: _is_hopeless(trial, history, params)
        )
    commit = queue.finished().get(name)
    if commit:
        history = pd.read_csv(io.StringIO(repository.content_at(commit, trial_process.HISTORY)))
        _report(trial, history, params)
        sweep.study.tell(trial, value(history, params))
    elif trial.user_attrs.get("pruned"):
        sweep.study.tell(trial, state=TrialState.PRUNED)
    else:
        return _failed(sweep, trial, _why(name, log))
    return sweep.study.get_trials()[trial.number]


def value(history: pd.DataFrame, params: Params) -> float:
    """The validation error of the model: the best of the last phase, the mean over its members.

    In years, or with `train.monitor: accuracy` the share of faces in a wrong class.
    """
    last = history[history["phase"] == history["phase"].max()]
    errors = _errors(last, params)
    return float(errors.groupby(last["member"]).min().mean())


def _ask(sweep: Sweep) -> Trial:
    # A sampler for each trial, seeded by its number: a sweep that goes on proposes what one that
    # was never stopped would have proposed.
    number = len(sweep.study.get_trials(deepcopy=False))
    sweep.study.sampler = TPESampler(seed=sweep.seed * 1_000_003 + number)
    return sweep.study.ask()


def _options(sweep: Sweep, trial: Trial) -> list[str]:
    return sweep.space.options(sweep.given | sweep.space.suggest(trial))


def _command(name: str, options: list[str]) -> list[str]:
    return ["dvc", "exp", "run", "--temp", "-n", name, *options]


def _errors(history: pd.DataFrame, params: Params) -> pd.Series:
    if params.train.monitor == "mae":
        return history["val_mae"]
    return 1 - history["val_accuracy"]


def _report(trial: Trial, history: pd.DataFrame, params: Params) -> None:
    """Tell the study of epochs that it does not know; of an ensemble they are counted through."""
    known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
    for step, error in enumerate(_errors(history, params), start=1):
        if step not in known:
            trial.report(error, step)


def _is_hopeless(trial: Trial, history: pd.DataFrame, params: Params) -> bool:
    """Whether the best epoch is worse than the median of what others had reached by then."""
    _report(trial, history, params)
    if trial.should_prune():
        trial.set_user_attr("pruned", len(history))
        return True
    return False


def _require_the_commit(name: str, params: Params) -> None:
    """All trials run the code of one commit, and one that is there ran these parameters."""
    if repository.revision_tags()["git.dirty"] != "false":
        raise UserError(
            "files differ from the commit, and trials that ran different code cannot be compared:"
            " commit or stash them (`git status`), then start the same command again"
        )
    overrides.refuse_others({name: params}, queue.finished())


def _failed(sweep: Sweep, trial: Trial, reason: str) -> FrozenTrial:
    trial.set_user_attr("reason", reason)
    sweep.study.tell(trial, state=TrialState.FAIL)
    last = sweep.study.get_trials()[-FAILURES:]
    if len(last) == FAILURES and all(each.state == TrialState.FAIL for each in last):
        raise UserError(f"{FAILURES} trials in a row failed: {reason}")
    return last[-1]


def _why(name: str, log: Path) -> str:
    said = [line for line in log.read_text(errors="replace").splitlines() if "error:" in line]
    reason = said[-1].partition("error:")[2].strip() if said else "it gives no reason"
    return f"{name} failed: {reason}; {log} has all that it printed"
