"""The lists of packages against each other and against what the code imports."""

import re
from pathlib import Path

import pytest
from closure import required_packages
from conftest import ROOT

LOCK, CONSTRAINTS = ROOT / "requirements.lock", ROOT / "constraints.txt"
LISTS = sorted(ROOT.glob("requirements*.txt"))
PINNED = [path for path in LISTS if path.name != "requirements-predict.txt"]
RENEW = "make lock"


def lines(path: Path) -> list[str]:
    """Requirements, one a line, without comments, options and continuations."""
    joined = path.read_text().replace("\\\n", " ")
    found = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
    return [line for line in found if line and not line.startswith("-")]


def name(requirement: str) -> str:
    return re.sub("[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


def pins(path: Path) -> set[tuple[str, str]]:
    """Normalised names and versions."""
    return {(name(line), line.split("==")[1].split()[0]) for line in lines(path)}


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.name)
def test_the_lock_has_each_requirement_in_the_version_that_is_asked_for(path):
    assert len(pins(path)) > 0
    assert pins(path) <= pins(LOCK), RENEW


def test_each_package_of_the_lock_has_its_hashes_and_no_address():
    """That of the registry that it was resolved at would bind every installation to it."""
    entry = re.compile(r"[^\s:]+==[^\s:]+( ; [^:]+?)?(\s+--hash=sha256:[0-9a-f]{64})+")
    assert [line[:99] for line in lines(LOCK) if not entry.fullmatch(line)] == []


def test_constraints_are_the_versions_of_the_lock():
    locked = [re.split(r"\s+--hash", line)[0] for line in lines(LOCK)]
    assert lines(CONSTRAINTS) == locked, RENEW


@pytest.mark.parametrize(
    "path",
    [path for path in LISTS if path.name != "requirements-models.txt"],
    ids=lambda path: path.name,
)
def test_what_a_list_brings_along_is_constrained(path):
    assert "-c constraints.txt\n" in path.read_text()


def test_who_only_predicts_installs_what_predict_imports_and_nothing_else():
    listed = {name(line) for line in lines(ROOT / "requirements-predict.txt")}
    of_a_cluster = {package for package, _ in pins(ROOT / "requirements-cluster.txt")}
    assert listed == required_packages(ROOT / "src/predict.py") - of_a_cluster
    assert listed < {package for package, _ in pins(ROOT / "requirements.txt")}
