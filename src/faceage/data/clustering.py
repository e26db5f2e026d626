"""Which faces belong together: of the same pixels, near-duplicates, the same person."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from faceage.data import identities
from faceage.data.bursts import burst_pairs
from faceage.data.candidates import Candidates
from faceage.data.duplicates import connected


@dataclass(frozen=True)
class Clusters:
    """For each face the row of the smallest one in its cluster, by ever weaker likeness: int (n,).

    exact: the same pixels; near: near-duplicates too; burst: the same person, probably, too.
    """

    exact: np.ndarray
    near: np.ndarray
    burst: np.ndarray


def cluster(kept: Candidates, near: np.ndarray, similarity: float = 1.0) -> Clusters:
    """Join faces of the same pixels, near-duplicates, and what shows the same person.

    Parameters
    ----------
    near : pairs of contents that are near-duplicates, as in `hash_arrays.PACKED` (pairs, 2); others
        than those that are kept do not count
    similarity : of embeddings from which on two faces are of one person
    """
    exact = _with_the_first(kept.records.hashes("pixels")[kept.column("record")])
    alike = np.concatenate([exact, kept.rows_of(near)])
    people_alike = np.concatenate([alike, _same_people(kept, similarity)])
    return Clusters(*(_smallest(kept, pairs) for pairs in (exact, alike, people_alike)))


def _same_people(kept: Candidates, similarity: float) -> np.ndarray:
    """Pairs of one identity, of bursts, and of embeddings that are as similar as that."""
    people = kept.table.select(["age", "gender", "race", "taken"]).to_pandas()
    pairs = [_named_alike(kept), burst_pairs(people)]
    embeddings = kept.records.embeddings(kept.column("record"))
    if embeddings is not None:
        pairs.append(identities.same_person(embeddings, similarity))
    return np.concatenate(pairs)


def _named_alike(kept: Candidates) -> np.ndarray:
    """Each face that a source gives an identity, int (pairs, 2), with the first one that has it."""
    names = kept.table["identity"].to_pandas()
    people, _ = pd.factorize(names.where(names != ""))
    named = np.flatnonzero(people >= 0)
    return named[_with_the_first(people[named])]


def _with_the_first(values: np.ndarray) -> np.ndarray:
    """Each row, int (n, 2), behind the first one that has the same value."""
    _, first, which = np.unique(values, return_index=True, return_inverse=True)
    return np.stack([first[which], np.arange(len(values))], axis=1)


def _smallest(kept: Candidates, pairs: np.ndarray) -> np.ndarray:
    """For each face the row of the smallest one of those that pairs of rows join it with."""
    numbers = connected(len(kept), pairs)
    order = np.argsort(kept.contents)
    _, first = np.unique(numbers[order], return_index=True)
    return order[first][numbers]
