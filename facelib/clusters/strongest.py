"""The most similar pairs of each row, from candidates that come in parts."""

from __future__ import annotations

import numpy as np

from facelib.clusters.space import FloatArray, IntArray, Space

BELOW_ALL = -8.0
"""Below every similarity: with weights up to 2 the least is 1 - 2 · 2 · 2 = -7."""
SPARE = 8
"""Candidates kept beyond those wanted until their similarities are recomputed, so that rounding cannot decide the
set."""
ROUNDING = 1e-4
"""A product may differ from the similarity by less than this."""


class Strongest:
    """The `size` largest values above `least` of each row."""

    def __init__(self, rows: int, size: int, least: float = BELOW_ALL) -> None:
        self.bar: FloatArray = np.full(rows, least, np.float32)
        """Values (rows,) that a candidate must exceed to count; they rise as better ones come."""
        self._size = size
        self._row = np.empty(0, np.int64)
        self._column = np.empty(0, np.int64)
        self._value = np.empty(0, np.float32)
        self._added: list[tuple[IntArray, IntArray, FloatArray]] = []
        self._pending = 0

    def offer(self, similarity: FloatArray, left: int) -> None:
        """Candidates of all rows, (rows, columns); `left` is the index of column 0."""
        rows, columns = similarity.shape
        if not len(self._value) and not self._added and columns > self._size > 0:
            column = np.argpartition(similarity, -self._size, axis=1)[:, -self._size :]
            flat = (column + np.arange(rows)[:, None] * columns).ravel()
        else:
            flat = np.flatnonzero(similarity > self.bar[:, None])
        row, column = np.divmod(flat, columns)
        self.add(row, column + left, similarity.ravel()[flat])

    def add(self, row: IntArray, column: IntArray, value: FloatArray) -> None:
        """Candidates (m,) that exceed their row's bar; the same row and column must not come twice."""
        self._added.append((row, column, value))
        self._pending += len(row)
        if self._pending > 2 * len(self.bar) * self._size:
            self._prune()

    def pairs(self) -> tuple[IntArray, IntArray]:
        """Rows and columns, by row and falling value."""
        self._prune()
        return self._row, self._column

    def _prune(self) -> None:
        parts = [(self._row, self._column, self._value), *self._added]
        row, column, value = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(-4.0 * BELOW_ALL * row - value)  # by row, then falling value
        counts = np.bincount(row, minlength=len(self.bar))
        rank = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        order = order[rank < self._size]
        self._row, self._column, self._value = row[order], column[order], value[order]
        full = np.flatnonzero(counts >= self._size)
        if self._size:
            self.bar[full] = self._value[np.cumsum(np.minimum(counts, self._size))[full] - 1]
        self._added, self._pending = [], 0


def ranked(space: Space, a: IntArray, b: IntArray, floor: float, most: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Of the different candidates a[i], b[i] those whose similarity, at most 1, exceeds the floor and is among the
    `most` largest of a's: a, b and similarity, by a, falling similarity and b. A face's pair with itself is left
    out."""
    similarity = np.minimum(space.similarity(a, b), 1)
    order = np.lexsort((b, -similarity, a))
    order = order[(a[order] != b[order]) & (similarity[order] > floor)]
    a, b, similarity = a[order], b[order], similarity[order]
    strongest = np.arange(len(a)) - np.searchsorted(a, a) < most
    return a[strongest], b[strongest], similarity[strongest]
