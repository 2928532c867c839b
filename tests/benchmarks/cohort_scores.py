"""Similarities of all faces of a test, some of them normalised by a cohort.

All take the test's unit rows float32 (n, d) and the cohort's (m, d), and return the similarities (n, n).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from facelib.clusters import cohort as cohorts
from facelib.clusters.cohort import Cohort, weights
from facelib.clusters.space import FloatArray, Space

_TOP_MEAN = 50
_TOP_ADAPTIVE = 200

Score = Callable[[FloatArray, FloatArray], FloatArray]


def cosine(test: FloatArray, cohort: FloatArray) -> FloatArray:
    """All similarities of the test's unit rows (n, d), (n, n)."""
    return test @ test.T


def less_mean(test: FloatArray, cohort: FloatArray) -> FloatArray:
    """Cosine - half of each face's mean cosine to the 50 cohort members most like it."""
    half = _most_like(test, cohort, _TOP_MEAN).mean(axis=1) / 2
    return test @ test.T - half[:, None] - half


def adaptive_s_norm(test: FloatArray, cohort: FloatArray) -> FloatArray:
    """Mean over both faces of (cosine - mean) / standard deviation of the 200 most like it (Matějka et al., 2017)."""
    most = _most_like(test, cohort, _TOP_ADAPTIVE)
    mean, deviation = most.mean(axis=1)[:, None], most.std(axis=1)[:, None]
    similarity = test @ test.T
    return ((similarity - mean) / deviation + (similarity - mean.T) / deviation.T) / 2


def corrected(test: FloatArray, cohort: FloatArray) -> FloatArray:
    """The similarity of `facelib.clusters.space`; the typical distance is that of the cohort's own members."""
    typical = float(np.exp(np.log(cohorts._distances(cohort, cohort)).mean()))
    given = Cohort(np.full(len(cohort), -1), cohort, typical)
    space = Space.corrected(test, weights(test, given))
    return space.left @ space.right.T


def _most_like(test: FloatArray, cohort: FloatArray, count: int) -> FloatArray:
    most: FloatArray = -np.partition(-(test @ cohort.T), min(count, len(cohort)) - 1, axis=1)[:, :count]
    return most


PLAIN = "cosine"
SCORES: dict[str, Score] = {
    PLAIN: cosine,
    f"cosine - half the mean of the top {_TOP_MEAN}": less_mean,
    f"adaptive s-norm, top {_TOP_ADAPTIVE}": adaptive_s_norm,
    "**facelib**": corrected,
}
