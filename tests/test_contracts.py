"""A table that breaks what the stages agreed on: the message names column, rule and first rows."""

import hashlib
import re

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import photo

from faceage.core import contracts, tables
from faceage.core.contracts import ContractBroken
from faceage.core.script import UserError


def row(number: int, **changes: object) -> dict[str, object]:
    content = photo(number)
    face = hashlib.sha256(content).hexdigest()
    clusters = dict.fromkeys(("exact_cluster", "near_cluster", "burst_cluster"), face)
    plain = {
        "face": face,
        "image": {"bytes": content, "path": f"{number}.jpg"},
        **{"age": 30, "age_low": 30, "age_high": 30, "age_class": None, "gender": 0, "race": None},
        **clusters,
        **{"width": 64, "height": 64, "synthetic": True},
        **{"weight": 1.0, "fixed_split": None},
    }
    return plain | changes


def faces_and_split(count: int = 6) -> pd.DataFrame:
    rows = [row(number) for number in range(count)]
    tables.write_faces(rows)
    faces = [str(row["face"]) for row in rows]
    splits = ["train"] * (count - 2) + ["val", "test"]
    return pd.DataFrame({"face": faces, "cluster": faces, "split": splits})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"age": -1}, "column age breaks the rule `from 0 to 150 years` in 1 of 3 rows (row 1: -1"),
        ({"age": None}, "column age breaks the rule `given, or a class` in 1 of 3 rows (row 1"),
        ({"gender": 7}, "column gender breaks the rule `from 0 to 1` in 1 of 3 rows (row 1: 7)"),
        ({"face": "x"}, "column face breaks the rule `a SHA-256 in hexadecimal`"),
        ({"near_cluster": None}, "column near_cluster breaks the rule `given` in 1 of 3 rows"),
    ],
)
def test_faces_are_checked_where_they_are_written(workspace, changes, message):
    with pytest.raises(ContractBroken, match=re.escape(message)):
        tables.write_faces([row(0), row(1, **changes), row(2)])
    assert not tables.FACES.exists()


def test_a_face_twice_is_named_with_its_rows(workspace):
    with pytest.raises(ContractBroken, match=r"column face breaks the rule `unique` .* row 2: '"):
        tables.write_faces([row(0), row(1), row(0)])


def test_groups_are_nested(workspace):
    shared = row(0)["face"]
    with pytest.raises(
        ContractBroken, match=r"column burst_cluster breaks .*the same for all of a near_"
    ):
        tables.write_faces([row(0), row(1, exact_cluster=shared, near_cluster=shared)])


def test_types_are_checked_where_they_are_read(workspace):
    tables.write_faces([row(0), row(1)])
    whole = pq.read_table(tables.FACES)
    ages = whole.column("age").cast(pa.string())
    pq.write_table(whole.set_column(whole.schema.get_field_index("age"), "age", ages), tables.FACES)
    with pytest.raises(ContractBroken, match="column age breaks the rule `of type int16`: "):
        tables.read_faces()
    pq.write_table(whole.drop_columns("race"), tables.FACES)
    with pytest.raises(ContractBroken, match="column race is missing"):
        tables.read_faces()


def test_predictions_are_checked_where_they_are_read(workspace):
    face = str(row(0)["face"])
    told = pd.DataFrame({"face": [face], "path": ["0.jpg"], "age": [30], "cluster": [face]})
    tables.write_predictions(told.assign(predicted=31.5))
    assert tables.read_predictions()["predicted"].tolist() == [31.5]
    told.assign(predicted=-2).to_csv(tables.PREDICTIONS, index=False)
    with pytest.raises(ContractBroken, match=r"column predicted .*`0 or more` .*row 0: -2"):
        tables.read_predictions()


def test_tables_of_evaluate_come_back_as_they_were(workspace):
    table = pd.DataFrame(
        {
            "decade": ["000-009", "010-019"],
            "n": [3, 0],
            "mae": [1.25, None],
            "worst": [None, None],
            "enough": [True, False],
        }
    ).astype({"worst": float})
    tables.write_evaluation({"old": table})
    tables.write_evaluation({"decades": table, "empty": pd.DataFrame()})
    found = tables.read_evaluation()
    assert set(found) == {"decades", "empty"}, "what was there before is gone"
    pd.testing.assert_frame_equal(found["decades"], table)
    assert found["empty"].empty
    (tables.EVALUATION / "decades.json").write_text("[")
    with pytest.raises(
        UserError, match=r"tables/decades.json is damaged: `rm -r .*decades.json && dvc repro`"
    ):
        tables.read_evaluation()


BROKEN_SPLITS = {
    "rows of another data set": (
        lambda split: split.iloc[1:],
        "column face breaks the rule `the same values in both`",
    ),
    "an unknown split": (
        lambda split: split.assign(split="trian"),
        "column split breaks the rule `one of train, val, test` in 6 of 6 rows (row 0: 'trian'",
    ),
    "a cluster on two sides": (
        lambda split: split.assign(cluster=split["face"].iloc[0]),
        "column split breaks the rule `the same for all of a cluster` in 6 of 6 rows (row 0: ",
    ),
    "a column too few": (lambda split: split.drop(columns="cluster"), "column cluster is missing"),
    "a column too many": (lambda split: split.assign(odd=1), "column odd is not known"),
}


@pytest.mark.parametrize("name", BROKEN_SPLITS)
def test_a_split_is_checked_where_it_is_read(workspace, name):
    breaking, message = BROKEN_SPLITS[name]
    split = faces_and_split()
    tables.write_split(split)
    assert {split: len(table) for split, table in tables.read_splits().items()} == {
        **{"train": 4, "val": 1, "test": 1}
    }
    breaking(split).to_csv(tables.SPLIT, index=False)
    with pytest.raises(ContractBroken, match=re.escape(message)) as error:
        tables.read_splits()
    assert str(tables.SPLIT) in str(error.value)


def test_a_split_is_checked_where_it_is_written(workspace):
    split = faces_and_split()
    with pytest.raises(ContractBroken, match="column split"):
        tables.write_split(split.assign(cluster=split["cluster"].iloc[0]))
    assert not tables.SPLIT.exists()


def test_reasons_are_known_ones(workspace):
    with pytest.raises(ContractBroken, match=r"column reason .*row 0: 'too ugly'"):
        tables.write_rejected([("a.jpg", "too ugly", "")])


def test_every_file_is_accounted_for():
    contracts.check_account(3, kept=2, rejected=1, where="data")
    with pytest.raises(ContractBroken, match=r"2 \+ 2 is not 3"):
        contracts.check_account(3, kept=2, rejected=2, where="data")
