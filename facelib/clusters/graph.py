"""The similarity graph: which edges count, and its connected components."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from facelib.clusters.neighbours import Edges
from facelib.clusters.space import IntArray


def accepted_edges(edges: Edges, floor: float, image_of_face: npt.NDArray[np.generic]) -> Edges:
    """Edges with similarity > floor whose faces come from two images.

    Two faces in one photograph are two people: no similarity joins them directly.
    `image_of_face` (n,) holds the image of each face, integers or strings.
    """
    keep = (edges.similarity > floor) & (image_of_face[edges.u] != image_of_face[edges.v])
    return Edges(edges.u[keep], edges.v[keep], edges.similarity[keep])


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
