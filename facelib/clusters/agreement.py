"""How well clusters agree with verified subjects: pairwise and BCubed scores.

Both arguments of every function hold one label per face, in the same order; any type that
sorts (integers, strings). Only equality of labels matters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError


class Scores(NamedTuple):
    """Precision, recall and their harmonic mean, each in [0, 1]."""

    precision: float
    recall: float
    f1: float


def pairwise_scores(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> Scores:
    """Agreement over unordered pairs of faces.

    Precision = pairs together in both / pairs together in `predicted`; recall = the same over pairs
    together in `truth` (the pair counts of Rand 1971, from the contingency table). Counts are exact.
    No pair together at all means nothing wrong was said: that score is 1.
    Raises ConfigError when the two differ in length or are empty.
    """
    cells, rows, columns, *_ = _contingency(predicted, truth)
    both, together, true = _pairs(cells), _pairs(rows), _pairs(columns)
    return _scores(both / together if together else 1.0, both / true if true else 1.0)


def bcubed_scores(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> Scores:
    """BCubed: the mean over faces of precision and recall of the face's own cluster.

    Bagga and Baldwin, "Entity-based cross-document coreferencing using the vector space model", 1998;
    Amigó et al., "A comparison of extrinsic clustering evaluation metrics based on formal
    constraints", 2009, section 4. A face counts as together with itself. f1 is the harmonic mean of
    the two means. Raises ConfigError when the two differ in length or are empty.
    """
    cells, rows, columns, row_of, column_of = _contingency(predicted, truth)
    n = int(rows.sum())
    square = cells.astype(np.float64) ** 2
    return _scores(float((square / rows[row_of]).sum() / n), float((square / columns[column_of]).sum() / n))


def cluster_ratio(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Number of predicted clusters divided by the number of subjects; above 1 subjects are split.

    Raises ConfigError when the two differ in length or are empty.
    """
    _, rows, columns, *_ = _contingency(predicted, truth)
    return len(rows) / len(columns)


def _contingency(
    predicted: npt.ArrayLike, truth: npt.ArrayLike
) -> tuple[
    npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]
]:
    """Non-empty cells, row totals, column totals, and the row and column of each cell."""
    a, b = np.asarray(predicted).ravel(), np.asarray(truth).ravel()
    if len(a) != len(b):
        raise ConfigError(f"{len(a)} predicted labels for {len(b)} true ones: give one of each per face")
    if not len(a):
        raise ConfigError("no labels to compare: give at least one face")
    _, row = np.unique(a, return_inverse=True)
    _, column = np.unique(b, return_inverse=True)
    n_columns = int(column.max()) + 1
    cell, count = np.unique(row.astype(np.int64) * n_columns + column, return_counts=True)
    return count, np.bincount(row), np.bincount(column), cell // n_columns, cell % n_columns


def _pairs(counts: npt.NDArray[np.int64]) -> int:
    return sum(int(c) * (int(c) - 1) // 2 for c in counts[counts > 1])


def _scores(precision: float, recall: float) -> Scores:
    total = precision + recall
    return Scores(precision, recall, 2 * precision * recall / total if total else 0.0)
