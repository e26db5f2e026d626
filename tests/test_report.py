"""The stage `report`: its files, its page, its model card, and what is hardest to show."""

import dataclasses
import io
import json
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from conftest import ROOT
from PIL import Image
from report_inputs import make

import report
from faceage.core import params
from faceage.core.script import UserError
from faceage.reporting import gallery, labels, page, results, themes

BANNER = '<p class="banner" id="synthetic">'
CHARTS = {
    "age_checks",
    "ages_by_subgroup",
    "ages_by_split",
    "confusion_decade",
    "confusion_age_group",
    "confusion_life_stage",
    "coverage",
    "error_by_age",
    "history",
    "people",
    "robustness",
    "scatter",
    "subgroups",
}
# Those of the page for people who check ages, besides `age_checks`.
OF_AGE_CHECKS = {"challenge_ages", "false_positives", "legal_ages"}
SHEETS = {"samples", "label_issues", "outliers", "worst", "typical", "saliency"}


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
def card(made):
    return (made / "reports/model_card.md").read_text()


@pytest.fixture
def found(made, monkeypatch):
    monkeypatch.chdir(made)
    return results.read()


def test_draws_every_figure(made):
    files = {path.stem: Image.open(path) for path in (made / "reports/figures").iterdir()}
    assert set(files) == CHARTS | OF_AGE_CHECKS | SHEETS | {"overview"}
    assert {files[name].width for name in CHARTS | OF_AGE_CHECKS} == {1600}
    assert files["overview"].size == (1600, 600)
    assert {files[name].width for name in SHEETS} == {800}
    for image in files.values():
        colours = image.convert("RGB").getcolors(image.width * image.height)
        assert colours is not None
        assert len(colours) > 50


def test_leaves_what_dvc_expects(made):
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["report"]
    for entry in stage["outs"]:
        assert all((made / path).exists() for path in entry)


def test_lists_the_worst_label_issues(made, found):
    listed = pd.read_csv(made / "reports/label_issues.csv")
    worst = found.label_issues.head(round(0.06 * len(found.label_issues)))
    assert list(listed["face"]) == list(worst["face"])


def test_two_runs_give_the_same_bytes(made, tmp_path, monkeypatch):
    make(tmp_path, monkeypatch)
    documents = [made / "reports/report.html", made / "reports/model_card.md"]
    for path in [*(made / "reports/figures").iterdir(), *documents]:
        again = tmp_path / path.relative_to(made)
        assert again.read_bytes() == path.read_bytes(), path.name


def test_page_needs_nothing_outside_itself(html):
    references = re.findall(r'(?:src|srcset|href)="([^"]*)"', html)
    assert references
    # One page stands beside it.
    assert all(
        reference.startswith(("data:", "#")) or reference == "age_checks.html"
        for reference in references
    )
    without_pictures = re.sub(r"data:[\w/]*;base64,[\w+/=]*", "", html)
    assert not re.search(r"https?:|url\(|@import|<script|<link(?! rel=\"icon\")", without_pictures)


def test_page_embeds_light_and_dark_figures_and_the_faces(html):
    assert html.count("data:image/png;base64,") == 2 * len(CHARTS)
    faces = gallery.SAMPLES + gallery.LABEL_ISSUES + gallery.OUTLIERS
    faces += gallery.WORST + gallery.TYPICAL + 2 * 12
    assert html.count("data:image/jpeg;base64,") == faces


def test_sections_come_in_order(html):
    wanted = ["verdict", "comparison", "data", "labels", "training", "predictions", "ages"]
    wanted += [
        "confusion",
        "subgroups",
        "age_checks",
        "intervals",
        "robustness",
        "gallery",
        "cost",
        "reproduce",
    ]
    assert re.findall(r'<section id="(\w+)">', html) == wanted


def test_without_a_source_elsewhere_nothing_is_said_of_it(html, card):
    assert "Measured elsewhere" not in html
    assert "from elsewhere" not in card


