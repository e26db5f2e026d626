"""Readers: good layouts are read and recognised, faults of a layout are said."""

import json

import pandas as pd
import pytest
from conftest import edit_params, photo

import ingest
import split
from faceage.core import params, tables
from faceage.core.script import UserError
from faceage.data import sources
from faceage.data.readers import registry


def lay_out(workspace, files, table=None):
    """Write images, and a table of labels, into the source."""
    folder = workspace / "faces"
    for number, name in enumerate(files):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(number))
    if table is not None:
        folder.mkdir(exist_ok=True)
        (folder / "labels.csv").write_text(table)
    edit_params({"data.source": str(folder)})


def ingested():
    """Rows kept, by path, and reasons of the others."""
    ingest.main()
    kept = tables.read_faces().set_index("path")
    rejected = pd.read_csv(tables.REJECTED).set_index("path")["reason"].to_dict()
    return kept, rejected


def reader():
    settings = params.load(params.IngestParams)
    with sources.open_source(settings.data.source) as source:
        return registry.choose(source, settings.data, settings.groupings)


def test_a_layout_that_is_mistyped(workspace):
    lay_out(workspace, ["25/a.jpg"])
    edit_params({"data.layout": "age_folder"})
    with pytest.raises(UserError, match=r"'age_folder'.*did you mean age_folders\?"):
        reader()
    with pytest.raises(UserError, match="known: auto, adience, afad, age_folders, agedb"):
        registry.known("nosuch")


@pytest.mark.parametrize("layout", ["auto", "age_folders"])
def test_one_folder_an_age(workspace, layout, capsys):
    lay_out(workspace, ["25/a.jpg", "001/b.jpg", "110/c.jpg", "deep/7/d.jpg", "adult/e.jpg"])
    edit_params({"data.layout": layout})
    kept, rejected = ingested()
    assert kept["age"].to_dict() == {
        "25/a.jpg": 25,
        "001/b.jpg": 1,
        "110/c.jpg": 110,
        "deep/7/d.jpg": 7,
    }
    assert rejected == {"adult/e.jpg": "unparseable name"}
    assert "layout age_folders: 80.0% of the images are labelled" in capsys.readouterr().out
    assert json.loads((workspace / "reports/ingest.json").read_text())["layout"] == "age_folders"


def test_utkface_names_are_recognised(workspace):
    lay_out(workspace, ["25_0_1_2017.jpg", "30_1_2_2017.jpg", "holiday.jpg"])
    assert reader().layout == "utkface"


def test_a_layout_that_nobody_knows(workspace):
    lay_out(workspace, ["anna.jpg", "berta.jpg", "25_0_1_2017.jpg"])
    with pytest.raises(UserError, match=r"none is found .* \(33% .* utkface\); known: utkface"):
        reader()
    edit_params({"data.layout": "utkface"})
    assert reader().layout == "utkface"


def test_a_table_of_ages(workspace):
    lay_out(workspace, ["img/a.jpg", "b.jpg", "c.jpg"], "file,years\na.jpg,25\nb.jpg,31.0\n")
    edit_params({"data.csv.name": "file", "data.csv.label": "years"})
    kept, rejected = ingested()
    assert kept["age"].to_dict() == {"img/a.jpg": 25, "b.jpg": 31}
    assert rejected == {"c.jpg": "not listed"}


