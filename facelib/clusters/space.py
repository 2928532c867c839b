"""Faces as rows whose inner products are similarities, plain or corrected for each face's surroundings.

Plain similarity is the cosine of two embeddings. It means different things for different faces: where many people
look alike to the model (children, groups it saw little of, blurred faces), strangers are as similar as elsewhere
two photographs of one person. Corrected similarity measures the squared distance of two faces in units of what is
usual around each of them:

    s(a, b) = 1 - (1 - cos(a, b)) · w(a) · w(b)

The weight w of a face is large where its surroundings are crowded (see `facelib.clusters.cohort`). This is the local
scaling d²/(σ_a σ_b) of Zelnik-Manor and Perona, "Self-tuning spectral clustering", 2004. With weights of 1 it is the
cosine. Since s = 1 - w(a) w(b) + (w(a) a)·(w(b) b), two more columns make it an inner product:
`left` rows (w a, w, 1) with `right` rows (w b, -w, 1).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


class Space(NamedTuple):
    """`left` and `right`, both (n, columns) float32 C-contiguous: left[i] · right[j] is the similarity of i and j."""

    left: FloatArray
    right: FloatArray

    @classmethod
    def plain(cls, unit: FloatArray) -> Space:
        """Similarity is the cosine of the unit rows (n, d)."""
        return cls(unit, unit)

    @classmethod
    def corrected(cls, unit: FloatArray, weight: FloatArray) -> Space:
        """Similarity corrected by the weights (n,) of the faces with unit rows (n, d)."""
        n, d = unit.shape
        left = np.empty((n, d + 2), np.float32)
        np.multiply(unit, weight[:, None], out=left[:, :d])
        left[:, d], left[:, d + 1] = weight, 1
        right = left.copy()
        right[:, d] *= -1
        return cls(left, right)

    @property
    def faces(self) -> int:
        """Number of rows."""
        return len(self.left)

    def first(self, n: int) -> Space:
        """The first n rows, without copying them."""
        left = self.left[:n]
        return Space(left, left if self.right is self.left else self.right[:n])

    def only(self, rows: IntArray) -> Space:
        """Some of the rows."""
        left = self.left[rows]
        return Space(left, left if self.right is self.left else self.right[rows])

    def similarity(self, a: IntArray, b: IntArray) -> FloatArray:
        """Similarity of the pairs a[i], b[i], (m,): the same bits from either side and for every grouping."""
        found = np.empty(len(a), np.float32)
        for start in range(0, len(a), _PAIRS):
            part = slice(start, start + _PAIRS)
            np.einsum("nd,nd->n", self.left[a[part]], self.right[b[part]], out=found[part])
        return found

    def within(self, members: IntArray) -> FloatArray:
        """Similarities of all pairs among the members, each pair once, in no particular order."""
        block = self.left[members] @ self.right[members].T
        upper: FloatArray = block[np.triu_indices(len(members), 1)]
        return upper


_PAIRS = 1 << 16
