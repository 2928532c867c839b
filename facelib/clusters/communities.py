"""From edges to clusters: the map equation inside each component, then no two faces of one image together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from facelib.clusters.graph import IntArray, accepted_edges, components, first_seen
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
    Each connected component is divided by the map equation (Rosvall, Axelsson and Bergstrom, "The map
    equation", 2009), minimised by local moves as in the Louvain method, one thread, seeded by
    `settings.seed` anew for each component: the result depends on the component alone.
    Give the faces sorted by id, so that it does not depend on their order of arrival either.
    """
    edges = accepted_edges(Edges(u, v, cos), floor, image_of_face)
    weight = edges.cosine.astype(np.float64) - floor
    component = components(n, edges.u, edges.v)
    labels = np.arange(n, dtype=np.int64)
    for members, inside in _groups(component, edges):
        position = edges.u[inside], edges.v[inside]
        if len(members) == 2:
            labels[members] = members[0]
        elif len(members) > 2:
            local = np.searchsorted(members, position[0]), np.searchsorted(members, position[1])
            modules = _map_equation(len(members), local[0], local[1], weight[inside], settings.seed)
            labels[members] = members[modules]
    return first_seen(separate_images(labels, edges, image_of_face))


def separate_images(labels: IntArray, edges: Edges, image_of_face: npt.NDArray[np.generic]) -> IntArray:
    """Divide every cluster that holds two faces of one image; the others keep their label.

    The cluster is rebuilt from its edges, most similar first; an edge that would bring two faces of one
    image together is passed over (Kruskal's construction under cannot-link constraints). So the face
    with the stronger ties keeps its place, and faces cut off together stay together.
    `labels` (n,) are face indices or any int64 below n; returns labels of the same range.
    """
    _, image = np.unique(image_of_face, return_inverse=True)
    same_cluster = labels[edges.u] == labels[edges.v]
    inner = Edges(edges.u[same_cluster], edges.v[same_cluster], edges.cosine[same_cluster])
    result = labels.copy()
    for members, inside in _groups(labels, inner):
        if len(np.unique(image[members])) < len(members):
            order = inside[np.lexsort((inner.v[inside], inner.u[inside], -inner.cosine[inside]))]
            result[members] = _kruskal(members, inner.u[order], inner.v[order], image)
    return result


def _kruskal(members: IntArray, u: IntArray, v: IntArray, image: IntArray) -> IntArray:
    """Smallest face of each member's part, joining along the edges in order unless images would meet."""
    root = {int(face): int(face) for face in members}
    images = {int(face): {int(image[face])} for face in members}
    faces = {int(face): [int(face)] for face in members}
    for a, b in zip(u.tolist(), v.tolist(), strict=True):
        x, y = root[a], root[b]
        if x == y or not images[x].isdisjoint(images[y]):
            continue
        if len(faces[x]) < len(faces[y]):
            x, y = y, x
        for face in faces[y]:
            root[face] = x
        images[x] |= images.pop(y)
        faces[x] += faces.pop(y)
    return np.array([min(faces[root[int(face)]]) for face in members], np.int64)


def _groups(labels: IntArray, edges: Edges) -> Iterator[tuple[IntArray, IntArray]]:
    """Of each label, its faces (ascending) and the positions of its edges, which lie within one label."""
    count = int(labels.max()) + 1 if len(labels) else 0
    face_order = np.argsort(labels, kind="stable")
    edge_label = labels[edges.u]
    edge_order = np.argsort(edge_label, kind="stable")
    face_end = np.cumsum(np.bincount(labels, minlength=count))
    edge_end = np.cumsum(np.bincount(edge_label, minlength=count))
    face_start = edge_start = 0
    for face_stop, edge_stop in zip(face_end.tolist(), edge_end.tolist(), strict=True):
        if edge_stop > edge_start:
            yield face_order[face_start:face_stop], edge_order[edge_start:edge_stop]
        face_start, edge_start = face_stop, edge_stop


def _map_equation(n: int, u: IntArray, v: IntArray, weight: npt.NDArray[np.float64], seed: int) -> IntArray:
    """Module of each node of a connected graph, numbered from 0."""
    import networkit as nk  # slow to load, and only clustering needs it

    nk.setNumberOfThreads(1)
    nk.setSeed(seed, False)
    graph = nk.Graph(n, weighted=True)
    graph.addEdges((weight, (u.astype(np.uint64), v.astype(np.uint64))))
    search = nk.community.LouvainMapEquation(graph, True, 32, "none")
    search.run()
    return first_seen(np.array(search.getPartition().getVector(), np.int64))