def test_sources_elsewhere_have_a_chapter_a_figure_and_a_table(tmp_path, monkeypatch):
    shown = make(tmp_path, monkeypatch, elsewhere=True)
    assert '<a href="#elsewhere">Measured elsewhere</a>' in shown
    chapter = shown.partition('<section id="elsewhere">')[2].partition("</section>")[0]
    found = json.loads((tmp_path / "reports/external/family.json").read_text())
    ages, home = found["ages"], found["against_home"]
    with_interval = f"{ages['mae']:.1f} ({ages['mae_low']:.1f} to {ages['mae_high']:.1f})"
    row = f"<td>{with_interval}</td><td>{home['mae_home']:.1f}</td><td>+{home['difference']:.1f} ("
    assert row in chapter
    assert "2 identical and 1 near-duplicate faces" in chapter
    assert "No face was found in 4 pictures." in chapter
    assert "when 40 have taught a bias of" in chapter
    decade = ages["decades"][0]
    assert f'<th scope="row">0\u20139</th><td>{decade["n"]:.0f}</td>' in chapter
    bands = json.loads((tmp_path / "reports/external/streets.json").read_text())["bands"]
    assert f"<td>{bands['in_band']:.1%}</td>" in chapter
    assert "Which of them the model has been trained on is not known." in chapter
    card = (tmp_path / "reports/model_card.md").read_text()
    assert f"| family | 120 | {with_interval} |" in card
    assert "| streets, bands | 120 |" in card
    assert Image.open(tmp_path / "reports/figures/elsewhere.png").width == 1600


def test_links_lead_somewhere(html):
    assert set(re.findall(r'href="#(\w+)"', html)) <= set(re.findall(r'id="(\w+)"', html))


def test_every_template_of_a_chapter_is_used():
    files = list((page.TEMPLATES / "chapters").iterdir())
    included = {
        name
        for path in files
        for name in re.findall(r'include "chapters/(\w+)\.html', path.read_text())
    }
    chapters = {path.name.split(".")[0] for path in files}
    assert chapters == {*page.CHAPTERS, *page.CHAPTERS_OF_CLASSES} | included


def test_banner_and_titles_say_that_faces_are_synthetic(html, card):
    assert BANNER in html
    for tag in ("title", "h1"):
        (heading,) = re.findall(f"<{tag}>(.*?)</{tag}>", html)
        assert "synthetic sample" in heading
    assert card.splitlines()[0].endswith("(synthetic sample)")
    assert "> **Synthetic sample.**" in card


def test_real_faces_are_not_called_synthetic(tmp_path, monkeypatch):
    monkeypatch.setattr(themes, "DPI", 50)  # for speed
    monkeypatch.setattr(themes, "PHOTOGRAPHS_DPI", 25)
    shown = make(tmp_path, monkeypatch, faces=60, test=8, synthetic=False)
    card = (tmp_path / "reports/model_card.md").read_text()
    visible = re.sub(r"base64,[\w+/=]*", "", shown)
    assert "synthetic" not in visible.lower()
    assert "synthetic" not in card.lower()
    for document in (shown, card):
        assert "estimated by a model (DEX) and checked by an annotator" in unescape(document)
    assert "for non-commercial research only" in card
    assert "The test set has no more faces: all of them are shown" in shown


@pytest.mark.parametrize(
    ("dealt", "said"),
    [
        ("stratified", "drawn with ages or classes alike in all splits"),
        ("random", "drawn at random"),
        ("published", "put there by a published split"),
    ],
)
def test_model_card_says_how_the_faces_came_into_the_splits(found, dealt, said):
    found = dataclasses.replace(found, split={**found.split, "dealt": dealt})
    card = page.model_card(found, params.load(params.ReportParams))
    data = card.partition("## Evaluation data")[2].partition("## Training data")[0]
    assert said in data


