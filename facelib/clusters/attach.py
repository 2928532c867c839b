"""Centroids of clusters, and unusable faces attached to the nearest one."""

from __future__ import annotations

import numpy as np

from facelib.clusters.neighbours import FloatArray, IntArray


def centroids(unit: FloatArray, labels: IntArray) -> FloatArray:
    """Direction of the mean of each cluster's unit embeddings, (clusters, d) float32; a zero mean stays zero.

    `unit` (n, d); `labels` (n,) int64 from 0 without gaps.
    """
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(int(labels.max()) + 1))
    sums = np.add.reduceat(unit[order].astype(np.float64), starts, axis=0)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, norms, where=norms > 0, out=np.zeros_like(sums)).astype(np.float32)


def attach(
    unit: FloatArray,
    image: IntArray,
    centre: FloatArray,
    labels: IntArray,
    core_image: IntArray,
    floor: float,
    tile: int,
) -> tuple[IntArray, FloatArray]:
    """Cluster (-1: none) and cosine to its centroid of each face outside the graph.

    `unit` (m, d) and `image` (m,) describe these faces, ordered by id; `labels` and `core_image` (n,)
    the faces in the graph. Faces are taken by falling similarity, so of two faces of one image that want
    the same cluster the more similar one gets it. Of equal similarities the earlier face comes first.
    """
    best, similarity = _most_similar(unit, centre, tile)
    cluster = np.full(len(unit), -1, np.int64)
    taken = set(zip(labels.tolist(), core_image.tolist(), strict=True))
    for i in np.argsort(-similarity, kind="stable").tolist():
        if not similarity[i] > floor:
            break
        place = (int(best[i]), int(image[i]))
        if place not in taken:
            taken.add(place)
            cluster[i] = best[i]
    return cluster, similarity


def _most_similar(unit: FloatArray, centre: FloatArray, tile: int) -> tuple[IntArray, FloatArray]:
    """Index of the most similar centroid of each row, and the cosine."""
    best = np.zeros(len(unit), np.int64)
    similarity = np.full(len(unit), -2.0, np.float32)
    for left in range(0, len(centre), tile):
        for top in range(0, len(unit), tile):
            rows = slice(top, top + tile)
            product = unit[rows] @ centre[left : left + tile].T
            column = product.argmax(axis=1)
            value = np.take_along_axis(product, column[:, None], 1)[:, 0]
            better = value > similarity[rows]
            best[rows] = np.where(better, column + left, best[rows])
            similarity[rows] = np.where(better, value, similarity[rows])
    return best, np.clip(similarity, -1, 1)
