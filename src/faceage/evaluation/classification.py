"""Age estimation as classification: the estimate's age group against the true one."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, recall_score

from faceage.core.settings import Grouping
from faceage.evaluation.age_bins import bin_index, decade_index
from faceage.evaluation.metrics import Number, number
from faceage.networks.targets import Learned

SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "quadratic_kappa")
# Numbers of the true and of the estimated class, (n,) each, by grouping.
COLUMNS = ("grouping", *SCORES, "n")
Classes = dict[str, tuple[np.ndarray, np.ndarray]]


def classes(
    age: np.ndarray, predicted: np.ndarray, groupings: Mapping[str, Grouping], learned: Learned
) -> Classes:
    """Classes of every grouping, and decades.

    The estimate of a grouping that the model has learned is the class that it finds most likely;
    of the others, the class of the estimated age.

    Parameters
    ----------
    age, predicted : years (n,)
    learned : classes that the model learns and finds most likely, if it learns classes
    """
    found = {}
    for name, grouping in groupings.items():
        estimated = bin_index(predicted, grouping.boundaries)
        if learned and list(learned[0]) == list(grouping.boundaries):
            estimated = learned[1].numpy()
        found[name] = bin_index(age, grouping.boundaries), estimated
    return found | {"decade": (decade_index(age), decade_index(predicted))}


def by_grouping(found: Classes) -> pd.DataFrame:
    """Measure every grouping in a row: reports/classification.csv."""
    return pd.DataFrame(
        {"grouping": name} | scores(true, estimated) | {"n": len(true)}
        for name, (true, estimated) in found.items()
    )


def scores(true: np.ndarray, estimated: np.ndarray) -> dict[str, Number]:
    """Accuracy, balanced accuracy, macro F1 and quadratic-weighted kappa of ordered classes.

    balanced_accuracy and macro_f1 are means over the classes that the true labels have: a class
    without a face has neither recall nor F1. Kappa is None where all labels and estimates are of
    one class, for then agreement by chance is perfect.

    Parameters
    ----------
    true, estimated : number of the class (n,), neighbours in order next to each other
    """
    present = np.unique(true)
    # All numbers in between too: the weights of kappa go by the position in this list.
    every = np.arange(max(true.max(), estimated.max()) + 1)
    average = {"labels": present, "average": "macro", "zero_division": 0}
    with np.errstate(invalid="ignore"):
        kappa = (
            cohen_kappa_score(true, estimated, labels=every, weights="quadratic")
            if len(np.union1d(true, estimated)) > 1
            else np.nan
        )
    return {
        "accuracy": number(accuracy_score(true, estimated)),
        "balanced_accuracy": number(recall_score(true, estimated, **average)),
        "macro_f1": number(f1_score(true, estimated, **average)),
        "quadratic_kappa": number(kappa),
    }


def summary(scores_by_grouping: pd.DataFrame) -> dict[str, dict[str, Number]]:
    """The scores of each grouping, from `by_grouping`."""
    table = scores_by_grouping.set_index("grouping").drop(columns="n")
    return {
        str(name): {str(score): number(value) for score, value in row.items()}
        for name, row in table.astype(float).iterrows()
    }
