"""Whether something that an image has or lacks depends on its group, when images come in clusters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from facelib.audit.association import Int64
from facelib.errors import ConfigError

FEWEST_CLUSTERS = 10
"""Clusters that have it, and clusters that lack it, below which there is no p-value."""
_LEAST_EXPECTED = 1.0


def clustered_independence(groups: npt.ArrayLike, has: npt.ArrayLike, clusters: npt.ArrayLike) -> float | None:
    """p-value of independence of `has` and `groups`, images of one cluster being alike in both; 0–1 or None.

    groups: int (M,) from 0; has: bool (M,); clusters: int (M,) from 0. With y = `has`, x the indicators of the groups,
    both centred, and the score U = Σ y x over images:

        Var U = σ² (Σ x xᵀ + ρ (Σ_g s_g s_gᵀ − Σ x xᵀ)),   s_g = Σ x over cluster g,   σ² = Σ y² / M
        ρ     = Σ y_i y_j / (pairs σ²) over pairs of images of one cluster, cut to 0–1
        U' (Var U)⁻ U ~ χ² with groups − 1 degrees of freedom

    the score test of a marginal model with exchangeable correlation inside clusters. Without repeated clusters, or
    with ρ = 0, it is Pearson's χ² exactly. Groups of less than one expected image with, or without, are left out. None
    where `has` is the same in all images, fewer than two groups are left, or fewer than 10 clusters hold an image that
    has it, or one that lacks it. Raises ConfigError for arrays that do not fit.

    Sources: A. Rotnitzky, N. P. Jewell, "Hypothesis testing of regression parameters in semiparametric generalized
    linear models for cluster correlated data", Biometrika 77 (1990) 485–497 (working score test); A. Donner,
    "Statistical methods in ophthalmology: an adjusted chi-square approach", Biometrics 45 (1989) 605–611 (the same idea
    for proportions); W. G. Cochran, Biometrics 10 (1954) 417–451 (expected counts of 1).
    """
    group, y, cluster = np.asarray(groups), np.asarray(has), np.asarray(clusters)
    if group.ndim != 1 or not group.shape == y.shape == cluster.shape or y.dtype != np.bool_:
        raise ConfigError("groups, truth values and clusters do not fit: give one of each for every image")
    if group.size and min(int(group.min()), int(cluster.min())) < 0:
        raise ConfigError("a group or cluster is negative: number them from 0")
    kept = _large_enough(group, y)
    group, y, cluster = group[kept], y[kept], np.unique(cluster[kept], return_inverse=True)[1]
    if min(np.unique(cluster[y]).size, np.unique(cluster[~y]).size) < FEWEST_CLUSTERS:
        return None
    names, column = np.unique(group, return_inverse=True)
    if names.size < 2:
        return None
    return _p_value(column.astype(np.int64), y.astype(np.float64), cluster.astype(np.int64), names.size)


def _large_enough(group: Int64, y: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    n = np.bincount(group)
    share = y.mean() if y.size else 0.0
    is_large = n * min(share, 1 - share) >= _LEAST_EXPECTED
    return np.asarray(is_large[group], np.bool_)


def _p_value(column: Int64, y: npt.NDArray[np.float64], cluster: Int64, groups: int) -> float:
    n, share = column.size, np.bincount(column) / column.size
    e = y - y.mean()
    variance = float(e @ e) / n
    count = int(cluster.max()) + 1
    size = np.bincount(cluster)
    held = np.bincount(cluster * groups + column, minlength=count * groups).reshape(count, groups)
    s = held - size[:, None] * share
    single = n * (np.diag(share) - np.outer(share, share))
    pairs = float(np.sum(size * (size - 1.0)))
    together = float(np.sum(np.bincount(cluster, e) ** 2)) - n * variance
    rho = min(1.0, max(0.0, together / (pairs * variance))) if pairs else 0.0
    score = np.bincount(column, e, groups)[:-1]
    covariance = variance * (single + rho * (s.T @ s - single))[:-1, :-1]
    statistic = float(score @ np.linalg.pinv(covariance, hermitian=True) @ score)
    return float(chi2.sf(statistic, np.linalg.matrix_rank(covariance, hermitian=True)))
