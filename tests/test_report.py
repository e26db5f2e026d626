"""The stage `report`: its figures, its page, and the inputs that are hardest to show."""

import dataclasses
import io
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import report_inputs
from conftest import ROOT, edit_params
from PIL import Image

import report
from faceage import figures, gallery, labels, page, results, themes
from faceage.stage import UserError

BANNER = '<p class="banner" id="synthetic">'
DRAWINGS = {
    "ages_by_split",
    "confusion_decade",
    "confusion_group",
    "error_by_age",
    "history",
    "overview",
    "scatter",
}


def make(folder: Path, monkeypatch: pytest.MonkeyPatch, **inputs: Any) -> str:
    """Write inputs, run the stage on them in `folder`, return the page."""
    monkeypatch.chdir(folder)
    shutil.copy(ROOT / "params.yaml", folder)
    edit_params({"tracking": False})
    report_inputs.write(folder, **inputs)
    report.main()
    return (folder / "reports/report.html").read_text()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of a report that was made once; not to be changed."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        make(folder, patch)
    return folder


@pytest.fixture
def html(made):
    return (made / "reports/report.html").read_text()


@pytest.fixture
def found(made, monkeypatch):
    monkeypatch.chdir(made)
    return results.read()


def test_draws_every_figure(made):
    files = {path.stem: Image.open(path) for path in (made / "reports/figures").iterdir()}
    assert set(files) == DRAWINGS | {"worst"}
    assert {files[name].width for name in DRAWINGS} == {1600}
    assert files["overview"].size == (1600, 600)
    assert files["worst"].width == 800
    for image in files.values():
        colours = image.convert("RGB").getcolors(image.width * image.height)
        assert colours is not None
        assert len(colours) > 50


def test_two_runs_give_the_same_bytes(made, tmp_path, monkeypatch):
    make(tmp_path, monkeypatch)
    for path in [*(made / "reports/figures").iterdir(), made / "reports/report.html"]:
        again = tmp_path / path.relative_to(made)
        assert again.read_bytes() == path.read_bytes(), path.name


def test_page_needs_nothing_outside_itself(html):
    references = re.findall(r'(?:src|srcset|href)="([^"]*)"', html)
    assert references
    assert all(reference.startswith(("data:", "#")) for reference in references)
    without_pictures = re.sub(r"data:[\w/]*;base64,[\w+/=]*", "", html)
    assert not re.search(r"https?:|url\(|@import|<script|<link(?! rel=\"icon\")", without_pictures)


def test_page_embeds_light_and_dark_figures_and_the_faces(html):
    assert html.count("data:image/png;base64,") == 2 * (len(DRAWINGS) - 1)
    assert html.count("data:image/jpeg;base64,") == gallery.SHOWN


def test_sections_come_in_order(html):
    wanted = ["verdict", "baselines", "data", "training", "predictions", "ages", "confusion"]
    wanted += ["misses", "reproduce"]
    assert re.findall(r'<section id="(\w+)">', html) == wanted


def test_links_lead_somewhere(html):
    assert set(re.findall(r'href="#(\w+)"', html)) <= set(re.findall(r'id="(\w+)"', html))


def test_banner_and_titles_say_that_faces_are_synthetic(html):
    assert BANNER in html
    for tag in ("title", "h1"):
        (heading,) = re.findall(f"<{tag}>(.*?)</{tag}>", html)
        assert "synthetic sample" in heading


def test_real_faces_are_not_called_synthetic(tmp_path, monkeypatch):
    shown = make(tmp_path, monkeypatch, faces=60, test=8, synthetic=False)
    visible = re.sub(r"base64,[\w+/=]*", "", shown)
    assert "synthetic" not in visible
    assert "The test part has fewer than 24 faces: all of them are shown" in shown
    assert shown.count("data:image/jpeg;base64,") == 8


def tables_in(html: str) -> list[list[list[int]]]:
    """Numbers in the cells of each table, row by row, where all of them are whole."""
    found = []
    for table in re.findall(r"<table.*?</table>", html, re.DOTALL):
        body = re.findall(r"<tr[^>]*>(.*?)</tr>", table.split("<tbody>")[1], re.DOTALL)
        rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in body]
        if all(cell.isdigit() for row in rows for cell in row):
            found.append([[int(cell) for cell in row] for row in rows])
    return found


@pytest.mark.parametrize("classes", ["decade", "group"])
def test_confusion_counts_are_those_of_pandas(found, html, classes):
    predictions = found.predictions
    expected = pd.crosstab(predictions[classes], predictions[f"predicted_{classes}"])
    expected = expected.rename(index=labels.age_range, columns=labels.age_range)
    counts = getattr(found, f"confusion_by_{classes}")()
    assert counts.to_numpy().sum() == len(predictions)
    for true, predicted in [(row, column) for row in expected.index for column in expected.columns]:
        assert counts.loc[true, predicted] == expected.loc[true, predicted]

    drawn = figures.confusion(counts, classes, "test faces", themes.LIGHT)
    texts = [text.get_text() for text in drawn.axes[0].texts]
    assert [int(text or 0) for text in texts] == counts.to_numpy().ravel().tolist()

    assert counts.to_numpy().tolist() in tables_in(html)


def test_rows_of_the_confusion_in_percent_add_up(found):
    drawn = figures.confusion(found.confusion_by_group(), "age group", "faces", themes.LIGHT)
    percent = np.asarray(drawn.axes[1].images[0].get_array())
    assert percent.sum(axis=1).tolist() == pytest.approx([100] * len(percent))


