"""The page for people who check ages, and benchmarks/age_checks.py: the numbers of the tables."""

import json
import re
import sys
from html import unescape
from pathlib import Path

import pytest
from conftest import ROOT
from report_inputs import CLASSES, make

from faceage.core import tables
from faceage.core.script import UserError
from faceage.reporting import labels, themes

sys.path.insert(0, str(ROOT / "benchmarks"))
import age_checks as script


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of a report that was made once; not to be changed."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(themes, "DPI", 50)  # for speed
        patch.setattr(themes, "PHOTOGRAPHS_DPI", 25)
        make(folder, patch, faces=480, test=160)
    return folder


@pytest.fixture
def html(made):
    return text_of(made)


@pytest.fixture
def measured(made, monkeypatch):
    monkeypatch.chdir(made)
    return tables.read_evaluation()


def text_of(folder: Path) -> str:
    """The page, its pictures left out."""
    page = (folder / "reports/age_checks.html").read_text()
    return unescape(re.sub(r"base64,[\w+/=]*", "", page))


def cells(html: str, section: str) -> list[list[str]]:
    """Texts of the cells of the first table of a section, row by row."""
    (part,) = re.findall(rf'<section id="{section}">(.*?)</section>', html, re.DOTALL)
    body = part.split("<tbody>")[1].split("</tbody>")[0]
    return [
        [
            " ".join(re.sub(r"<[^>]*>", " ", cell).split())
            for cell in re.findall(r"<t[hd].*?</t[hd]>", row)
        ]
        for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    ]


def shown(row) -> str:
    return f"{labels.rate(row)} {labels.rate_interval(row)}"


def test_needs_nothing_outside_itself(made):
    page = (made / "reports/age_checks.html").read_text()
    references = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert references
    assert all(reference.startswith(("data:", "#")) for reference in references)
    assert page.count("data:image/png;base64,") == 2 * 4
    assert not re.search(r"https?:|url\(|@import|<script", text_of(made))


def test_every_threshold_has_the_rates_of_the_table(html, measured):
    table = measured["age_checks"]
    at = table[table["legal_age"] == 18]
    for threshold, line in zip(range(18, 31), cells(html, "thresholds"), strict=True):
        rows = at[at["threshold"] == threshold].to_dict("records")
        assert line == [str(threshold), *map(shown, rows)]


def test_chosen_thresholds_and_their_price_are_those_of_the_table(html, measured):
    table = measured["challenge_ages"]
    at = table[table["legal_age"] == 18]
    lines = cells(html, "challenge_ages")
    assert [line[0] for line in lines] == ["1%", "2%", "5%"]
    for (_, rows), line in zip(at.groupby("target"), lines, strict=True):
        assert line[1] == labels.number(rows["threshold"].iloc[0])
        assert line[3:] == [shown(row) for row in rows.head(3).to_dict("records")]


def test_children_and_legal_ages_are_there(html, measured):
    rows = measured["child_safety"].to_dict("records")
    assert [line[2:] for line in cells(html, "children")] == [
        [shown(row) for row in rows[start : start + 3]] for start in (0, 3, 6)
    ]
    assert [line[0] for line in cells(html, "legal_ages") if line[0]] == ["13", "16", "18", "21"]


def test_says_what_the_data_cannot_tell_and_what_was_not_read(html):
    for said in ("on another day", "Attacks", "was not read", "it is no certificate"):
        assert said in html
    for source in ("NIST IR 8525", "ISO/IEC 27566-1:2025", "Ofcom", "ACCS 1:2020"):
        assert source in html


def test_real_faces_have_the_limits_of_their_labels(tmp_path, monkeypatch):
    monkeypatch.setattr(themes, "DPI", 50)
    monkeypatch.setattr(themes, "PHOTOGRAPHS_DPI", 25)
    make(tmp_path, monkeypatch, faces=60, test=8, synthetic=False)
    page = text_of(tmp_path)
    assert "estimated by a model (DEX)" in page
    assert "synthetic" not in page.lower()
    assert "no faces" in page


def test_legal_ages_of_which_nearly_nobody_is_make_a_page_too(tmp_path, monkeypatch):
    monkeypatch.setattr(themes, "DPI", 50)
    monkeypatch.setattr(themes, "PHOTOGRAPHS_DPI", 25)
    make(tmp_path, monkeypatch, edits={"evaluate.legal_ages": [1, 2, 99]}, faces=60, test=8)
    page = text_of(tmp_path)
    assert "at least 99, with the challenge age 106" in page
    assert not re.search(r"\bnan\b|\bNone\b", page)
    metrics = json.loads(Path("reports/metrics.json").read_text())
    assert "| 99 | 106 |" in script.in_markdown(metrics, tables.read_evaluation())


def test_of_classes_nothing_can_be_said(tmp_path, monkeypatch):
    make(tmp_path, monkeypatch, faces=60, test=8, target=CLASSES)
    assert "Nothing can be said about age checks" in text_of(tmp_path)
    with pytest.raises(UserError, match="no age checks"):
        script.in_markdown(json.loads(Path("reports/metrics.json").read_text()), {})


def test_the_markdown_has_whole_tables_and_the_same_numbers(made, measured):
    metrics = json.loads((made / "reports/metrics.json").read_text())
    found = script.in_markdown(metrics, measured)
    for table in found.split("\n\n"):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    row = measured["age_checks"].query("legal_age == 18 and threshold == 25").iloc[0]
    assert f"| 18 | 25 | {labels.rate(row)} ({labels.rate_interval(row)}) |" in found
    assert not re.search(r"\bnan\b|\bNone\b", found)


def test_the_tables_take_their_marked_place():
    page = script.PAGE.read_text()
    once = script.replaced(page, "| a |")
    assert f"{script.START}| a |\n{script.END}" in once
    assert script.replaced(once, "| b |") == once.replace("| a |", "| b |")