def test_a_table_of_classes_with_faults(workspace):
    lay_out(
        workspace,
        ["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
        "ID,Class\na.jpg,YOUNG\nb.jpg,Old\nc.jpg,ANCIENT\nd.jpg,OLD\nd.jpg,YOUNG\nnone.jpg,OLD\n",
    )
    kept, rejected = ingested()
    assert kept["age_class"].to_dict() == {"a.jpg": "YOUNG", "b.jpg": "OLD"}
    assert kept["age"].isna().all()
    assert rejected == {
        "c.jpg": "unknown class",
        "d.jpg": "listed more than once",
        "none.jpg": "listed but absent",
    }
    summary = json.loads((workspace / "reports/ingest.json").read_text())
    assert summary["found"] == 5
    assert summary["missing"]["age"] == 2


def test_a_byte_order_mark_and_quotes_are_nothing_special(workspace):
    lay_out(workspace, ["a, b.jpg"], '\ufeffID,Class\n"a, b.jpg", MIDDLE\n')
    kept, _ = ingested()
    assert kept["age_class"].to_dict() == {"a, b.jpg": "MIDDLE"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "ID,Age\na.jpg,30\n",
            r"data\.csv\.label: labels\.csv has no column 'Class'; it has ID, Age",
        ),
        ("", r"data\.csv\.name: labels\.csv has no column 'ID'; it has none"),
        ("ID,Class\n", "none of the 1 images .* 1 not listed"),
    ],
)
def test_tables_that_cannot_be_used(workspace, table, message):
    lay_out(workspace, ["a.jpg"], table)
    with pytest.raises(UserError, match=message):
        ingest.main()


def test_csv_without_a_table(workspace):
    lay_out(workspace, ["a.jpg"])
    edit_params({"data.layout": "csv"})
    with pytest.raises(UserError, match=r"takes a \.csv in .*, and there is no such file"):
        ingest.main()


def test_an_empty_folder(workspace):
    (workspace / "faces").mkdir()
    edit_params({"data.source": str(workspace / "faces")})
    with pytest.raises(UserError, match="is empty"):
        ingest.main()


def test_classes_are_split_in_equal_shares(workspace):
    names = [f"{number}.jpg" for number in range(120)]
    rows = "".join(f"{name},{'YOUNG' if n % 4 else 'OLD'}\n" for n, name in enumerate(names))
    lay_out(workspace, names, "ID,Class\n" + rows)
    ingest.main()
    split.main()
    parts = tables.read_splits()
    assert len(parts["train"]) == 84
    for part in parts.values():
        assert (part["age_class"] == "OLD").mean() == pytest.approx(0.25, abs=0.06)


def test_a_level_that_cannot_be_ages_is_none(workspace):
    """A folder for each age, in it one for each person: the numbers of the people are no ages."""
    lay_out(workspace, [f"{age}/{person}/a.jpg" for age in (18, 30, 64) for person in (1, 2, 6)])
    found = reader()
    assert found.layout == "outer_age_folders"
    assert {name.split("/")[0]: said.age for name, said in found.labelled.items()} == {
        "18": 18,
        "30": 30,
        "64": 64,
    }


def test_two_levels_that_may_be_ages_are_asked_about(workspace):
    lay_out(workspace, [f"{age}/{age + 9}/a.jpg" for age in (18, 30, 64)])
    with pytest.raises(
        UserError,
        match=r"read in 2 ways that disagree: age_folders, e\.g\. 18/27/a\.jpg is 27 years; .*"
        r"; or outer_age_folders, e\.g\. 18/27/a\.jpg is 18 years; .*"
        r"-S data\.layout=age_folders or -S data\.layout=outer_age_folders",
    ):
        reader()
    edit_params({"data.layout": "outer_age_folders"})
    assert reader().labelled["64/73/a.jpg"].age == 64


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([f"{n}/{m}.jpg" for n in range(1, 7) for m in "ab"], "numbers from 1 to 6 may be of"),
        ([f"{n}/{m}.jpg" for n in (111, 112) for m in "ab"], "would be 111.5 years old or more"),
    ],
)
def test_ages_that_nobody_believes_are_asked_about(workspace, files, message):
    lay_out(workspace, files)
    with pytest.raises(UserError, match=f"{message}.*; if that is right.*layout=age_folders"):
        reader()
    edit_params({"data.layout": "age_folders"})
    assert reader().share == 1


def test_names_that_disagree_with_their_folders_are_asked_about(workspace):
    lay_out(workspace, [f"{age}/{age + 5}_0_1_20170116.jpg" for age in (20, 40, 60)])
    with pytest.raises(UserError, match=r"utkface, e\.g\. .* or age_folders, e\.g\. "):
        reader()


def test_names_that_agree_with_their_folders_are_read(workspace):
    lay_out(workspace, [f"{age}/{age}_0_1_20170116.jpg" for age in (20, 40, 60)])
    assert reader().layout == "utkface"


