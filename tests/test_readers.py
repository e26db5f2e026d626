"""Readers: good layouts are read and recognised, faults of a layout are said."""

import json

import pandas as pd
import pytest
from conftest import edit_params, photo

import ingest
import split
from faceage.core import params, tables
from faceage.core.script import UserError
from faceage.data import readers, sources


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
        return readers.choose(source, settings.data, settings.groupings)


def test_every_reader_is_registered_under_its_layout():
    assert set(readers.READERS) == {"utkface", "age_folders", "csv"}


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
        ("ID,Class\n", "none of the 1 files .* 1 not listed"),
    ],
)
def test_tables_that_cannot_be_used(workspace, table, message):
    lay_out(workspace, ["a.jpg"], table)
    with pytest.raises(UserError, match=message):
        ingest.main()


def test_csv_without_a_table(workspace):
    lay_out(workspace, ["a.jpg"])
    edit_params({"data.layout": "csv"})
    with pytest.raises(UserError, match=r"takes one \.csv in data\.source, and there is none"):
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
