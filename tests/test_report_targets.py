"""The report of what the default configuration is not: classes, distributions, phases, members."""

import dataclasses

import pytest
from report_inputs import CLASSES, DISTRIBUTION, make, prepare

from faceage.core import params
from faceage.reporting import figures, themes


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(themes, "DPI", 50)
    monkeypatch.setattr(themes, "PHOTOGRAPHS_DPI", 25)


@pytest.fixture
def cards(tmp_path):
    return (tmp_path / "reports/model_card.md").read_text


def test_classes_without_ages(tmp_path, monkeypatch, cards):
    page = make(tmp_path, monkeypatch, target=CLASSES)
    assert "into the right class" in page
    assert "gives classes and no ages" in page
    for chapter in ("data", "training", "confusion", "cost", "reproduce"):
        assert f'<section id="{chapter}">' in page
    for chapter in ("ages", "subgroups", "intervals", "robustness"):
        assert f'<section id="{chapter}">' not in page
    assert "Quadratic-weighted kappa" in cards()
    drawn = {path.stem for path in (tmp_path / "reports/figures").iterdir()}
    assert drawn == {"people", "history", "confusion_life_stage", "samples", "outliers"}
    for document in (page, cards()):
        assert ">nan<" not in document
        assert "None" not in document


def test_a_distribution_shows_its_calibration(tmp_path, monkeypatch, cards):
    page = make(tmp_path, monkeypatch, target=DISTRIBUTION)
    assert "The predicted distribution" in page
    assert (tmp_path / "reports/figures/distribution.png").exists()
    assert "quantile" not in cards()


def test_the_card_says_that_an_age_is_a_quantile(tmp_path, monkeypatch, cards):
    make(tmp_path, monkeypatch, target=dataclasses.replace(DISTRIBUTION, quantile=0.6))
    assert ", an age is the quantile 0.6 of its distribution; input" in cards()


def test_phases_and_members_are_drawn_and_told(tmp_path, monkeypatch, cards):
    found = prepare(tmp_path, monkeypatch, phases=2, members=3)
    drawn = figures.charts(found, params.load(params.ReportParams))["history"](themes.LIGHT)
    loss, mae = drawn.axes
    assert len(loss.get_lines()) == 2 * 3 + 1, (
        "two losses of three members and where a phase begins"
    )
    assert len(mae.get_lines()) == 3 + 1
    legend = loss.get_legend()
    assert legend
    assert [text.get_text() for text in legend.get_texts()] == ["training", "validation"]
