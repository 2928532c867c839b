"""Centroids of clusters, and unusable faces attached to the nearest one."""

from __future__ import annotations

import numpy as np

from facelib.clusters.space import FloatArray, IntArray, Space


def centroids(unit: FloatArray, labels: IntArray) -> FloatArray:
    """Direction of the mean of each cluster's unit embeddings, (clusters, d) float32; a zero mean stays zero.

    `unit` (n, d); `labels` (n,) int64 from 0 without gaps.
    """
    sums = _sums(unit, labels)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, norms, where=norms > 0, out=np.zeros_like(sums)).astype(np.float32)


def centroid_space(centre: FloatArray, weight: FloatArray, labels: IntArray) -> Space:
    """Centroids (clusters, d) as rows of the space of faces with these weights (n,): each weighs its members' mean."""
    mean = _sums(weight[:, None], labels)[:, 0] / np.bincount(labels)
    return Space.corrected(centre, mean.astype(np.float32))


def _sums(rows: FloatArray, labels: IntArray) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(int(labels.max()) + 1))
    return np.add.reduceat(rows[order].astype(np.float64), starts, axis=0)


def attach(
    faces: Space,
    image: IntArray,
    centre: Space,
    labels: IntArray,
    core_image: IntArray,
    threshold: float,
    tile: int,
) -> IntArray:
    """Cluster (-1: none) of each face outside the graph.

    `faces` and `image` (m,) describe these faces, ordered by id; `labels` and `core_image` (n,)
    the faces in the graph. Faces are taken by falling similarity, so of two faces of one image that want
    the same cluster the more similar one gets it. Of equal similarities the earlier face comes first.
    """
    best, similarity = _most_similar(faces, centre, tile)
    cluster = np.full(faces.faces, -1, np.int64)
    taken = set(zip(labels.tolist(), core_image.tolist(), strict=True))
    for i in np.argsort(-similarity, kind="stable").tolist():
        if not similarity[i] > threshold:
            break
        place = (int(best[i]), int(image[i]))
        if place not in taken:
            taken.add(place)
            cluster[i] = best[i]
    return cluster


def _most_similar(faces: Space, centre: Space, tile: int) -> tuple[IntArray, FloatArray]:
    """Index of the most similar centroid of each face, and the similarity."""
    best = np.zeros(faces.faces, np.int64)
    similarity = np.full(faces.faces, -np.inf, np.float32)
    for left in range(0, centre.faces, tile):
        for top in range(0, faces.faces, tile):
            rows = slice(top, top + tile)
            product = faces.left[rows] @ centre.right[left : left + tile].T
            column = product.argmax(axis=1)
            value = np.take_along_axis(product, column[:, None], 1)[:, 0]
            better = value > similarity[rows]
            best[rows] = np.where(better, column + left, best[rows])
            similarity[rows] = np.where(better, value, similarity[rows])
    return best, similarity
