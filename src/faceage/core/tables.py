"""The tables between the stages: who writes which columns, and how faces are read back."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pandas.errors import EmptyDataError, ParserError
from pandera.pandas import DataFrameSchema

from faceage.core import contracts, hash_arrays, shards, stored
from faceage.core.contracts import SPLITS, ContractBroken
from faceage.core.outputs import atomic_folder, atomic_write, write_csv, write_rows
from faceage.core.shards import Shards

FACES = Path("data/faces.parquet")
REJECTED = Path("data/rejected.csv")
CONFLICTS = Path("data/conflicts.csv")
SPLIT = Path("data/split.csv")
CLEAN_SPLIT = Path("data/clean_split.csv")
LABEL_ISSUES = Path("data/label_issues.csv")
SALIENCY = Path("data/saliency.parquet")
PREDICTIONS = Path("reports/predictions.csv")
EVALUATION = Path("reports/tables")
EXTERNAL = Path("reports/external")
EXTERNAL_NAMES = EXTERNAL / "names.yaml"

__all__ = ["SPLITS"]

# One row a face; `image` is the struct that Hugging Face datasets read as an image.
FACES_SCHEMA = pa.schema(
    [
        ("face", pa.string()),  # sha256 of the file's bytes, hexadecimal
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        # Whole years, null where the source gives classes only; of a band of ages its middle,
        # rounded down, and the first and the last year, which an exact age is both.
        ("age", pa.int16()),
        ("age_low", pa.int16()),
        ("age_high", pa.int16()),
        ("age_class", pa.string()),  # name of the age group, null where the source gives ages
        ("gender", pa.int8()),  # index into utkface.GENDERS, null where the label is missing
        ("race", pa.int8()),  # index into utkface.RACES, null where the label is missing
        # Faces of one cluster share the smallest `face` among them, each cluster is in one of the
        # next: of the same pixels, near-duplicates too, the same person probably too.
        ("exact_cluster", pa.string()),
        ("near_cluster", pa.string()),
        ("burst_cluster", pa.string()),
        ("width", pa.int32()),  # pixels
        ("height", pa.int32()),
        ("synthetic", pa.bool_()),  # drawn by the stage `sample`
        ("weight", pa.float32()),  # in the loss
        ("fixed_split", pa.string()),  # where its source's faces all go, null where they are drawn
    ]
)
# One row a face that is explained; none where the model's network has no feature map to show.
SALIENCY_SCHEMA = pa.schema(
    [
        ("face", pa.string()),
        ("kind", pa.string()),  # worst or typical
        # PNG file, 8-bit greyscale, as large as the network's input and in place over the face's
        # central square; 255 where this face's attribution is strongest
        ("attribution", pa.binary()),
    ]
)
SPLIT_ROWS = 100_000  # of split.csv, in memory at once where its faces are streamed
# Columns of predictions.csv in format 1, and what they are called now.
EARLIER = {
    "group": "age_group",
    "predicted_group": "predicted_age_group",
    "stage": "life_stage",
    "predicted_stage": "predicted_life_stage",
}


def write_faces(rows: Iterable[dict[str, object]], shard_faces: int | None = None) -> None:
    """Write faces.parquet row group by row group, so that memory holds one of them at a time.

    Parameters
    ----------
    shard_faces : of each file of a folder of that name; None: it is one file
    """
    described = []
    with shards.writing(FACES, FACES_SCHEMA, shard_faces) as write:
        stream = iter(rows)
        while batch := list(islice(stream, shards.ROW_GROUP)):
            table = pa.Table.from_pylist(batch, FACES_SCHEMA)
            write(table)
            described.append(_without_bytes(table))
        contracts.check(pd.concat(described, ignore_index=True), contracts.FACES, FACES)


def write_saliency(rows: list[dict[str, object]]) -> None:
    """Write saliency.parquet, in the order given."""
    with atomic_write(SALIENCY) as part:
        table = pa.Table.from_pylist(rows, SALIENCY_SCHEMA)
        pq.write_table(table, part, write_page_checksum=True)


def write_rejected(rows: Sequence[tuple[str, str, str]]) -> None:
    """Write rejected.csv, in the order given."""
    _write(REJECTED, contracts.REJECTED, rows)


def write_conflicts(rows: Sequence[tuple[str, str, str, str, str]]) -> None:
    """Write conflicts.csv, in the order given."""
    _write(CONFLICTS, contracts.CONFLICTS, rows)


def write_split(faces: pd.DataFrame) -> None:
    """Write split.csv: columns `face`, `cluster` and `split` of the table, sorted by face."""
    split = faces[["face", "cluster", "split"]].sort_values("face", ignore_index=True)
    write_csv(SPLIT, contracts.check(split, contracts.SPLIT, SPLIT))


def write_label_issues(ranked: pd.DataFrame) -> None:
    """Write label_issues.csv: a row a face, the label that is most probably wrong first."""
    write_csv(LABEL_ISSUES, contracts.check(ranked, contracts.LABEL_ISSUES, LABEL_ISSUES))


def write_predictions(faces: pd.DataFrame) -> None:
    """Write predictions.csv: a row a test face, the columns as `evaluation` names them."""
    write_csv(PREDICTIONS, contracts.check(faces, contracts.PREDICTIONS, PREDICTIONS))


def read_predictions(source: Path | str = PREDICTIONS, where: object = None) -> pd.DataFrame:
    """All rows of a predictions.csv; a gender or race that is not given is an empty text.

    Parameters
    ----------
    source : its path, or its text
    where : what messages call it, unless that is its path

    Raises
    ------
    ContractBroken
        If it is no such table.
    """
    where = where or source
    if isinstance(source, Path):
        stored.check(source)
    file = source if isinstance(source, Path) else io.StringIO(source)
    missing = {
        name: [""] for name in ("age", "predicted", "low", "high", "low_plain", "high_plain")
    }
    text = {"face": str, "cluster": str}
    try:
        faces = pd.read_csv(file, keep_default_na=False, na_values=missing, dtype=text)
        whole = isinstance(faces.index, pd.RangeIndex)  # fields without a column become an index
    except (EmptyDataError, ParserError, UnicodeDecodeError):
        whole = False
    if not whole:
        raise ContractBroken(f"{where}: this is no table; {contracts.MEND}")
    return contracts.check(faces.rename(columns=EARLIER), contracts.PREDICTIONS, where)


def write_evaluation(tables: Mapping[str, pd.DataFrame]) -> None:
    """Write the tables of `evaluate`, a file each, in place of those that were there.

    As JSON, because the folder is among DVC's metrics (see dvc.yaml): of JSON it shows numbers by
    name and passes over lists, of CSV it would show the text.
    """
    with atomic_folder(EVALUATION) as folder:
        for name, table in tables.items():
            write_rows(folder / f"{name}.json", table)


def read_evaluation() -> dict[str, pd.DataFrame]:
    """The tables of `evaluate` by name.

    Raises
    ------
    UserError
        If one of them is damaged.
    """
    stored.check(EVALUATION)
    return {path.stem: _read_rows(path) for path in sorted(EVALUATION.iterdir())}


def write_external_names(names: Iterable[str]) -> None:
    """Write names.yaml: what the sources elsewhere are called.

    It is always there, if only to say that there are none, so that the stage report can depend on
    its folder, and it tells results of today from those of a source that is none any more.
    """
    with atomic_write(EXTERNAL_NAMES) as part:
        part.write_text(yaml.safe_dump({"names": list(names)}))


def read_external_names() -> list[str]:
    """The names of names.yaml.

    Raises
    ------
    UserError
        If it is damaged.
    """
    stored.check(EXTERNAL_NAMES)
    try:
        return list(yaml.safe_load(EXTERNAL_NAMES.read_text())["names"])
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        raise stored.damaged(EXTERNAL_NAMES) from None


def read_saliency() -> pd.DataFrame:
    """All rows of saliency.parquet."""
    stored.check(SALIENCY)
    with shards.whole(str(SALIENCY), str(SALIENCY)), SALIENCY.open("rb") as file:
        table = pq.read_table(file, page_checksum_verification=True)
    contracts.check_types(table.schema, SALIENCY_SCHEMA, SALIENCY)
    return table.to_pandas()


def read_label_issues() -> pd.DataFrame:
    """All rows of label_issues.csv, the label that is most probably wrong first."""
    return contracts.check(stored.read_csv(LABEL_ISSUES), contracts.LABEL_ISSUES, LABEL_ISSUES)


def read_rejected() -> pd.DataFrame:
    """All rows of rejected.csv; empty fields are empty text."""
    rejected = stored.read_csv(REJECTED, keep_default_na=False)
    return contracts.check(rejected, contracts.REJECTED, REJECTED)


def read_faces(source: Path | str = FACES) -> pd.DataFrame:
    """All columns but the image bytes, with `path` in their place, in the order of the rows.

    Parameters
    ----------
    source : as `Shards` takes it
    """
    columns = [name for name in FACES_SCHEMA.names if name != "image"]
    found = Shards(source)
    for number in range(len(found)):
        contracts.check_types(found.schema(number), FACES_SCHEMA, found.name(number))
    # Of `image` as a whole the bytes would be read too, and held.
    parts = [found.read(number, [*columns, "image.path"]) for number in range(len(found))]
    faces = pa.concat_tables(parts).flatten().to_pandas().rename(columns={"image.path": "path"})
    faces = faces.astype({"gender": "Int8", "race": "Int8"})
    return contracts.check(faces, contracts.FACES, source)


def write_clean_split(left_out: Iterable[str]) -> None:
    """Write clean_split.csv: split.csv without some of the faces."""
    split = stored.read_csv(SPLIT)
    write_csv(CLEAN_SPLIT, split[~split["face"].isin(set(left_out))])


def read_splits(path: Path = SPLIT, source: Path | str = FACES) -> dict[str, pd.DataFrame]:
    """Faces of train, val and test, in the order of faces.parquet; `cluster`: those kept together.

    Parameters
    ----------
    path : split.csv, or clean_split.csv, which lacks some of the faces
    source : of the faces, as `Shards` takes it
    """
    faces = read_faces(source)
    split = contracts.check(stored.read_csv(path), contracts.SPLIT, path)
    if path == SPLIT:
        contracts.check_same("face", faces["face"], split["face"], f"{source} and {SPLIT}")
    faces = faces.merge(split, on="face", validate="one_to_one")
    return {name: faces[faces["split"] == name].reset_index(drop=True) for name in SPLITS}


class SplitOf:
    """Which split each face is in, for more faces than tables in memory can be about.

    Parameters
    ----------
    path : as `read_splits` takes it
    """

    def __init__(self, path: Path) -> None:
        stored.check(path)
        faces, splits = [hash_arrays.packed([])], [np.empty(0, np.int8)]
        try:
            for part in pd.read_csv(path, chunksize=SPLIT_ROWS):
                contracts.check(part, contracts.SPLIT, path)
                faces.append(hash_arrays.packed(part["face"]))
                splits.append(part["split"].map(SPLITS.index).to_numpy(np.int8))
        except (EmptyDataError, ParserError, UnicodeDecodeError):
            raise stored.damaged(path) from None
        self._row_of = hash_arrays.Rows(np.concatenate(faces))
        self._splits = np.concatenate([*splits, np.full(1, -1, np.int8)])  # the last: of no row

    def __len__(self) -> int:
        return len(self._row_of)

    def __call__(self, faces: pd.Series) -> np.ndarray:
        """Number of the split of each, as in `SPLITS`; -1 where the table lacks the face: (n,)."""
        return self._splits[self._row_of(hash_arrays.packed(faces))]


def image_bytes(faces: Iterable[str], source: Path | str = FACES) -> Iterator[tuple[str, bytes]]:
    """Stream (face, file's bytes) of the wanted faces, in the order of the rows of `source`."""
    wanted = set(faces)
    for batch in Shards(source).batches(["face", "image.bytes"]):
        contents = batch.column("image").combine_chunks().field("bytes")
        for face, content in zip(batch.column("face").to_pylist(), contents, strict=True):
            if face in wanted:
                yield face, content.as_py()


def _without_bytes(table: pa.Table) -> pd.DataFrame:
    """The columns of faces.parquet as `read_faces` gives them, of a table in memory."""
    paths = table.column("image").combine_chunks().field("path")
    return table.drop_columns("image").append_column("path", paths).to_pandas()


def _read_rows(path: Path) -> pd.DataFrame:
    try:
        return pd.read_json(path, orient="records", convert_dates=False, precise_float=True)
    except ValueError:
        raise stored.damaged(path) from None


def _write(path: Path, contract: DataFrameSchema, rows: Sequence[tuple[str, ...]]) -> None:
    table = pd.DataFrame(rows, columns=list(contract.columns))
    write_csv(path, contracts.check(table, contract, path))