def test_a_table_that_disagrees_with_the_names_is_asked_about(workspace):
    names = [f"{age}_0_1_20170116.jpg" for age in (20, 40, 60)]
    lay_out(workspace, names, "ID,Class\n" + "".join(f"{name},33\n" for name in names))
    with pytest.raises(UserError, match=r"csv, e\.g\. .* is 33 years; or utkface, e\.g\. "):
        reader()


def test_numbers_of_classes_are_no_ages(workspace):
    names = [f"{n}.jpg" for n in range(9)]
    lay_out(workspace, names, "ID,Class\n" + "".join(f"{n}.jpg,{n % 3}\n" for n in range(9)))
    with pytest.raises(UserError, match="numbers from 0 to 2 may be of classes"):
        reader()


def test_what_was_understood_is_printed_with_examples(workspace, capsys):
    lay_out(workspace, [f"{age:03d}/a.jpg" for age in (1, 26, 80)])
    ingest.main()
    assert (
        "data.layout: age_folders, e.g. 001/a.jpg is 1 year; 026/a.jpg is 26 years;"
        " 080/a.jpg is 80 years"
    ) in capsys.readouterr().out


def test_losing_most_of_a_source_ends_the_run(workspace):
    """Class names that are not in the grouping: nothing is decoded, everything is said."""
    names = [f"{n}.jpg" for n in range(10)]
    classes = ["YOUNG", "OLD", "MIDDLE"] + ["ANCIENT"] * 7
    table = "ID,Class\n" + "".join(f"{a},{b}\n" for a, b in zip(names, classes))
    lay_out(workspace, names, table)
    with pytest.raises(
        UserError,
        match=r"only 3 of the 10 images .* 7 unknown class \(3\.jpg: unknown class 'ANCIENT',"
        r".*-S data\.min_kept=0\.3",
    ):
        ingest.main()
    assert not (workspace / tables.FACES).exists()
    edit_params({"data.min_kept": 0.29})
    kept, rejected = ingested()
    assert len(kept) == 3
    assert set(rejected.values()) == {"unknown class"}


def test_losing_most_of_the_pictures_ends_the_run(workspace):
    lay_out(workspace, [f"{age}/a.jpg" for age in (20, 30, 40)])
    for age in (50, 60, 70, 80):
        (workspace / f"faces/{age}").mkdir()
        (workspace / f"faces/{age}/a.jpg").write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"only 3 of the 7 images .* 4 not an image"):
        ingest.main()


def test_bands_without_an_exact_age_are_kept_and_counted(workspace, capsys):
    lay_out(
        workspace,
        ["a.jpg", "b.jpg"],
        "file,age_band,gender\na.jpg,3-9,Male\nb.jpg,more than 70,Female\n",
    )
    kept, rejected = ingested()
    assert (len(kept), rejected) == (2, {})
    assert "2 of the kept are labelled with a band of ages" in capsys.readouterr().out


def test_leftovers_are_counted_and_not_listed(workspace, capsys):
    lay_out(workspace, ["25/a.jpg", "61/b.jpg", "__MACOSX/25/._a.jpg", "61/Thumbs.db"])
    kept, rejected = ingested()
    assert (len(kept), rejected) == (2, {})
    assert json.loads((workspace / "reports/ingest.json").read_text())["ignored"] == 2
    assert "2 ignored" in capsys.readouterr().out


def test_nobody_is_on_two_sides_of_the_split(workspace):
    """FG-NET: 30 people with 4 pictures each; the people differ, so do the pictures."""
    lay_out(
        workspace,
        [f"{person:03d}A{age:02d}.JPG" for person in range(1, 31) for age in (2, 18, 33, 60)],
    )
    edit_params({"split.min_bin": 5})
    ingest.main()
    split.main()
    parts = tables.read_splits()
    people = {part: {path[:3] for path in faces["path"]} for part, faces in parts.items()}
    assert all(people.values())
    assert len(set.union(*people.values())) == sum(len(names) for names in people.values()) == 30
