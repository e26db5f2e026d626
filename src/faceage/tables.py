"""The tables between the stages: who writes which columns, and how faces are read back."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from faceage.outputs import whole_file

FACES = Path("data/faces.parquet")
REJECTED = Path("data/rejected.csv")
SPLIT = Path("data/split.csv")
SALIENCY = Path("data/saliency.parquet")

PARTS = ("train", "val", "test")

# One row a face; `image` is the struct that Hugging Face datasets read as an image.
FACES_SCHEMA = pa.schema(
    [
        ("face", pa.string()),  # sha256 of the file's bytes, hexadecimal
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("age", pa.int16()),  # years
        ("gender", pa.int8()),  # index into utkface.GENDERS, null where the label is missing
        ("race", pa.int8()),  # index into utkface.RACES, null where the label is missing
        ("group", pa.string()),  # near-identical images share it: the smallest `face` among them
        ("width", pa.int32()),  # pixels
        ("height", pa.int32()),
        ("synthetic", pa.bool_()),  # drawn by the stage `sample`
    ]
)
# One row a face that is explained; none where the model's network has no feature map to look at.
SALIENCY_SCHEMA = pa.schema(
    [
        ("face", pa.string()),
        ("kind", pa.string()),  # worst or typical
        # PNG file, 8-bit greyscale, as large as the network's input and in place over the face's
        # central square; 255 where this face's evidence is strongest
        ("heat", pa.binary()),
    ]
)
ROW_GROUP = 1024


def write_faces(rows: Iterable[dict[str, object]]) -> None:
    """Write faces.parquet row group by row group, so that memory holds one of them at a time."""
    with whole_file(FACES) as part, pq.ParquetWriter(part, FACES_SCHEMA) as writer:
        batch: list[dict[str, object]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == ROW_GROUP:
                writer.write_table(pa.Table.from_pylist(batch, FACES_SCHEMA))
                batch = []
        writer.write_table(pa.Table.from_pylist(batch, FACES_SCHEMA))


def write_saliency(rows: list[dict[str, object]]) -> None:
    """Write saliency.parquet, in the order given."""
    with whole_file(SALIENCY) as part:
        pq.write_table(pa.Table.from_pylist(rows, SALIENCY_SCHEMA), part)


def read_faces() -> pd.DataFrame:
    """All columns but the image bytes, with `path` in their place, in the file's order."""
    columns = [name for name in FACES_SCHEMA.names if name != "image"]
    # Read on its own, the field of a struct comes back as a column named after the field.
    faces = pq.read_table(FACES, columns=[*columns, "image.path"]).to_pandas()
    return faces.astype({"gender": "Int8", "race": "Int8"})


def read_parts() -> dict[str, pd.DataFrame]:
    """Faces of each part of the split, in the file's order."""
    faces = read_faces().merge(pd.read_csv(SPLIT), on="face", validate="one_to_one")
    return {part: faces[faces["part"] == part].reset_index(drop=True) for part in PARTS}


def image_bytes(faces: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Stream (face, file's bytes) of the wanted faces, in the file's order."""
    wanted = set(faces)
    reader = pq.ParquetFile(FACES)
    for batch in reader.iter_batches(ROW_GROUP, columns=["face", "image.bytes"]):
        contents = batch.column("image").field("bytes")
        for face, content in zip(batch.column("face").to_pylist(), contents, strict=True):
            if face in wanted:
                yield face, content.as_py()
