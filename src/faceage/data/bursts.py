"""Photographs that a crawl found one after the other, and that probably show the same person.

UTKFace was crawled by name and age: about a fifth of a random test set has a face of the same age,
gender and ethnicity among the training faces that was found within seconds of it.
"""

import numpy as np
import pandas as pd

SECONDS = 5
YEARS = 1


def burst_pairs(people: pd.DataFrame) -> np.ndarray:
    """Pairs of rows, int (pairs, 2), found within `SECONDS`, of ages within `YEARS`.

    Gender and ethnicity are the same; a face that lacks one of them, its age or its time is in no
    pair.

    Parameters
    ----------
    people : columns `age` in years, `gender`, `race`, `taken` in seconds
    """
    known = people.assign(row=np.arange(len(people))).dropna().astype(float)
    pairs = [np.empty((0, 2), dtype=int)]
    for _, alike in known.sort_values(["taken", "row"]).groupby(["gender", "race"]):
        age, taken, row = (alike[name].to_numpy() for name in ("age", "taken", "row"))
        for step in range(1, len(alike)):
            soon = taken[step:] - taken[:-step] <= SECONDS
            if not soon.any():
                break
            same = np.flatnonzero(soon & (np.abs(age[step:] - age[:-step]) <= YEARS))
            pairs.append(np.stack([row[same], row[same + step]], axis=1).astype(int))
    return np.concatenate(pairs)