def test_axes_show_ages_and_titles_say_how_many(found):
    drawn = figures.error_by_age(found.decades, 4.0, found.test_faces, themes.LIGHT)
    ticks = [tick.get_text() for tick in drawn.axes[1].get_xticklabels()]
    assert ticks[0].startswith(f"0{labels.EN_DASH}9\nn=")
    assert drawn.axes[0].get_title() == "Error by age (n = 36 synthetic test faces)"
    assert drawn.axes[0].get_ylabel() == "mean absolute error (years)"


def test_density_counts_faces_near_a_point():
    predictions = pd.DataFrame({"age": [20] * 9 + [70], "predicted": [20.0] * 9 + [70.0]})
    drawn = figures.scatter(predictions, "faces", themes.LIGHT)
    density = np.asarray(drawn.axes[0].collections[-1].get_array())
    assert density.max() == pytest.approx(9 * density.min())


def test_worst_come_first(found):
    misses = gallery.worst(found.predictions)
    sizes = [abs(miss.predicted - miss.age) for miss in misses]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == gallery.SHOWN
    assert sizes[0] == pytest.approx(found.predictions["error"].abs().max())


def test_worst_are_shown_with_their_own_faces(found):
    ages = found.predictions.set_index("path")["age"]
    for miss in gallery.worst(found.predictions):
        cheek = miss.pixels[miss.pixels.shape[0] * 55 // 96, miss.pixels.shape[1] // 2]
        assert cheek[0] == pytest.approx(226 - ages[miss.path], abs=2)
        assert Image.open(io.BytesIO(miss.jpeg())).size == (gallery.SIDE, gallery.SIDE)


def test_meagre_inputs_end_with_notes(html, tmp_path, monkeypatch):
    shown = make(tmp_path, monkeypatch, faces=60, test=1, epochs=1, genders=False)
    for note in (
        "The test part has a single face",
        "The test part has fewer than 24 faces",
        "No face has a gender label",
        "Training ran for one epoch",
    ):
        assert note in shown
        assert note not in html


def render(found: results.Results) -> str:
    """Make the page with empty pictures."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 9)).save(buffer, "PNG")
    picture = page.Picture(buffer.getvalue(), buffer.getvalue())
    return page.render(found, dict.fromkeys(DRAWINGS, picture), [])


def verdict_against(found: results.Results, ridge: tuple[float, float, float]) -> str:
    keys = ("mae", "mae_low", "mae_high")
    found.metrics["baselines"] = {
        "ridge": dict(zip(keys, ridge, strict=True)),
        "median": dict(zip(keys, (100.0, 90.0, 110.0), strict=True)),
    }
    (verdict,) = re.findall(r'<p class="verdict">(.*?)</p>', render(found), re.DOTALL)
    return " ".join(verdict.split())


def test_verdict_says_which_intervals_overlap(found):
    test = found.metrics["test"]
    better = verdict_against(found, (50.0, 45.0, 55.0))
    assert "% less than a ridge regression" in better
    assert "% less than always answering the training median" in better
    assert "Its interval overlaps neither of theirs." in better

    close = verdict_against(found, (test["mae_high"], test["mae_low"], 50.0))
    assert "Its interval overlaps that of a ridge regression on 16" in close
    assert "that of always" not in close

    worse = verdict_against(found, (test["mae_low"] / 2, 0.1, test["mae_low"] - 0.1))
    assert "% more than a ridge regression" in worse
    assert "Its interval overlaps neither of theirs." in worse


def test_file_names_are_shown_as_text(found):
    rejected = pd.DataFrame(
        {"path": ["<script>alert(1)</script>.jpg"], "reason": ["not an image"], "detail": [""]}
    )
    shown = render(dataclasses.replace(found, rejected=rejected))
    assert "<script" not in shown
    assert "<script>alert(1)</script>.jpg" in unescape(shown)


def test_long_lists_of_rejected_files_are_cut(found):
    paths = [f"bad_{number}.jpg" for number in range(500)]
    rejected = pd.DataFrame({"path": paths, "reason": "not an image", "detail": ""})
    shown = render(dataclasses.replace(found, rejected=rejected))
    assert f"first {page.LISTED} of 500" in shown
    assert "bad_199.jpg" in shown
    assert "bad_200.jpg" not in shown


def test_data_without_rejections_says_so(found):
    found.ingest["rejected"] = {}
    shown = render(dataclasses.replace(found, rejected=found.rejected.head(0)))
    assert "Nothing: every file is used." in shown
    assert "Rejected files by name" not in shown


def test_missing_input_is_named(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    (tmp_path / "reports/predictions.csv").unlink()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no reports/predictions\.csv.*dvc repro"):
        report.main()


def test_starts_without_the_slow_libraries():
    code = "import sys, report; print({'torch', 'timm', 'matplotlib.pyplot'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(report.__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "set()"


def test_undefined_values_are_a_dash(found):
    assert page.number(None) == page.number(float("nan")) == labels.EN_DASH
    assert page.number(1234.56) == "1,234.6"
    assert page.number(0.613, page.PERCENT, 0) == "61%"
    assert page.number(-1.26, page.SIGNED) == f"{labels.MINUS}1.3"
    assert page.number(-0.01, page.SIGNED) == "+0.0"


def test_groups_are_ordered_by_age():
    assert labels.in_order({">60", "18-40", "<18", "41-60"}) == ["<18", "18-40", "41-60", ">60"]
    assert labels.in_order({">4", "<5"}) == ["<5", ">4"]


def test_age_ranges_are_readable():
    dash = labels.EN_DASH
    assert labels.age_range("000-004") == f"0{dash}4"
    assert labels.age_range("100-109") == f"100{dash}109"
    assert labels.age_range("18-40") == f"18{dash}40"
    assert labels.age_range("<18") == "<18"


def test_damaged_json_is_named(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    Path("reports/split.json").write_text("{")
    with pytest.raises(UserError, match=r"reports/split\.json is damaged"):
        report.main()
