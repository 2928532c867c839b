"""Other ways to cluster the same embeddings. All take `Points` and a distance, and return integer labels (n,)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import DBSCAN

from facelib.errors import ConfigError

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Points:
    """Embeddings float32 (n, d), as the network gives them."""

    vectors: Vectors

    @cached_property
    def distances(self) -> npt.NDArray[np.float64]:
        """All Euclidean distances (n, n); exactly symmetric, 0 on the diagonal."""
        wide = self.vectors.astype(np.float64)
        square = (wide**2).sum(axis=1)
        found = np.sqrt(np.maximum(square[:, None] + square - 2 * wide @ wide.T, 0))
        np.fill_diagonal(found, 0)
        return np.maximum(found, found.T)


def components(points: Points, threshold: float) -> Labels:
    """Connected components of the graph of pairs closer than `threshold`."""
    return connected_components(csr_matrix(points.distances < threshold), directed=False)[1].astype(np.int64)


def dbscan(points: Points, threshold: float) -> Labels:
    """DBSCAN of at least two samples; noise becomes clusters of one."""
    found = DBSCAN(eps=threshold, min_samples=2, metric="precomputed").fit_predict(points.distances)
    noise = np.flatnonzero(found == -1)
    found[noise] = found.max() + 1 + np.arange(len(noise))
    return found.astype(np.int64)


def chinese_whispers(points: Points, threshold: float) -> Labels:
    """dlib's Chinese Whispers on pairs closer than `threshold`; ConfigError when dlib is missing."""
    try:
        import dlib
    except ImportError:
        raise ConfigError("this benchmark compares with dlib, which is missing: pip install dlib-bin") from None
    descriptors = [dlib.vector(v) for v in points.vectors.astype(np.float64).tolist()]
    return np.array(dlib.chinese_whispers_clustering(descriptors, threshold), np.int64)
