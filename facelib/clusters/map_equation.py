"""Communities of a weighted graph by the map equation."""

from __future__ import annotations

import numpy as np

from facelib.clusters.components import first_seen
from facelib.clusters.neighbours import Edges
from facelib.clusters.space import IntArray


def modules(n: int, edges: Edges, floor: float, seed: int) -> IntArray:
    """Module of each of n nodes, (n,) int64, numbered from 0 by the smallest node.

    Minimises the map equation (Rosvall, Axelsson and Bergstrom, "The map equation", 2009) by local
    moves as in the Louvain method, with edge weights similarity - floor; one thread and a fixed seed, so the
    same input gives the same modules. All components share one graph: with a codebook of its
    own, a large component is cut into more modules than its faces warrant. Sets the seed and the number
    of threads of networkit for the process.
    """
    import networkit as nk  # slow to load, and only clustering needs it

    has_edge = np.zeros(n, bool)
    has_edge[edges.u] = has_edge[edges.v] = True
    nodes, position = np.flatnonzero(has_edge), np.cumsum(has_edge) - 1
    labels = np.arange(n, dtype=np.int64)
    if len(nodes):
        nk.setNumberOfThreads(1)
        nk.setSeed(seed, False)
        graph = nk.Graph(len(nodes), weighted=True)
        ends = position[edges.u].astype(np.uint64), position[edges.v].astype(np.uint64)
        graph.addEdges((edges.similarity.astype(np.float64) - floor, ends))
        search = nk.community.LouvainMapEquation(graph, True, 32, "none")
        search.run()
        labels[nodes] = nodes[first_seen(np.array(search.getPartition().getVector(), np.int64))]
    return first_seen(labels)
