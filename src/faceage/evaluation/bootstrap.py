"""The cluster bootstrap: whole clusters of near-duplicates drawn with replacement.

Faces of one cluster are not independent, so clusters are drawn and not faces (Field & Welsh 2007).
Every metric with an interval is a function of sums over faces, so a resample costs a product of
counts and sums a cluster instead of a pass over the faces. All intervals of an evaluation come from
the same draws.
"""

import numpy as np
import pandas as pd

LEVEL = 0.95
# Resamples multiplied at a time: bounds the memory that their counts take as float64.
CHUNK = 200


class Resamples:
    """How often each cluster was drawn in each resample.

    Parameters
    ----------
    clusters : cluster of each face; its index identifies the faces
    count : number of resamples
    """

    def __init__(self, clusters: pd.Series, count: int, seed: int) -> None:
        codes, names = pd.factorize(clusters)
        self.code = pd.Series(codes, index=clusters.index)
        clusters = len(names)
        random = np.random.default_rng(seed)
        equal = np.full(clusters, 1 / clusters)
        # A cluster is drawn once on average: a byte holds every count that will ever occur.
        self.drawn = [
            random.multinomial(clusters, equal, size=min(CHUNK, count - start)).astype(np.uint8)
            for start in range(0, count, CHUNK)
        ]

    def sums(self, faces: pd.DataFrame) -> pd.DataFrame:
        """Sum the columns over the faces of each resample: one row a resample.

        Parameters
        ----------
        faces : numbers, one row a face; the index tells which, and some may be left out
        """
        by_cluster = faces.groupby(self.code.loc[faces.index]).sum()
        present, values = by_cluster.index.to_numpy(), by_cluster.to_numpy(dtype=float)
        totals = np.concatenate([drawn[:, present].astype(float) @ values for drawn in self.drawn])
        return pd.DataFrame(totals, columns=faces.columns)

    def means(self, values: pd.Series) -> pd.Series:
        """Mean of each resample of a number for each face, or for some, which the index tells."""
        sums = self.sums(pd.DataFrame({"value": values, "n": 1.0}).astype(float))
        return sums["value"] / sums["n"]

    def interval_of_mean(self, values: pd.Series) -> tuple[float, float]:
        """Interval of the mean of a number for each face, or for some, which the index tells."""
        return interval(self.means(values))


def interval(draws: pd.Series) -> tuple[float, float]:
    """Percentile interval of a metric; resamples in which it could not be had are left out."""
    had = draws.dropna().to_numpy()
    if not len(had):
        return np.nan, np.nan
    low, high = np.quantile(had, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
