"""Labels that are probably wrong, and outliers: what cleanlab calls label issues.

Each face's age is predicted by cross-fitting: by a model that has not seen it, nor any face of its
cluster, because near-duplicates with the same wrong age would vouch for each other. The score of a
label is the absolute residual in units of the error that is usual where that age is predicted.
Without that unit the list would be one of old faces, whose ages are hard to tell. It is the
residual score of Zhou et al. 2023, "Detecting Errors in a Numerical Response via any Regression
Model" (https://arxiv.org/abs/2305.16583), with the spread of the residuals as the uncertainty.
Their implementation, cleanlab, is licensed under the AGPL and so cannot be used here; scikit-learn
has the parts.
"""

import numpy as np
import pandas as pd
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 5
STRENGTHS = np.logspace(0, 5, 11)
# The usual error at an age is that of so large a share of all faces, those predicted nearest to it.
NEIGHBOURS = 0.02
# Years: keeps a small residual from being a great issue where predictions happen to be good.
LEAST_ERROR = 1.0
COLUMNS = ("predicted", "usual_error", "issue_score")


def label_issue_scores(
    features: np.ndarray, ages: np.ndarray, clusters: np.ndarray, seed: int
) -> pd.DataFrame:
    """Predict each age from the other clusters, and say how improbable the label is.

    Parameters
    ----------
    features : float (n, k)
    ages : labels in years, (n,)
    clusters : names of the clusters that folds keep whole, (n,)

    Returns
    -------
    DataFrame with `predicted` age and `usual_error` of such predictions, both in years, and
    `issue_score`, the residual in units of it: 1 is usual.
    """
    folds = min(FOLDS, len(np.unique(clusters)))
    if folds < 2:
        return pd.DataFrame(np.nan, range(len(ages)), list(COLUMNS))
    model = make_pipeline(StandardScaler(), RidgeCV(STRENGTHS))
    partition = GroupKFold(folds, shuffle=True, random_state=seed)
    predicted = cross_val_predict(model, features, ages, groups=clusters, cv=partition)
    predicted = predicted.clip(0, None)
    residual = np.abs(ages - predicted)
    nearest = KNeighborsRegressor(max(1, round(NEIGHBOURS * len(ages))))
    usual = nearest.fit(predicted[:, None], residual).predict(predicted[:, None])
    usual = usual.clip(LEAST_ERROR, None)
    found = (predicted, usual, residual / usual)
    return pd.DataFrame(dict(zip(COLUMNS, found, strict=True)))


def outlier_scores(features: np.ndarray) -> np.ndarray:
    """How far each face is from the mean of all: Mahalanobis distance, (n,).

    In units in which it is 1 on the average. The covariance is that of Ledoit and Wolf (2004),
    which also exists for fewer faces than features.

    Parameters
    ----------
    features : float (n, k)
    """
    scaled = StandardScaler().fit_transform(features)
    distance = np.sqrt(LedoitWolf().fit(scaled).mahalanobis(scaled))
    mean = float(distance.mean())
    return distance / mean if mean else distance
