"""From edges to clusters: the map equation, then no two faces of one image together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facelib.clusters.graph import IntArray, accepted_edges, first_seen
from facelib.clusters.neighbours import Edges, FloatArray
from facelib.clusters.settings import ClusterSettings


def communities(
    n: int,
    u: IntArray,
    v: IntArray,
    cos: FloatArray,
    floor: float,
    image_of_face: npt.NDArray[np.generic],
    settings: ClusterSettings,
) -> IntArray:
    """Cluster of each of n faces, (n,) int64, numbered from 0 by the smallest face; isolated faces are alone.

    Edges (u, v) with cosine > `floor` between faces of two images count, with weight cosine - floor.
    Give the faces sorted by id, so that the result does not depend on their order of arrival.
    """
    edges = accepted_edges(Edges(u, v, cos), floor, image_of_face)
    return first_seen(separate_images(modules(n, edges, floor, settings.seed), edges, image_of_face))


def modules(n: int, edges: Edges, floor: float, seed: int) -> IntArray:
    """Module of each of n nodes, (n,) int64, numbered from 0 by the smallest node.

    Minimises the map equation (Rosvall, Axelsson and Bergstrom, "The map equation", 2009) by local
    moves as in the Louvain method, with edge weights cosine - floor; one thread and a fixed seed, so the
    same input gives the same modules. All components share one graph: with a codebook of its
    own, a large component is cut into more modules than its faces warrant. Sets the seed and the number
    of threads of networkit for the process.
    """
    import networkit as nk  # slow to load, and only clustering needs it

    nodes, position = np.unique(np.concatenate((edges.u, edges.v)), return_inverse=True)
    labels = np.arange(n, dtype=np.int64)
    if len(nodes):
        nk.setNumberOfThreads(1)
        nk.setSeed(seed, False)
        graph = nk.Graph(len(nodes), weighted=True)
        ends = position.astype(np.uint64)
        graph.addEdges((edges.cosine.astype(np.float64) - floor, (ends[: len(edges.u)], ends[len(edges.u) :])))
        search = nk.community.LouvainMapEquation(graph, True, 32, "none")
        search.run()
        labels[nodes] = nodes[first_seen(np.array(search.getPartition().getVector(), np.int64))]
    return first_seen(labels)


def separate_images(labels: IntArray, edges: Edges, image_of_face: npt.NDArray[np.generic]) -> IntArray:
    """Divide every cluster that holds two faces of one image; the others keep their label.

    The cluster is rebuilt from its edges, most similar first; an edge that would bring two faces of one
    image together is passed over (Kruskal's construction under cannot-link constraints). So the face
    with the stronger ties keeps its place, and faces cut off together stay together.
    `labels` (n,) int64, 0 or more; new parts get labels from the largest one on.
    """
    _, image = np.unique(image_of_face, return_inverse=True)
    conflicted = _labels_with_repeated_image(labels, image)
    result = labels.copy()
    free = int(labels.max()) + 1 if len(labels) else 0
    inside = (labels[edges.u] == labels[edges.v]) & np.isin(labels[edges.u], conflicted)
    u, v, cosine = (column[inside] for column in edges)
    order = np.lexsort((v, u, -cosine, labels[u]))
    u, v = u[order], v[order]
    starts, stops = (np.searchsorted(labels[u], conflicted, side=side) for side in ("left", "right"))
    by_label = np.argsort(labels, kind="stable")
    first, last = (np.searchsorted(labels[by_label], conflicted, side=side) for side in ("left", "right"))
    for i in range(len(conflicted)):
        members = by_label[first[i] : last[i]]
        result[members] = free + _kruskal(members, u[starts[i] : stops[i]], v[starts[i] : stops[i]], image)
        free += len(members)
    return result


def _labels_with_repeated_image(labels: IntArray, image: IntArray) -> IntArray:
    """Labels, ascending, under which an image has two faces or more."""
    order = np.lexsort((image, labels))
    label, image = labels[order], image[order]
    repeated: IntArray = np.unique(label[1:][(label[1:] == label[:-1]) & (image[1:] == image[:-1])])
    return repeated


def _kruskal(members: IntArray, u: IntArray, v: IntArray, image: IntArray) -> IntArray:
    """Part of each member, in 0 … members - 1, joining along the edges in order unless images would meet."""
    part_of = {int(face): i for i, face in enumerate(members)}
    images = [{int(i)} for i in image[members]]
    faces = [[int(face)] for face in members]
    for a, b in zip(u.tolist(), v.tolist(), strict=True):
        x, y = part_of[a], part_of[b]
        if x == y or not images[x].isdisjoint(images[y]):
            continue
        if len(faces[x]) < len(faces[y]):
            x, y = y, x
        for face in faces[y]:
            part_of[face] = x
        images[x] |= images[y]
        faces[x] += faces[y]
    return np.array([part_of[int(face)] for face in members], np.int64)