def test_model_card_has_the_sections_of_the_paper_and_whole_tables(card, found):
    assert re.findall(r"^## (.*)", card, re.MULTILINE) == [
        "Model details",
        "Intended use",
        "Out-of-scope use",
        "Factors",
        "Metrics",
        "Evaluation data",
        "Training data",
        "Quantitative analyses",
        "Ethical considerations",
        "Caveats and recommendations",
    ]
    for table in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        columns = {len(re.split(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1, table
    for _, row in found.tables["subgroups"].iterrows():
        assert f"| {labels.people(row['grouping'], row['subgroup'])}" in card


def test_confusion_counts_are_in_the_page(found, html):
    groupings = params.load(params.ReportParams).groupings
    for counts in found.confusions(groupings).values():
        assert counts.to_numpy().tolist() in tables_in(html)


def tables_in(html: str) -> list[list[list[int]]]:
    """Numbers in the cells of each table, row by row, where all of them are whole."""
    whole = []
    for table in re.findall(r"<table.*?</table>", html, re.DOTALL):
        body = re.findall(r"<tr[^>]*>(.*?)</tr>", table.split("<tbody>")[1], re.DOTALL)
        rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in body]
        if all(cell.isdigit() for row in rows for cell in row):
            whole.append([[int(cell) for cell in row] for row in rows])
    return whole


MEAGRE: dict[str, dict[str, Any]] = {
    "one face": {"faces": 60, "test": 1, "epochs": 1, "genders": [None], "saliency": False},
    "one gender": {"genders": [1]},
    "nobody over 60": {"oldest": 58},
    "few faces": {"faces": 60, "test": 2},
    "some without gender": {"genders": [0, 1, None]},
    "few to calibrate": {"faces": 44, "oldest": 90},
}
SAID = {
    "one face": (
        "The test set has a single face",
        "Training ran for one epoch",
        "No test face has a label of gender",
        "No face has a gender or an ethnicity label",
        "has no map of features",
    ),
    "one gender": ("All test faces with a label of gender are female",),
    "nobody over 60": ("No test face is over 60",),
    "few faces": ("No test face is under 18",),
    "some without gender": ("12 test faces have no label of gender",),
    "few to calibrate": ("could be made from 1 validation face: too few",),
}


@pytest.mark.parametrize("name", MEAGRE)
def test_meagre_inputs_end_well_and_say_what_is_missing(name, html, tmp_path, monkeypatch):
    monkeypatch.setattr(themes, "DPI", 50)  # for speed
    monkeypatch.setattr(themes, "PHOTOGRAPHS_DPI", 25)
    shown = make(tmp_path, monkeypatch, **MEAGRE[name])
    card = (tmp_path / "reports/model_card.md").read_text()
    for note in SAID[name]:
        assert note in shown
        assert note not in html
    checks = (tmp_path / "reports/age_checks.html").read_text()
    for document in (*(re.sub(r"base64,[\w+/=]*", "", html) for html in (shown, checks)), card):
        assert not re.search(r"\bnan\b|\bNone\b(?! is not never)", document)


def test_data_card_has_counts_licence_and_every_fault(made, found):
    card = (made / "reports/data_card.md").read_text()
    assert f"| files found | {found.ingest['found']:,} |" in card
    assert f"| faces used | {found.ingest['kept']:,} |" in card
    assert "MIT" in card
    ages = found.ages()
    assert (found.people["age"] == ages["commonest"]).sum() == ages["count"]
    assert f"| commonest age: {ages['commonest']} | {ages['count']} face" in card
    assert found.ingest["rejected"]
    for reason, count in found.ingest["rejected"].items():
        assert re.search(rf"\| {re.escape(reason)} \| {count} files? \|", card)
    for fault in ("different ages", "near-duplicates", "the same person", "unlike the prediction"):
        assert fault in card


def test_data_card_of_real_faces_tells_where_they_are_from(found):
    found.metrics["synthetic"] = False
    card = page.data_card(found, params.load(params.ReportParams))
    assert "non-commercial research only" in card
    assert found.data_sha256 in card


def test_few_very_old_faces_are_told(found):
    found.metrics["older"]["over_80"]["n"] = 3
    assert "Only 3 test faces of 80 or older: too few for a claim" in render(found)
    found.metrics["older"]["over_80"]["n"] = 0
    assert "No test face is 80 or older" in render(found)


def render(found: results.Results) -> str:
    """Make the page with empty pictures and without faces."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 9)).save(buffer, "PNG")
    picture = page.Picture(buffer.getvalue(), buffer.getvalue())
    settings = params.load(params.ReportParams)
    faces = gallery.Gallery([], [], [], [], [], {})
    return page.page(found, settings, dict.fromkeys(CHARTS, picture), faces)


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


def test_compares_with_the_previous_committed_run(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    now = Path("reports/metrics.json").read_text()
    earlier = json.loads(now)
    earlier["test"]["mae"] = 9.25
    Path("reports/metrics.json").write_text(json.dumps(earlier))
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["git", "add", "reports/metrics.json"], check=True)
    subprocess.run(["git", *identity, "commit", "--quiet", "-m", "earlier"], check=True)
    Path("reports/metrics.json").write_text(now)
    shown = render(results.read())
    assert "The previous committed run was off by 9.2 years" in shown
    assert "<td>9.25</td>" in shown


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


def test_bands_of_ages_and_further_sources_are_named(found):
    found.ingest["bands"] = 120
    found.ingest["sources"]["fairface"] = {
        **{"source": "fairface.tar", "layout": "fairface", "found": 130, "kept": 120},
        **{"weight": 0.5, "split": "test"},
    }
    found.metrics["bands"] = {
        **{"n": 120, "in_band": 0.391, "within_one_band": 0.8, "distance": 5.96},
    }
    shown = unescape(render(found))
    assert "<code>data/sample</code>, <code>fairface.tar</code>" in shown
    assert "120 faces are labelled with a band of ages" in shown
    assert "Of 120 such test faces 39% are predicted to be in their band, 80% in it or one" in shown
    assert "the mean distance to it is 6.0 years" in shown
    card = page.data_card(
        dataclasses.replace(found, metrics=found.metrics | {"synthetic": False}),
        params.load(params.ReportParams),
    )
    assert "`fairface.tar`, layout fairface: 120 of 130 files used, all in test, each" in card
    assert "| of these with a band of ages, not an exact one | 120 |" in card


@pytest.mark.parametrize("missing", ["reports/predictions.csv", "data/saliency.parquet"])
def test_missing_input_is_named(made, tmp_path, monkeypatch, missing):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    (tmp_path / missing).unlink()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"no {re.escape(missing)}.*dvc repro"):
        report.main()


def test_damaged_json_is_named(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    Path("reports/split.json").write_text("{")
    with pytest.raises(UserError, match=r"reports/split\.json is damaged"):
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


def test_undefined_values_are_a_dash():
    assert labels.number(None) == labels.number(float("nan")) == labels.EN_DASH
    assert labels.number(1234.56) == "1,234.6"
    assert labels.number(0.613, labels.PERCENT, 0) == "61%"
    assert labels.number(-1.26, labels.SIGNED) == f"{labels.MINUS}1.3"
    assert labels.number(-0.01, labels.SIGNED) == "+0.0"


def test_names_are_listed_as_in_a_sentence():
    assert labels.listed(["a"]) == "a"
    assert labels.listed(["a", "b"]) == "a and b"
    assert labels.listed(["a", "b", "c"], "or") == "a, b or c"


def test_missing_labels_of_people_say_which():
    assert labels.people("race", "not given") == "ethnicity not given"
    assert labels.people("gender_race", "female, not given") == "female, ethnicity not given"
    assert labels.people("gender_race", "not given, White") == "gender not given, White"
    assert labels.people("gender", "male") == "male"


def test_age_ranges_are_readable():
    dash = labels.EN_DASH
    assert labels.age_range("000-004") == f"0{dash}4"
    assert labels.age_range("100-109") == f"100{dash}109"
    assert labels.age_range("18-40") == f"18{dash}40"
    assert labels.age_range("<18") == "<18"
    assert labels.age_range("PRE-TEEN") == "PRE-TEEN"
