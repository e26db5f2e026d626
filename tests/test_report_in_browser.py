"""The page of the report in a real browser: on a desk, on a phone, in the dark."""

import browser
import pytest
from report_inputs import CLASSES, make

pytestmark = pytest.mark.skipif(browser.EXECUTABLE is None, reason="chromium is not on PATH")


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        make(folder, patch, elsewhere=True)
    return folder / "reports/report.html"


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser.chromium(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_looks_whole(html, tab, width, dark):
    tab.open(html, width, dark=dark)
    assert tab.complaints == []
    assert all(request.startswith(("file:", "data:")) for request in tab.requests)
    assert tab.evaluate("document.images.length") == 14 + 18 + 24 + 12 + 2 * 12 + 100 + 24
    assert tab.evaluate("[...document.images].filter(image => !image.naturalWidth).length") == 0
    tab.evaluate("for (const long of document.querySelectorAll('details')) long.open = true")
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert tab.evaluate(overflow) == 0


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_for_people_who_check_ages_looks_whole(html, tab, width):
    tab.open(html.with_name("age_checks.html"), width, dark=False)
    assert tab.complaints == []
    assert all(request.startswith(("file:", "data:")) for request in tab.requests)
    assert tab.evaluate("document.images.length") == 4
    assert tab.evaluate("[...document.images].filter(image => !image.naturalWidth).length") == 0
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert tab.evaluate(overflow) == 0


def test_a_page_of_classes_looks_whole(tab, tmp_path, monkeypatch):
    make(tmp_path, monkeypatch, target=CLASSES)
    for width in (1280, 390):
        tab.open(tmp_path / "reports/report.html", width, dark=False)
        assert tab.complaints == []
        assert tab.evaluate("[...document.images].filter(image => !image.naturalWidth).length") == 0
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert tab.evaluate(overflow) == 0


def test_prints_without_what_paper_cannot_use(html, tab):
    tab.open(html, 700, dark=True, medium="print")
    assert tab.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    chosen = "[...document.querySelectorAll('picture img')].every(i => i.currentSrc === i.src)"
    assert tab.evaluate(chosen), "a figure for dark screens would be printed"
