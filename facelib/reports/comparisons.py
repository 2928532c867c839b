"""Every comparison of a set of faces once, by tiled products: what is kept of them, and counts at fixed thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

GRID: Floats = (np.arange(401) / 200 - 1).astype(np.float32)
"""Thresholds of the ROC, -1 to 1 in steps of 0.005 cosine."""
_TILE = 1024


@dataclass(frozen=True)
class RocPoint:
    """Counts of the pairs above a threshold."""

    threshold: float
    false_matches: int
    true_matches: int


@dataclass(frozen=True)
class Comparisons:
    """The mated cosines, all, and the largest non-mated ones, both falling, with the subjects of each pair."""

    mated: Floats
    mated_subject: Ints
    non_mated: Floats
    first: Ints
    second: Ints
    roc: list[RocPoint]


def compare_all(unit: Floats, subject: Ints, keep: int) -> Comparisons:
    """All pairs of rows by tiled products: mated cosines, the `keep` largest non-mated ones, and counts on GRID.

    `subject` (n,) holds small integers. Memory: some 30 bytes for each mated pair and 60 for each kept one.
    """
    mated: list[Floats] = []
    mated_subject: list[Ints] = []
    top = _Largest(keep)
    false = np.zeros(len(GRID), np.int64)
    for cosine, first, second in _tiles(unit, subject):
        same = first == second
        mated.append(cosine[same])
        mated_subject.append(first[same])
        cosine, first, second = cosine[~same], first[~same], second[~same]
        false += _above(cosine)
        top.offer(cosine, first, second)
    values, owners = np.concatenate(mated), np.concatenate(mated_subject)
    order = np.argsort(-values, kind="stable")
    true = _above(values)
    counts = zip(GRID.astype(np.float64).round(3).tolist(), false.tolist(), true.tolist(), strict=True)
    return Comparisons(values[order], owners[order], *top.falling(), _trimmed([RocPoint(*c) for c in counts]))


def _tiles(unit: Floats, subject: Ints) -> Iterator[tuple[Floats, Ints, Ints]]:
    """Cosines of every pair once, and the subjects of its first and second face."""
    n = len(unit)
    for top in range(0, n, _TILE):
        rows = slice(top, top + _TILE)
        for left in range(top, n, _TILE):
            columns = slice(left, left + _TILE)
            cosine = np.clip(unit[rows] @ unit[columns].T, -1, 1)
            first, second = np.broadcast_arrays(subject[rows][:, None], subject[columns])
            pairs = np.triu(np.ones(cosine.shape, bool), 1) if left == top else np.ones(cosine.shape, bool)
            yield cosine[pairs], first[pairs], second[pairs]


def _above(cosine: Floats) -> Ints:
    """How many values are greater than each threshold of GRID."""
    return len(cosine) - np.searchsorted(np.sort(cosine), GRID, side="right")


def _trimmed(roc: list[RocPoint]) -> list[RocPoint]:
    """Without the thresholds below or above all pairs, but for the last and the first of them."""
    counts = [(p.false_matches, p.true_matches) for p in roc]
    begin = max(i for i, c in enumerate(counts) if c == counts[0])
    end = min(i for i, c in enumerate(counts) if c == counts[-1])
    return roc[begin : end + 1]


class _Largest:
    """The `keep` largest cosines of those offered; of equal ones at the end, some."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._parts: list[tuple[Floats, Ints, Ints]] = []
        self._pending = 0
        self._bar = np.float32(-np.inf)

    def offer(self, cosine: Floats, first: Ints, second: Ints) -> None:
        chosen = np.flatnonzero(cosine > self._bar)
        self._parts.append((cosine[chosen], first[chosen], second[chosen]))
        self._pending += len(chosen)
        if self._pending > 3 * self._keep:
            self._parts = [self.falling()]
            self._pending = len(self._parts[0][0])
            self._bar = self._parts[0][0][-1]

    def falling(self) -> tuple[Floats, Ints, Ints]:
        """Cosines in falling order, and the subjects of each."""
        cosine, first, second = (np.concatenate(p) for p in zip(*self._parts, strict=True))
        order = np.argsort(-cosine, kind="stable")[: self._keep]
        return cosine[order], first[order], second[order]
