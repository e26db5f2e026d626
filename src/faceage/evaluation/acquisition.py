"""Failure to acquire: faces that the detector does not find, in the photographs as they are.

A person whose face is not found is neither let pass nor refused, and belongs in no other rate
(ISO/IEC 19795-1 calls the share of such attempts the failure-to-acquire rate).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from faceage.core import images
from faceage.core.progress import bar
from faceage.core.threads import in_threads
from faceage.core.utkface import GENDERS, RACES
from faceage.detection.detector import find_faces
from faceage.evaluation import rates
from faceage.evaluation.bootstrap import Resamples
from faceage.evaluation.metrics import Number, number
from faceage.evaluation.rates import Rate
from faceage.evaluation.subgroups import NOT_GIVEN

BANDS = {"0-12": (0, 13), "13-17": (13, 18), "18-39": (18, 40), "40 and over": (40, np.inf)}


@dataclass(frozen=True)
class Acquired:
    """rows: numbers of the faces that were looked for (k,); found: bool (k,)."""

    rows: np.ndarray
    found: np.ndarray


def look(faces: pd.Series, contents: Iterable[tuple[str, bytes]]) -> np.ndarray:
    """Whether the detector finds a face in each picture: bool, in the order of `faces`.

    Parameters
    ----------
    faces : names
    contents : (face, file's bytes) for each of them, in any order

    Raises
    ------
    UserError
        If the detector's models are not installed.
    """

    def seen(item: tuple[str, bytes]) -> tuple[str, bool]:
        return item[0], bool(find_faces(images.decode(item[1])))

    found = dict(in_threads(seen, bar(contents, "look for faces", "face", len(faces))))
    return faces.map(found).to_numpy(dtype=bool)


def by_group(
    acquired: Acquired | None, age: np.ndarray, people: pd.DataFrame, resamples: Resamples
) -> pd.DataFrame:
    """Share of faces not found, of all, by age, gender and ethnicity: `failure_to_acquire`.

    Without rows where nobody looked.

    Parameters
    ----------
    age : years, of all test faces (n,)
    people : `subgroups.labels` of all test faces
    """
    if acquired is None:
        return pd.DataFrame()
    asked, missed = np.zeros((2, len(age)), dtype=bool)
    asked[acquired.rows] = True
    missed[acquired.rows] = ~acquired.found
    groups = [("all", "all", asked)]
    groups += [
        ("age", name, asked & (age >= first) & (age < after))
        for name, (first, after) in BANDS.items()
    ]
    for grouping, names in {"gender": GENDERS, "race": RACES}.items():
        labels = people[grouping].to_numpy()
        given = (name for name in (*names, NOT_GIVEN) if name in labels[asked])
        groups += [(grouping, name, asked & (labels == name)) for name in given]
    return rates.table(
        (
            Rate({"grouping": grouping, "subgroup": subgroup}, missed, members)
            for grouping, subgroup, members in groups
        ),
        resamples,
    )


def summary(table: pd.DataFrame) -> dict[str, Number]:
    """Rate over all faces that were looked for, with its interval."""
    if table.empty:
        return {"n": 0, "rate": None, "low": None, "high": None}
    overall = table.iloc[0]
    numbers = {name: number(overall[name]) for name in ("rate", "low", "high")}
    return {"n": int(overall["n"])} | numbers
