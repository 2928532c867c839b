"""Units counted by all their attributes at once, from which every table of some of the attributes follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class JointCounts:
    """How many units have each combination of values that occurs.

    `codes` (m, k) int64: position of the value in the attribute's declared categories, its number of categories for a
    missing value. `n` (m,) int64: units; a combination may stand in several rows.
    """

    categories: Mapping[str, Sequence[str]]
    """Declared categories of each of the k attributes, in the order of the columns of `codes`."""
    codes: IntArray
    n: IntArray

    def __post_init__(self) -> None:
        sizes = np.array([len(c) for c in self.categories.values()], np.int64)
        if self.codes.shape != (len(self.n), len(sizes)) or (self.codes < 0).any() or (self.codes > sizes).any():
            raise ConfigError("the counts of the audit do not fit the declared categories: count them again")

    @classmethod
    def counted(cls, categories: Mapping[str, Sequence[str]], codes: IntArray) -> JointCounts:
        """Units with these codes (units, k), each combination in one row, sorted."""
        if not codes.size:  # np.unique knows no rows without columns
            return cls(categories, codes[:1].astype(np.int64), np.full(len(codes[:1]), len(codes), np.int64))
        rows, n = np.unique(codes, axis=0, return_counts=True)
        return cls(categories, rows.astype(np.int64), n.astype(np.int64))

    def merged(self, other: JointCounts) -> JointCounts:
        """The units of both, each combination in one row, sorted."""
        codes, counts = np.concatenate([self.codes, other.codes]), np.concatenate([self.n, other.n])
        if not codes.size:
            return JointCounts(self.categories, codes[:1], counts.sum(keepdims=True)[: len(codes)])
        rows, at = np.unique(codes, axis=0, return_inverse=True)
        n = np.zeros(len(rows), np.int64)
        np.add.at(n, at.ravel(), counts)
        return JointCounts(self.categories, rows, n)

    @property
    def units(self) -> int:
        """All units."""
        return int(self.n.sum())

    def table(self, *attributes: str) -> IntArray:
        """Counts of one attribute or of several together, one axis each: shape (S₁ + 1, …), missing last."""
        names = list(self.categories)
        shape = tuple(len(self.categories[a]) + 1 for a in attributes)
        cell = np.ravel_multi_index([self.codes[:, names.index(a)] for a in attributes], shape)
        found = np.zeros(int(np.prod(shape)), np.int64)
        np.add.at(found, cell, self.n)
        return found.reshape(shape)

    def of(self, *attributes: str) -> JointCounts:
        """The same units by some of the attributes."""
        columns = [list(self.categories).index(a) for a in attributes]
        return JointCounts({a: self.categories[a] for a in attributes}, self.codes[:, columns], self.n)


def attribute_sets(attributes: Sequence[str], triples: Sequence[tuple[str, ...]] = ()) -> list[tuple[str, ...]]:
    """The sets that are audited: single attributes, then all pairs, then the chosen triples."""
    return [*((a,) for a in attributes), *combinations(attributes, 2), *triples]
