"""The figures of the report: drawn from the right numbers, named in words."""

import numpy as np
import pandas as pd
import pytest
import report_inputs
from matplotlib.patches import Rectangle

from faceage.core import params
from faceage.core.utkface import RACES
from faceage.reporting import elsewhere, figures, labels, themes
from faceage.reporting.charts import ages, matrices, people, reliability
from faceage.reporting.charts.elsewhere import errors_by_age


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield report_inputs.prepare(tmp_path_factory.mktemp("charts"), patch)


@pytest.fixture
def settings():
    return params.load(params.ReportParams)


def ticks(axis):
    return [tick.get_text() for tick in axis.get_ticklabels()]


def test_every_chart_says_how_many_faces_and_names_its_axes(found, settings):
    charts = figures.charts(found, settings) | figures.of_age_checks(found)
    for name, draw in charts.items():
        drawn = draw(themes.LIGHT)
        titles = [axes.get_title() for axes in drawn.axes] + [drawn.get_suptitle()]
        assert any("n = " in title for title in titles), name
        axes_labels = [axes.get_xlabel() for axes in drawn.axes] + [drawn.get_supxlabel()]
        assert any(axes_labels), name


@pytest.mark.parametrize("grouping", ["age_group", "life_stage", "decade"])
def test_confusion_counts_are_those_of_pandas(found, settings, grouping):
    predictions = found.predictions
    counts = found.confusions(settings.groupings)[grouping]
    assert counts.to_numpy().sum() == len(predictions)
    right = (predictions[grouping] == predictions[f"predicted_{grouping}"]).sum()
    assert np.trace(counts.to_numpy()) == right
    expected = pd.crosstab(predictions[grouping], predictions[f"predicted_{grouping}"])
    assert sorted(counts.to_numpy()[counts > 0]) == sorted(expected.to_numpy()[expected > 0])

    drawn = matrices.confusion(counts, grouping, "test faces", themes.LIGHT)
    texts = [text.get_text() for text in drawn.axes[0].texts]
    assert [int(text or 0) for text in texts] == counts.to_numpy().ravel().tolist()
    percent = np.asarray(drawn.axes[1].images[0].get_array())
    present = counts.sum(axis=1).to_numpy() > 0
    assert percent.sum(axis=1)[present] == pytest.approx(100)


def test_classes_are_in_the_order_of_age_and_carry_their_ages(found, settings):
    counts = found.confusions(settings.groupings)
    dash = labels.EN_DASH
    assert [*counts["age_group"]] == ["<18", f"18{dash}40", f"41{dash}60", ">60"]
    assert [*counts["life_stage"]] == [
        f"YOUNG\n0{dash}30",
        f"MIDDLE\n31{dash}50",
        "OLD\n51 and over",
    ]
    assert [*counts["decade"]][:2] == [f"0{dash}9", f"10{dash}19"]


def test_axes_show_ages_and_titles_say_how_many(found):
    drawn = ages.error_by_age(found.tables["decades"], 4.0, found.test_faces, themes.LIGHT)
    assert ticks(drawn.axes[1].xaxis)[0].startswith(f"0{labels.EN_DASH}9\nn=")
    assert drawn.axes[0].get_title() == "Error by age (n = 36 synthetic test faces)"
    assert drawn.axes[0].get_ylabel() == "mean absolute error (years)"


def test_density_counts_faces_near_a_point():
    predictions = pd.DataFrame({"age": [20] * 9 + [70], "predicted": [20.0] * 9 + [70.0]})
    drawn = ages.scatter(predictions, "faces", themes.LIGHT)
    density = np.asarray(drawn.axes[0].collections[-1].get_array())
    assert density.max() == pytest.approx(9 * density.min())


def test_errors_elsewhere_stand_beside_those_at_home(tmp_path, monkeypatch):
    found = report_inputs.prepare(tmp_path, monkeypatch, elsewhere=True)
    decades = found.tables["decades"]
    (table,) = elsewhere.by_age(found.external["family"], decades)
    there = pd.DataFrame(found.external["family"]["ages"]["decades"])
    assert table["bias"].tolist() == there["bias"].tolist()
    at_home = there[["decade"]].merge(decades, how="left")["mae"]
    assert table["error_home"].tolist() == at_home.tolist()
    (bands,) = elsewhere.by_age(found.external["streets"], decades)
    dash = labels.EN_DASH
    assert bands["age"].tolist() == [f"0{dash}19", f"20{dash}39", f"40{dash}59", f"60{dash}79"]
    drawn = errors_by_age({"family": table, "streets": bands}, "test faces", themes.LIGHT)
    bars = [bar for bar in drawn.axes[0].patches if isinstance(bar, Rectangle)]
    heights = [bar.get_height() for bar in bars]
    assert heights == [*table["error_home"], *table["error"]]
    assert ticks(drawn.axes[2].xaxis) == bands["age"].tolist()


def test_people_are_counted_by_name(found):
    counts = found.gender_and_ethnicity()
    assert counts.to_numpy().sum() == sum(len(part) for part in found.splits.values())
    assert list(counts) == ["male", "female"]
    drawn = people.gender_and_ethnicity(counts, "faces", themes.LIGHT)
    assert ticks(drawn.axes[0].yaxis) == [*RACES, labels.NOT_GIVEN]
    written = sorted(int(text.get_text()) for text in drawn.axes[0].texts)
    assert written == sorted(counts.to_numpy().ravel())


def test_subgroups_stand_at_their_error_and_few_faces_are_paler(found):
    groups = found.tables["subgroups"]
    drawn = reliability.subgroups(groups, 5.0, "faces", themes.LIGHT)
    gender = groups[groups["grouping"] == "gender"]
    lines = [line for line in drawn.axes[0].get_lines() if line.get_marker() == "o"]
    dots = [np.asarray(line.get_xdata()).item() for line in lines]
    assert dots == pytest.approx(gender["mae"].tolist())
    few = groups["enough"].eq(False)
    assert few.any()
    assert not few.all()
    pale = [
        bar for axes in drawn.axes for bar in axes.patches if bar.get_alpha() == reliability.FEW
    ]
    assert len(pale) == few.sum()


def test_range_of_chance_is_wider_for_fewer_faces(found):
    drawn = reliability.coverage(found.tables["coverage"], 0.9, "faces", themes.LIGHT)
    widths = [bar.get_extents().width for bar in drawn.axes[0].patches]
    sizes = (
        found.tables["coverage"].loc[found.tables["coverage"]["method"] == "plain", "n"].tolist()
    )
    assert len(widths) == len(sizes)
    assert widths[0] == min(widths)
    assert sizes[0] == max(sizes)


def test_what_hurts_most_is_at_the_top(found):
    drawn = reliability.robustness(found.tables["robustness"], "faces", themes.LIGHT)
    assert ticks(drawn.axes[0].yaxis) == [*reversed(report_inputs.CORRUPTIONS)]


def test_a_light_and_a_dark_figure_have_the_same_size(found, settings):
    draw = figures.charts(found, settings)["people"]
    light, dark = themes.png(draw, themes.LIGHT), themes.png(draw, themes.DARK)
    assert light != dark
    assert light[16:24] == dark[16:24]  # width and height in the PNG's header
