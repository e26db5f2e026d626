"""Tables of labels, whatever program wrote them: parsed, and matched with the right files."""

import pytest
from test_data_sets import lay_out, read

from faceage.core.reasons import Reason
from faceage.core.script import UserError
from faceage.data.readers import label_tables, values
from faceage.data.readers.base import Labels

IMAGES = {"img/a.jpg": "", "img/b.jpg": ""}
AGES = {"img/a.jpg": Labels(age=25), "img/b.jpg": Labels(age=61)}


@pytest.mark.parametrize(
    "table",
    [
        "ID,Class\na.jpg,25\nb.jpg,61\n",
        "ID;Class\na.jpg;25\nb.jpg;61\n",
        "ID\tClass\r\na.jpg\t25\r\nb.jpg\t61\r\n",
        "ID, Class\na.jpg, 25\nb.jpg, 61\n",
        " ID ,Class\na.jpg ,25 \n b.jpg,61.0 \n",
        "\ufeffID,Class\na.jpg,25\nb.jpg,61\n",
        "ID;Class\na.jpg;24,6\nb.jpg;60,5\n",
        "ID,Class\na.jpg,24.5\nb.jpg,61.49\n",
        "ID,Class\nimg\\a.jpg,25\n.\\img\\b.jpg,61\n",
        "ID,Class\n./img/a.jpg,25\n./img/b.jpg,61\n",
        "ID,Class\n/home/anna/faces/img/a.jpg,25\n/home/anna/faces/img/b.jpg,61\n",
        "ID,Class\nC:\\Users\\anna\\img\\a.jpg,25\nC:\\Users\\anna\\img\\b.jpg,61\n",
        "ID,Class\nelsewhere/a.jpg,25\nelsewhere/b.jpg,61\n",
        "ID,Class\na,25\nimg/b,61\n",
        'ID,Class,Note\na.jpg,25,"a, b; c"\nb.jpg,61,\n',
        "ID,Class\na.jpg,25\nb.jpg,61\na.jpg,25\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tables_as_programs_write_them(workspace, table, encoding):
    files = IMAGES | {"labels.csv": table.removeprefix("\ufeff" * (encoding == "utf-16"))}
    files["labels.csv"] = files["labels.csv"].encode(encoding)
    reader, labels = read(lay_out(files, workspace / "data"))
    assert (reader.layout, labels) == ("csv", AGES)


def test_tables_separated_by_tabs_may_be_called_so(workspace):
    files = IMAGES | {"labels.tsv": "ID\tClass\na.jpg\t25\nb.jpg\t61\n"}
    reader, labels = read(lay_out(files, workspace / "data"))
    assert (reader.layout, labels) == ("csv", AGES)


def test_a_source_without_images_is_told_from_one_without_labels(workspace):
    with pytest.raises(UserError, match="there is no image in"):
        read(lay_out({"notes.txt": "none"}, workspace / "data"))


def test_the_same_name_in_two_folders_is_told_apart(workspace):
    files = {
        "train/1.jpg": "",
        "val/1.jpg": "",
        "labels.csv": "ID,Class\ntrain/1.jpg,25\nval/1.jpg,61\n",
    }
    _, labels = read(lay_out(files, workspace / "data"))
    assert {name: said.age for name, said in labels.items()} == {
        "train/1.jpg": 25,
        "val/1.jpg": 61,
    }


def test_a_name_without_folder_that_is_in_two_is_of_neither(workspace):
    files = {
        "train/1.jpg": "",
        "val/1.jpg": "",
        "val/2.jpg": "",
        "val/3.jpg": "",
        "labels.csv": "ID,Class\n1.jpg,25\n2.jpg,61\n3.jpg,62\n",
    }
    _, labels = read(lay_out(files, workspace / "data"))
    assert labels == {
        "train/1.jpg": Reason.AMBIGUOUS,
        "val/1.jpg": Reason.AMBIGUOUS,
        "val/2.jpg": Labels(age=61),
        "val/3.jpg": Labels(age=62),
    }


def test_a_table_beside_is_no_label_list(workspace):
    files = {f"{age}_0_1_20170116174525125.jpg": "" for age in (25, 61, 80)}
    files["predictions.csv"] = "path,age\n25_0_1_20170116174525125.jpg,31\n"
    reader, labels = read(lay_out(files, workspace / "data"))
    assert reader.layout == "utkface"
    assert labels["25_0_1_20170116174525125.jpg"].age == 25


def test_two_label_lists(workspace):
    lists = {
        "train.csv": "ID,Class\na.jpg,25\n",
        "val.csv": "ID,Class\nb.jpg,61\n",
        "sizes.csv": "ID,width\na.jpg,200\n",
    }
    folder = lay_out(IMAGES | lists, workspace / "data")
    with pytest.raises(
        UserError, match=r"train\.csv, val\.csv are label lists; .*train\.csv or -S"
    ):
        read(folder)
    _, labels = read(folder, file="val.csv")
    assert labels["img/b.jpg"] == Labels(age=61)
    assert labels["img/a.jpg"] == Reason.UNLISTED
    _, labels = read(folder, file="*.csv")
    assert {name: labels[name] for name in AGES} == AGES
    with pytest.raises(
        UserError, match=r"takes a \.csv in data\.source, and there is no test\.csv"
    ):
        read(folder, file="test.csv")


def test_a_table_that_is_none(workspace):
    files = IMAGES | {"labels.csv": 'ID,Class\na.jpg,"25\n'}
    with pytest.raises(UserError, match=r"labels\.csv is no table: "):
        read(lay_out(files, workspace / "data"), "csv")


@pytest.mark.parametrize(
    ("text", "age"),
    [("23", 23), ("23.0", 23), ("23.5", 24), ("22.49", 22), ("0.4", 0), ("23,5", 24), ("7.", 7)],
)
def test_exact_ages(text, age):
    assert values.exact_age(text) == {"age": age}


@pytest.mark.parametrize("text", ["", "nan", "-1", "1e3", "1234", "3-9", "old", "25 years"])
def test_what_is_no_exact_age(text):
    assert values.exact_age(text) is None


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("3-9", 3, 9),
        ("(25, 32)", 25, 32),
        ("[25,32]", 25, 32),
        ("20 to 29", 20, 29),
        ("50 \u2013 59", 50, 59),
        ("more than 70", 70, values.OPEN_END),
        ("70+", 70, values.OPEN_END),
        ("60 and over", 60, values.OPEN_END),
    ],
)
def test_bands_of_ages(text, low, high):
    assert values.age_band(text) == {"age_low": low, "age_high": high}


@pytest.mark.parametrize("text", ["", "25", "None", "YOUNG", "1-2-3", "less than 10"])
def test_what_is_no_band(text):
    assert values.age_band(text) is None


def test_genders_and_ethnicities():
    assert [values.gender(text) for text in ("Male", "f", "U", "1", "")] == [0, 1, None, None, None]
    assert [values.race(text) for text in ("White", "East Asian", "Middle Eastern", "x")] == [
        *(0, 2, 4),
        None,
    ]


def test_many_files_are_matched_in_time_that_grows_with_their_number():
    """Every person has a 0.jpg: files are not compared with each other."""
    names = [f"faces/{person}/0.jpg" for person in range(20_000)]
    rows = label_tables.rows_of([f"{person}/0.jpg" for person in range(20_000)], names)
    assert rows["faces/17/0.jpg"] == [17]
    assert len(rows) == 20_000
