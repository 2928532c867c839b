"""Connected components in memory, and the numbering of partitions."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from facelib.clusters.space import IntArray


def components(n: int, u: IntArray, v: IntArray) -> IntArray:
    """Connected component of each of n nodes, (n,) int64, numbered from 0 by smallest node."""
    graph = coo_array((np.ones(len(u), bool), (u, v)), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    return first_seen(labels.astype(np.int64))


def first_seen(labels: IntArray) -> IntArray:
    """The same partition, numbered from 0 in order of first occurrence."""
    _, first, dense = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[dense]
