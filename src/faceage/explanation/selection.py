"""Which test faces are shown: those missed by most, and typical ones."""

import pandas as pd


def worst(predictions: pd.DataFrame, count: int) -> pd.DataFrame:
    """The rows with the largest absolute errors, largest first; all if there are fewer.

    Parameters
    ----------
    predictions : columns `face` and `error`; of equal errors the smaller `face` comes first
    """
    ranked = predictions.assign(size=predictions["error"].abs())
    ranked = ranked.sort_values(["size", "face"], ascending=[False, True]).head(count)
    return ranked.drop(columns="size")


def typical(predictions: pd.DataFrame, count: int) -> pd.DataFrame:
    """The rows whose absolute errors are nearest to the median one, nearest first.

    Parameters
    ----------
    predictions : columns `face` and `error`; at equal distance the smaller `face` comes first
    """
    size = predictions["error"].abs()
    ranked = predictions.assign(distance=(size - size.median()).abs())
    return ranked.sort_values(["distance", "face"]).head(count).drop(columns="distance")


def worst_and_typical(predictions: pd.DataFrame, each: int) -> pd.DataFrame:
    """`each` of the worst faces, then `each` typical ones of the others: column `kind` says which.

    With fewer than two times `each` faces there are fewer typical ones, or none.
    """
    most = worst(predictions, each)
    others = typical(predictions, each + len(most))
    others = others[~others["face"].isin(most["face"])].head(each)
    return pd.concat([most.assign(kind="worst"), others.assign(kind="typical")], ignore_index=True)
