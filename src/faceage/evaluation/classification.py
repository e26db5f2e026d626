"""Age estimation as classification: the predicted age group against the true one."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, recall_score

from faceage.core.settings import Grouping
from faceage.evaluation.age_bins import bin_index, decade_index
from faceage.evaluation.metrics import Number, number
from faceage.networks.target import LearnedClasses

# Numbers of the true and of the predicted class, (n,) each, by grouping.
Classes = dict[str, tuple[np.ndarray, np.ndarray]]


def of_ages(
    age: np.ndarray,
    predicted: np.ndarray,
    groupings: Mapping[str, Grouping],
    learned: LearnedClasses | None,
) -> Classes:
    """Classes of every grouping, and decades.

    Of a grouping that the model has learned, the predicted class is the one that it finds most
    likely; of the others, the class of the predicted age.

    Parameters
    ----------
    age, predicted : years (n,)
    learned : classes that the model finds most likely, if it learns classes
    """
    found = {}
    for name, grouping in groupings.items():
        found[name] = bin_index(age, grouping.boundaries), bin_index(predicted, grouping.boundaries)
        if learned and learned.grouping == name:
            found[name] = found[name][0], learned.numbers.numpy()
    return found | {"decade": (decade_index(age), decade_index(predicted))}


def of_labels(
    labels: pd.Series, groupings: Mapping[str, Grouping], learned: LearnedClasses
) -> Classes:
    """Classes of the grouping that the model has learned, where the faces have no ages.

    Parameters
    ----------
    labels : names of the true classes (n,)
    """
    number = {name: k for k, name in enumerate(groupings[learned.grouping].names)}
    return {learned.grouping: (labels.map(number).to_numpy(), learned.numbers.numpy())}


def by_grouping(classes: Classes) -> pd.DataFrame:
    """Scores of every grouping, in a row each: table `classification`."""
    return pd.DataFrame(
        {"grouping": name} | scores(true, predicted) | {"n": len(true)}
        for name, (true, predicted) in classes.items()
    )


def scores(true: np.ndarray, predicted: np.ndarray) -> dict[str, Number]:
    """Accuracy, balanced accuracy, macro F1 and quadratic-weighted kappa of ordered classes.

    balanced_accuracy and macro_f1 are means over the classes that the true labels have: a class
    without a face has neither recall nor F1. Kappa is None where all labels and predictions are of
    one class, for then agreement by chance is perfect.

    Parameters
    ----------
    true, predicted : number of the class (n,), neighbours in order next to each other
    """
    present = np.unique(true)
    # All numbers in between too: the weights of kappa go by the position in this list.
    every = np.arange(max(true.max(), predicted.max()) + 1)
    average = {"labels": present, "average": "macro", "zero_division": 0}
    with np.errstate(invalid="ignore"):
        kappa = (
            cohen_kappa_score(true, predicted, labels=every, weights="quadratic")
            if len(np.union1d(true, predicted)) > 1
            else np.nan
        )
    return {
        "accuracy": number(accuracy_score(true, predicted)),
        "balanced_accuracy": number(recall_score(true, predicted, **average)),
        "macro_f1": number(f1_score(true, predicted, **average)),
        "quadratic_kappa": number(kappa),
    }


def summary(scores_by_grouping: pd.DataFrame) -> dict[str, dict[str, Number]]:
    """The scores of each grouping, from `by_grouping`."""
    table = scores_by_grouping.set_index("grouping").drop(columns="n")
    return {
        str(name): {str(score): number(value) for score, value in row.items()}
        for name, row in table.astype(float).iterrows()
    }
