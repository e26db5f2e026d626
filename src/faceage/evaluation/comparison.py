"""Two runs compared face by face, on the test faces that they share.

A face that is hard for one model is hard for the other, so the differences between the absolute
errors of the same face vary less than the errors do, and their mean is known more exactly than two
intervals side by side can tell. Clusters of near-duplicates are resampled, not faces: see
`faceage.evaluation.bootstrap`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from faceage.core.params import EvaluateParams
from faceage.core.script import UserError
from faceage.evaluation.age_bins import decade_names
from faceage.evaluation.bootstrap import Resamples, interval
from faceage.evaluation.subgroups import NOT_GIVEN

BETTER, WORSE = "better", "worse"
NOT_SHOWN = "no difference shown"
TOO_FEW = "too few faces"

LABELS = ("gender", "race")


@dataclass(frozen=True)
class Difference:
    """MAE of run B minus that of run A, on the same faces.

    n: faces; clusters: those of near-duplicates that they are in; mae_a, mae_b, difference and
    low, high, its 95% interval: years; enough: whether there are so many clusters that the interval
    can be trusted.
    """

    n: int
    clusters: int
    mae_a: float
    mae_b: float
    difference: float
    low: float
    high: float
    enough: bool

    @property
    def verdict(self) -> str:
        """B against A: better or worse where the interval excludes 0."""
        if not self.enough:
            return TOO_FEW
        if self.high < 0:
            return BETTER
        return WORSE if self.low > 0 else NOT_SHOWN


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    overall: of all faces compared; subgroups: by grouping (gender, race, decade, age_group) and
    the subgroup's name; n_a, n_b, shared: faces of A's and of B's test set, and of both;
    conflicting: shared faces left out because their true ages differ; relabelled: compared faces
    whose gender or ethnicity differs; clustered: whether near-duplicates are known.
    """

    overall: Difference
    subgroups: dict[tuple[str, str], Difference]
    n_a: int
    n_b: int
    shared: int
    conflicting: int
    relabelled: int
    clustered: bool


def compare_by(params: EvaluateParams, a: pd.DataFrame, b: pd.DataFrame) -> Comparison:
    """`compare`, with the resamples, the seed and the smallest subgroup of params.yaml."""
    settings = params.evaluate
    return compare(a, b, count=settings.bootstrap, seed=params.seed, smallest=settings.min_subgroup)


def compare(
    a: pd.DataFrame, b: pd.DataFrame, *, count: int, seed: int, smallest: int
) -> Comparison:
    """Compare the absolute errors of two runs on the faces that both have.

    Faces whose true ages differ between the runs are left out, since their errors would differ by
    their labels. Subgroups are named as in B. Clusters come from B, or else from A; if neither has
    them, every face is taken as a cluster of its own.

    Parameters
    ----------
    a, b : predictions.csv of the run to beat and of the new one: columns `face`, `age` and
        `predicted` in years; where they are had `cluster` (of near-duplicates), `gender`, `race`
        and `age_group`
    count : number of resamples
    smallest : clusters below which the interval is given, but no verdict

    Returns
    -------
    Percentile intervals of the paired cluster bootstrap; the same draws serve all subgroups.

    Raises
    ------
    UserError
        If no face is in both tables with the same age.
    """
    n_a, n_b = len(a), len(b)
    a, b = _shared(a, b)
    same = a["age"] == b["age"]
    if not same.any():
        raise UserError(
            f"the two runs have {len(same)} test faces in common, and none of the same age: compare"
            " runs on the same data and split"
        )
    shared, conflicting = len(same), int((~same).sum())
    a, b = a[same], b[same]
    faces = pd.DataFrame(
        {
            "n": 1.0,
            "a": (a["predicted"] - a["age"]).abs(),
            "b": (b["predicted"] - b["age"]).abs(),
        }
    )
    faces["difference"] = faces["b"] - faces["a"]
    clusters = next((table["cluster"] for table in (b, a) if "cluster" in table), None)
    resamples = Resamples(faces.index.to_series() if clusters is None else clusters, count, seed)
    return Comparison(
        overall=_difference(faces, resamples, smallest),
        subgroups={
            name: _difference(faces.loc[members], resamples, smallest)
            for name, members in _subgroups(b)
        },
        n_a=n_a,
        n_b=n_b,
        shared=shared,
        conflicting=conflicting,
        relabelled=_relabelled(a, b),
        clustered=clusters is not None,
    )


def _shared(a: pd.DataFrame, b: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the faces in both, in one order: index `face`."""
    a, b = a.set_index("face"), b.set_index("face")
    faces = a.index.intersection(b.index).sort_values()
    return a.loc[faces], b.loc[faces]


def _difference(faces: pd.DataFrame, resamples: Resamples, smallest: int) -> Difference:
    draws = resamples.sums(faces[["n", "difference"]])
    low, high = interval(draws["difference"] / draws["n"])
    clusters = resamples.code.loc[faces.index].nunique()
    mae_a, mae_b, difference = faces[["a", "b", "difference"]].mean()
    return Difference(
        len(faces), clusters, mae_a, mae_b, difference, low, high, clusters >= smallest
    )


def _subgroups(faces: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.Index]]:
    """Grouping, name and faces of each subgroup: labels by the alphabet, ages from young to old."""
    by_age = faces.sort_values("age", kind="stable")
    by_age = by_age.assign(decade=decade_names(by_age["age"].to_numpy()))
    for grouping in (*LABELS, "decade", "age_group"):
        if grouping in by_age:
            names = by_age[grouping].replace("", NOT_GIVEN)
            for name, members in by_age.groupby(names, sort=grouping in LABELS):
                yield (grouping, str(name)), members.index


def _relabelled(a: pd.DataFrame, b: pd.DataFrame) -> int:
    labels = [name for name in LABELS if name in a and name in b]
    return int((a[labels] != b[labels]).any(axis=1).sum())
