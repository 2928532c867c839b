"""How well clusters agree with verified subjects: pairwise and BCubed scores, and figures by group.

`predicted` and `truth` hold one label per face, in the same order; any type that
sorts (integers, strings). Only equality of labels matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError

Int64 = npt.NDArray[np.int64]


class Scores(NamedTuple):
    """Precision, recall and their harmonic mean, each in [0, 1]."""

    precision: float
    recall: float
    f1: float


class Largest(NamedTuple):
    """Faces in the largest cluster, and the share in (0, 1] of them that its commonest subject has."""

    size: int
    purity: float


@dataclass(frozen=True)
class GroupAgreement:
    """Figures of the faces of one group; shares are in [0, 1].

    Fragmentation is counted over `n_repeated` subjects: those with two faces or more in the group, since
    one face cannot be split. `n_clusters` is the sum over them of the clusters that hold their faces of the
    group, `n_whole` the number of them whose faces of the group lie in one cluster.
    """

    n_faces: int
    n_subjects: int
    n_repeated: int
    n_clusters: int
    n_whole: int
    majority_share: float
    """Share of the group's faces whose cluster holds more faces of their subject than of any other."""
    bcubed_precision: float
    """Mean over the group's faces of the share of their cluster that is of their subject."""

    @property
    def clusters_per_subject(self) -> float | None:
        """Mean number of clusters of a repeated subject, at least 1; None without one."""
        return self.n_clusters / self.n_repeated if self.n_repeated else None

    @property
    def whole_share(self) -> float | None:
        """Share of the repeated subjects that lie in one cluster; None without one."""
        return self.n_whole / self.n_repeated if self.n_repeated else None


def pairwise_scores(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> Scores:
    """Agreement over unordered pairs of faces.

    Precision = pairs together in both / pairs together in `predicted`; recall = the same over pairs
    together in `truth` (the pair counts of Rand 1971, from the contingency table). Counts are exact.
    No pair together at all means nothing wrong was said: that score is 1.
    Raises ConfigError when the two differ in length or are empty.
    """
    found = _contingency(predicted, truth)
    both, together, true = _pairs(found.cells), _pairs(found.rows), _pairs(found.columns)
    return _scores(both / together if together else 1.0, both / true if true else 1.0)


def bcubed_scores(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> Scores:
    """BCubed: the mean over faces of precision and recall of the face's own cluster.

    Bagga and Baldwin, "Entity-based cross-document coreferencing using the vector space model", 1998;
    Amigó et al., "A comparison of extrinsic clustering evaluation metrics based on formal
    constraints", 2009, section 4. A face counts as together with itself. f1 is the harmonic mean of
    the two means. Raises ConfigError when the two differ in length or are empty.
    """
    found = _contingency(predicted, truth)
    n = int(found.rows.sum())
    square = found.cells.astype(np.float64) ** 2
    precision, recall = square / found.rows[found.row_of], square / found.columns[found.column_of]
    return _scores(float(precision.sum() / n), float(recall.sum() / n))


def cluster_ratio(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Number of predicted clusters divided by the number of subjects; above 1 subjects are split.

    Raises ConfigError when the two differ in length or are empty.
    """
    found = _contingency(predicted, truth)
    return len(found.rows) / len(found.columns)


def largest_purity(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> Largest:
    """Size and purity (Zhao and Karypis, "Criterion functions for document clustering", 2001) of the largest cluster.

    Of several of that size, the least pure. Raises ConfigError when the two differ in length or are empty.
    """
    found = _contingency(predicted, truth)
    size = int(found.rows.max())
    return Largest(size, float(found.most[found.rows == size].min()) / size)


def group_agreement(
    predicted: npt.ArrayLike, truth: npt.ArrayLike, groups: Sequence[str | None]
) -> dict[str | None, GroupAgreement]:
    """Fragmentation and purity of each group, sorted by name; faces without a group (None) come last.

    `groups` holds the group of each face. Purity is judged by all faces of a cluster, whatever their groups.
    Where several subjects have the most faces of a cluster, a face of one of them counts as that fraction
    of a face, so that the shares of all groups together give the purity of the whole.
    Raises ConfigError when the three differ in length or are empty.
    """
    found = _contingency(predicted, truth)
    if len(groups) != len(found.cell):
        raise ConfigError(f"{len(groups)} groups for {len(found.cell)} faces: give one per face")
    is_most = found.cells == found.most[found.row_of]
    majority = is_most / np.bincount(found.row_of[is_most], minlength=len(found.rows))[found.row_of]
    precision = found.cells / found.rows[found.row_of]
    names: list[str | None] = [*sorted({g for g in groups if g is not None})]
    result: dict[str | None, GroupAgreement] = {}
    for name in [*names, *([None] if None in groups else [])]:
        cell = found.cell[np.array([g == name for g in groups])]
        faces = np.bincount(found.column_of[cell], minlength=len(found.columns))
        clusters = np.bincount(found.column_of[np.unique(cell)], minlength=len(found.columns))
        repeated = clusters[faces >= 2]
        result[name] = GroupAgreement(
            n_faces=len(cell),
            n_subjects=int(np.count_nonzero(faces)),
            n_repeated=len(repeated),
            n_clusters=int(repeated.sum()),
            n_whole=int(np.count_nonzero(repeated == 1)),
            majority_share=float(majority[cell].mean()),
            bcubed_precision=float(precision[cell].mean()),
        )
    return result


@dataclass(frozen=True)
class _Contingency:
    """Non-empty cells (cluster × subject), row and column totals, row and column of each cell, cell of each face."""

    cells: Int64
    rows: Int64
    columns: Int64
    row_of: Int64
    column_of: Int64
    cell: Int64

    @property
    def most(self) -> Int64:
        """Largest cell of each row."""
        most = np.zeros_like(self.rows)
        np.maximum.at(most, self.row_of, self.cells)
        return most


def _contingency(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> _Contingency:
    a, b = np.asarray(predicted).ravel(), np.asarray(truth).ravel()
    if len(a) != len(b):
        raise ConfigError(f"{len(a)} predicted labels for {len(b)} true ones: give one of each per face")
    if not len(a):
        raise ConfigError("no labels to compare: give at least one face")
    _, row = np.unique(a, return_inverse=True)
    _, column = np.unique(b, return_inverse=True)
    n_columns = int(column.max()) + 1
    key, cell, count = np.unique(row.astype(np.int64) * n_columns + column, return_inverse=True, return_counts=True)
    return _Contingency(count, np.bincount(row), np.bincount(column), key // n_columns, key % n_columns, cell)


def _pairs(counts: Int64) -> int:
    return sum(int(c) * (int(c) - 1) // 2 for c in counts[counts > 1])


def _scores(precision: float, recall: float) -> Scores:
    total = precision + recall
    return Scores(precision, recall, 2 * precision * recall / total if total else 0.0)
