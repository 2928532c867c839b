"""Predicted probabilities of categories from embeddings, cross-fitted by subject, for prediction-powered inference.

They are never labels: see `ppi.category_shares` for what they may be used for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.audit.intervals import Float64
from facelib.audit.ppi import Int64, label_codes, numbered
from facelib.errors import ConfigError

_COST = 3.0
"""Inverse ridge penalty for embeddings of total variance 1: of 0.1 … 100 the best on FairFace, 150 labels and 500."""
_MOST_STEPS = 1000


@dataclass(frozen=True)
class CrossFitted:
    """Predictions for every image, each by models that have seen no image of its subject."""

    probabilities: Float64
    """(M, K) in 0–1; rows add to 1."""
    fold: Int64
    """(M,) the fold of the image's subject, −1 for subjects without a label, for which all models are averaged."""


def cross_fitted(
    embeddings: npt.ArrayLike,
    codes: npt.ArrayLike,
    subjects: npt.ArrayLike,
    categories: int,
    folds: int = 5,
    seed: int = 0,
) -> CrossFitted:
    """Multinomial logistic regression on the labelled images, one model per fold of subjects.

    `embeddings` (M, d), finite; `codes` (M,) int, category 0 … `categories` − 1, or −1 where the label is missing;
    `subjects` (M,): subject of each image, or its cluster where subjects are unknown. Subjects with a label are put
    into folds whatever their category: sorted by number of labelled images, equals shuffled by `seed`, dealt in
    turn. The model of fold j is trained on the labelled images of the other folds and predicts **all** images of the
    subjects of fold j, labelled or not: were unlabelled images predicted by a model that knows their subject, labelled
    ones would not show its errors. Subjects without a label get the mean of all models, weighted with the labelled
    images of their folds.

    Ridge penalty ‖coefficients‖² / 6 beside the summed log loss, on embeddings shifted to mean 0 and scaled to a
    total variance of 1, both over all images. Fewer labelled subjects than folds: that many folds. A category with no
    image in a training part gets probability 0 from its model; a training part of one category gives it probability 1.
    Equal input and seed give equal output in one thread. Raises ConfigError for arrays that do not fit, labels of
    fewer than two subjects, and when scikit-learn is missing.

    Source of the folds: T. Zrnic, E. J. Candès, "Cross-prediction-powered inference", PNAS 121 (2024), there of single
    observations.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise ConfigError('predicted shares need scikit-learn: pip install "facelib[svm]"') from None
    if folds < 2:
        raise ConfigError(f"folds is {folds}: give at least 2")
    points = _scaled(embeddings)
    code = label_codes(codes, len(points), categories)
    subject = numbered(subjects, len(points), "subjects")
    labelled = np.flatnonzero(code >= 0)
    fold = _folds(subject, subject[labelled], folds, seed)
    unseen = np.flatnonzero(fold < 0)
    probabilities = np.zeros((len(code), categories))
    for j in range(int(fold.max()) + 1):
        train, share = labelled[fold[labelled] != j], np.mean(fold[labelled] == j)
        present = np.unique(code[train])
        own = np.flatnonzero(fold == j)
        if present.size == 1:
            probabilities[own, present[0]] = 1
            probabilities[unseen, present[0]] += share
            continue
        model = LogisticRegression(C=_COST, max_iter=_MOST_STEPS).fit(points[train], code[train])
        probabilities[np.ix_(own, present)] = model.predict_proba(points[own])
        if unseen.size:
            probabilities[np.ix_(unseen, present)] += share * model.predict_proba(points[unseen])
    return CrossFitted(np.minimum(probabilities, 1.0), fold)


def _folds(subject: Int64, labelled: Int64, folds: int, seed: int) -> Int64:
    size = np.bincount(labelled, minlength=int(subject.max()) + 1)
    shuffled = np.random.default_rng(seed).permutation(np.flatnonzero(size))
    if shuffled.size < 2:
        raise ConfigError("labels of one subject only: label images of at least two subjects")
    of_subject = np.full(size.size, -1, np.int64)
    order = shuffled[np.argsort(-size[shuffled], kind="stable")]
    of_subject[order] = np.arange(order.size) % folds
    return of_subject[subject]


def _scaled(embeddings: npt.ArrayLike) -> Float64:
    points = np.asarray(embeddings, np.float64)
    if points.ndim != 2 or not points.size:
        raise ConfigError("embeddings have not two axes: give a row for every image")
    if not np.isfinite(points).all():
        raise ConfigError("an embedding has a value that is not a number: leave the image out")
    points = points - points.mean(axis=0)
    spread = np.sqrt(np.mean(np.sum(points**2, axis=1)))
    return np.asarray(points / spread if spread > 0 else points, np.float64)
