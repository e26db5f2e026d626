"""What a run left in git or in a folder: the two sides that a pull request compares.

A run is the whole tree of a commit, or the whole working tree of a folder. The second is there for
what is not committed, and for a base that was run anew on the machine that runs the other side.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from faceage.core import repository
from faceage.core.script import UserError
from faceage.core.tables import PREDICTIONS
from faceage.experiments import runs

FIGURES = Path("reports/figures")


@dataclass(frozen=True)
class Tree:
    """The files of a commit, or of a folder.

    name: what a reader knows it by; commit: full hash, of a folder the one that is checked out
    there, empty without git; folder: None for the files of the commit.
    """

    name: str
    commit: str
    folder: Path | None

    @property
    def label(self) -> str:
        """Name and short commit, in Markdown."""
        named = self.commit and self.name != self.commit[:7]
        return f"`{self.name}`" + (f" ({self.commit[:7]})" if named else "")

    def committed(self) -> "Tree":
        """The commit's own files, without what has changed in the folder since."""
        return dataclasses.replace(self, folder=None)

    def text(self, path: Path) -> str:
        """Content of a text file; empty where it is not there."""
        if self.folder is None:
            return repository.content_at(self.commit, path)
        file = self.folder / path
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    def numbers(self, path: Path) -> dict[str, Any]:
        """Content of a JSON file; empty where it is not there.

        Raises
        ------
        UserError
            If it is damaged.
        """
        try:
            return dict(json.loads(self.text(path) or "{}"))
        except ValueError:
            raise UserError(
                f"{path} of {self.name} is damaged: `dvc repro` makes it anew"
            ) from None

    def stages(self) -> Mapping[str, Any]:
        """What dvc.lock says of each stage.

        Raises
        ------
        UserError
            If it is no YAML, as after a merge that was not finished.
        """
        try:
            return dict((yaml.safe_load(self.text(Path("dvc.lock"))) or {}).get("stages", {}))
        except yaml.YAMLError:
            raise UserError(
                f"dvc.lock of {self.name} is damaged: `git checkout dvc.lock && dvc repro`"
            ) from None

    def predictions(self) -> pd.DataFrame:
        """predictions.csv, face by face.

        Raises
        ------
        UserError
            If there is none, if it is damaged, or of a model of classes.
        """
        content = self.text(PREDICTIONS)
        if not content:
            raise UserError(f"{self.name} has no {PREDICTIONS}")
        return runs.read(content, f"{PREDICTIONS} of {self.name}")

    def figures(self) -> dict[str, str]:
        """Git's hash of each figure, by its file name."""
        if self.folder is None:
            listed = repository.git("ls-tree", self.commit, f"{FIGURES}/").splitlines()
            rows = (line.split(maxsplit=3) for line in listed)
            return {Path(path).name: blob for _, _, blob, path in rows}
        files = sorted((self.folder / FIGURES).glob("*.png"))
        hashes = repository.git("hash-object", *map(str, files)).split() if files else []
        return {file.name: blob for file, blob in zip(files, hashes, strict=True)}


def find(name: str) -> Tree:
    """Look a tree up: a folder that holds a pipeline, else a git revision or an experiment.

    Raises
    ------
    UserError
        If nothing has that name, or git reads no names here.
    """
    folder = Path(name)
    if not (folder / "dvc.yaml").is_file():
        commit = runs.commit_of(name, "dvc.yaml: name the folder of a repository")
        return Tree(commit[:7] if commit.startswith(name) else name, commit, None)
    commit = repository.git("-C", name, "rev-parse", "HEAD")
    branch = repository.git("-C", name, "symbolic-ref", "--quiet", "--short", "HEAD")
    return Tree(branch or commit[:7] or name, commit, folder)
