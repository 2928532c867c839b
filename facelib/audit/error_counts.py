"""Errors of all comparisons by subject and group, and their totals when subjects count several times.

A **node** is the faces of one subject in one group, or without a group. When subject s counts m(s) times, a mated
comparison of it counts m(s) times and a non-mated one of s and t m(s) · m(t) times: two copies of one subject
form no comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_array

from facelib.audit.labelled_pairs import LabelledFaces, tiles
from facelib.clusters.space import FloatArray, IntArray

Sparse = Any
"""A sparse array of scipy, which has no types."""


class Totals(NamedTuple):
    """Errors and comparisons by group in R weightings of the subjects; the last group holds the faces without one.

    Non-mated ones are (groups + 1, groups + 1, R) and symmetric: one face in each of two groups, or both in one. Mated
    ones are (groups + 1, R), with both faces in the group; `all_` ones, (R,), are of all faces.
    """

    false_matches: IntArray
    non_mated: IntArray
    false_non_matches: IntArray
    mated: IntArray

    @property
    def all_false_matches(self) -> IntArray:
        """Each comparison once."""
        return _once(self.false_matches)

    @property
    def all_non_mated(self) -> IntArray:
        """Each comparison once."""
        return _once(self.non_mated)


class ErrorCounts:
    """Comparisons of labelled faces and their errors at k thresholds, from one tiled pass.

    Memory: some 40 bytes for each non-mated comparison above the lowest threshold.
    """

    def __init__(self, faces: LabelledFaces, thresholds: Sequence[float]) -> None:
        self.n_subjects = faces.n_subjects
        n_groups = faces.n_groups + 1
        keys, node, self._sizes = np.unique(
            faces.group * self.n_subjects + faces.subject, return_inverse=True, return_counts=True
        )
        self._group, self._subject = np.divmod(keys, max(1, self.n_subjects))
        self._member = _matrix(self._group, np.arange(len(keys)), (n_groups, len(keys)))
        self._bounds = np.searchsorted(self._group, np.arange(n_groups + 1))
        faces_of = _matrix(faces.subject, faces.group, (self.n_subjects, n_groups))
        self._same_subject = [(faces_of * faces_of[:, [g]]).T.tocsr() for g in range(n_groups)]

        _, image = np.unique(faces.image, return_inverse=True)
        in_image = _matrix(image, node, (int(image.max(initial=-1)) + 1, len(keys)))
        together = (in_image.T @ in_image).tocoo()
        self._mated = (self._sizes**2 - together.diagonal()) // 2
        in_image_of = _matrix(image, faces.subject, (in_image.shape[0], self.n_subjects))
        self._all_mated = (np.bincount(faces.subject) ** 2 - (in_image_of**2).sum(axis=0)) // 2
        present = (faces_of > 0).astype(np.int64)
        self._present_together = (present.T @ present).toarray()
        strangers = self._subject[together.row] != self._subject[together.col]
        self._one_image = self._blocks(together.row[strangers], together.col[strangers], together.data[strangers])
        self._count_errors(faces, node, np.asarray(thresholds, np.float32))

    def _count_errors(self, faces: LabelledFaces, node: IntArray, levels: FloatArray) -> None:
        n_nodes = self.n_nodes
        matched: list[list[IntArray]] = [[] for _ in levels]
        self._missed = np.zeros((len(levels), n_nodes), np.int64)
        self._all_missed = np.zeros((len(levels), self.n_subjects), np.int64)
        for tile in tiles(faces):
            row, column = np.nonzero(tile.non_mated & (tile.similarity > levels.min()))
            similarity = tile.similarity[row, column]
            pair = node[tile.first][row] * n_nodes + node[tile.second][column]
            for i, level in enumerate(levels):
                matched[i].append(pair[similarity > level])
            row, column = np.nonzero(tile.mated)
            similarity = tile.similarity[row, column]
            first, second = node[tile.first][row], node[tile.second][column]
            for i, level in enumerate(levels):
                missed = similarity <= level
                self._missed[i] += np.bincount(first[missed & (first == second)], minlength=n_nodes)
                self._all_missed[i] += np.bincount(self._subject[first[missed]], minlength=self.n_subjects)
        self._matched = []
        for pairs in matched:
            found, count = np.unique(np.concatenate(pairs), return_counts=True)
            first, second = np.divmod(found, n_nodes)
            both_ways = (np.concatenate(ends) for ends in ((first, second), (second, first), (count, count)))
            self._matched.append(self._blocks(*both_ways))

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self._sizes)

    @property
    def unrelated_non_mated(self) -> IntArray:
        """How many comparisons of two groups, (groups + 1, groups + 1), can be had of which no two share a subject."""
        subjects = self._present_together.diagonal()
        either = subjects[:, None] + subjects - self._present_together
        found: IntArray = np.minimum(np.minimum(subjects[:, None], subjects), either // 2)
        return found

    def mated_by_subject(self, threshold: int) -> tuple[IntArray, IntArray]:
        """False non-matches at the threshold of that index, and mated comparisons, (groups + 1, subjects) each.

        The last row is of all faces, whatever their groups.
        """
        found = []
        for by_node, of_all in ((self._missed[threshold], self._all_missed[threshold]), (self._mated, self._all_mated)):
            rows = np.zeros((len(self._bounds) - 1, self.n_subjects), np.int64)
            rows[self._group, self._subject] = by_node
            rows[-1] = of_all
            found.append(rows)
        return found[0], found[1]

    def totals(self, threshold: int, times: IntArray) -> Totals:
        """At the threshold of that index; `times` (subjects, R) is how often each subject counts in each weighting."""
        node_times = times[self._subject]
        weight = self._member @ (self._sizes[:, None] * node_times)
        own = np.stack([same @ times**2 for same in self._same_subject])
        non_mated = weight[:, None] * weight - own - self._between(self._one_image, node_times)
        return Totals(
            false_matches=_unordered(self._between(self._matched[threshold], node_times)),
            non_mated=_unordered(non_mated),
            false_non_matches=self._member @ (self._missed[threshold][:, None] * node_times),
            mated=self._member @ (self._mated[:, None] * node_times),
        )

    def _blocks(self, row: IntArray, column: IntArray, count: IntArray) -> list[Sparse]:
        """The symmetric (nodes, nodes) array of these counts, cut into the columns of each group."""
        whole = coo_array((count, (row, column)), shape=(self.n_nodes, self.n_nodes)).tocsc()
        return [whole[:, a:b].tocsr() for a, b in zip(self._bounds[:-1], self._bounds[1:], strict=True)]

    def _between(self, blocks: list[Sparse], node_times: IntArray) -> IntArray:
        """Weighted counts by the groups of row and column, (groups + 1, groups + 1, R)."""
        spans = zip(self._bounds[:-1], self._bounds[1:], strict=True)
        parts = [(block @ node_times[a:b]) * node_times for block, (a, b) in zip(blocks, spans, strict=True)]
        return np.stack([self._member @ part for part in parts], axis=1)


def _matrix(row: IntArray, column: IntArray, shape: tuple[int, int]) -> Sparse:
    """How often each (row, column) occurs."""
    return coo_array((np.ones(len(row), np.int64), (row, column)), shape=shape).tocsr()


def _unordered(ordered: IntArray) -> IntArray:
    """Of pairs counted from both ends: within a group they were counted twice."""
    counts = ordered.copy()
    within = np.arange(len(counts))
    counts[within, within] //= 2
    return counts


def _once(symmetric: IntArray) -> IntArray:
    """Sum over all pairs of groups, each once."""
    row, column = np.triu_indices(len(symmetric))
    total: IntArray = symmetric[row, column].sum(axis=0)
    return total
