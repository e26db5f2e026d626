"""The documents against the repository: where links lead, and which parameters commands set."""

import re
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "benchmarks").glob("*.md")),
]
each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


@each_document
def test_links_lead_to_files(path: Path):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


@each_document
def test_links_within_a_document_lead_to_headings(path: Path):
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([^)]*)\)", path.read_text())) <= anchors


@each_document
def test_parameters_that_commands_set_are_parameters(path: Path):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key in re.findall(r"-S ['\"]?([a-z_.]+)=", path.read_text()):
        section = params
        for name in key.split("."):
            assert name in section, key
            section = section[name]


def test_every_page_is_linked_from_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert all(f"](docs/{path.name})" in readme for path in (ROOT / "docs").glob("*.md"))
