"""Runs to compare, by name: a report folder, a git revision or a DVC experiment.

The tables under reports/ are plain files in git, in the commits of DVC experiments too, which are
the refs refs/exps/<first 2 digits of the baseline>/<the other 38>/<name>.
"""

import difflib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from faceage.core import formats, repository, tables
from faceage.core.script import UserError
from faceage.core.tables import PREDICTIONS

METRICS = Path("reports/metrics.json")
EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(?P<name>[^/]+)")


@dataclass(frozen=True)
class Run:
    """A run: the name that was asked for, its commit if it has one, its predictions.csv."""

    name: str
    commit: str | None
    predictions: pd.DataFrame

    @property
    def label(self) -> str:
        """Name and short commit, in Markdown."""
        return f"`{self.name}`" + (f" ({self.commit[:7]})" if self.commit else "")


def find(name: str) -> Run:
    """Look a run up: a folder that holds predictions.csv, else a git revision, else an experiment.

    Raises
    ------
    UserError
        If nothing has that name, git reads no names here, or the predictions are not there,
        damaged, or of a later format than this program knows.
    """
    folder = Path(name)
    file = folder / PREDICTIONS.name
    if file.is_file():
        metrics = folder / METRICS.name
        _require_known(metrics.read_text() if metrics.is_file() else "", metrics)
        return Run(name, None, read(file))
    commit = commit_of(name, f"{file.name}: name the reports folder of a run")
    content = repository.content_at(commit, PREDICTIONS)
    if not content:
        raise UserError(
            f"{name} ({commit[:7]}) has no {PREDICTIONS}: check it out, run `dvc repro` and commit"
            " reports/"
        )
    _require_known(repository.content_at(commit, METRICS), f"{METRICS} of {name}")
    return Run(name, commit, read(content, f"{PREDICTIONS} of {name}"))


def commit_of(name: str, missing: str) -> str:
    """Full hash of a git revision or an experiment.

    Parameters
    ----------
    missing : what a folder of that name has been searched for in vain, and what to do

    Raises
    ------
    UserError
        If nothing has that name, or git reads no names here.
    """
    commit = find_commit(name)
    if not commit and Path(name).is_dir():
        raise UserError(f"the folder {name} holds no {missing}")
    trust = None if commit else repository.needed_trust()
    if trust:
        raise UserError(
            f"git refuses to look {name} up because the repository belongs to another user; if you"
            f" trust what is in it: {trust}"
        )
    if not commit:
        raise UserError(
            f"nothing is called {name}, neither a folder nor a commit, branch or experiment;"
            f" {_closest(name)}"
        )
    return commit


def find_commit(name: str) -> str:
    """Full hash of a git revision or an experiment; empty if nothing has that name."""
    commit = repository.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return commit or _experiment(name)


def read(source: Path | str, where: str | None = None) -> pd.DataFrame:
    """Read predictions.csv, by its path or its text, of a model that predicts ages.

    Raises
    ------
    UserError
        If it is damaged, or of a model of classes.
    """
    table = tables.read_predictions(source, where)
    if "predicted" not in table:
        raise UserError(
            f"{where or source} has classes and no ages, so there are no errors in years to"
            " compare; see `dvc metrics diff`"
        )
    return table


def _require_known(metrics: str, where: object) -> None:
    """Refuse a later format than this program knows; of damaged metrics nothing is read here."""
    with suppress(ValueError, AttributeError):
        formats.require_known(json.loads(metrics or "{}"), where)


def _experiments() -> list[tuple[str, str]]:
    """Name and commit of every DVC experiment."""
    lines = repository.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps")
    refs = (line.split() for line in lines.splitlines())
    matches = ((EXPERIMENT.fullmatch(ref), commit) for ref, commit in refs)
    return [(match["name"], commit) for match, commit in matches if match]


def _experiment(name: str) -> str:
    """Commit of the experiment; empty if there is none of that name."""
    commits = [commit for other, commit in _experiments() if other == name]
    if len(commits) > 1:
        raise UserError(
            f"{len(commits)} experiments are called {name}, from different commits: give one of"
            f" {', '.join(commit[:7] for commit in commits)}"
        )
    return commits[0] if commits else ""


def _closest(name: str) -> str:
    kinds = ("refs/heads", "refs/tags", "refs/remotes")
    known = repository.git("for-each-ref", "--format=%(refname:short)", *kinds).splitlines()
    known += [experiment for experiment, _ in _experiments()]
    close = difflib.get_close_matches(name, known, n=4, cutoff=0.5)
    if close:
        return f"did you mean {', '.join(close)}?"
    return "see `git branch --all` and `dvc exp list --all`"
