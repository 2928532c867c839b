"""Every face's cluster and role, the accepted edges, and a summary that says how they came about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from facelib.clusters.attach import attach, centroids
from facelib.clusters.communities import communities
from facelib.clusters.floor import FloorEstimate, estimate_floor, fixed_floor
from facelib.clusters.graph import accepted_edges
from facelib.clusters.neighbours import (
    DoubleArray,
    Edges,
    FloatArray,
    IntArray,
    empty_histogram,
    knn_block,
    normalise,
    symmetric_union,
)
from facelib.clusters.settings import ClusterSettings
from facelib.errors import DegenerateResultError
from facelib.ids import cluster_id

LARGE_ENOUGH_TO_JUDGE = 100
"""Core faces from which `max_cluster_share` is enforced."""

CORE, ATTACHED, NOISE = "core", "attached", "noise"


@dataclass(frozen=True)
class ClusterSummary:
    """Counts of faces and clusters, and where the floor came from."""

    n_faces: int
    n_core: int
    n_attached: int
    n_noise: int
    n_clusters: int
    n_singletons: int
    """Clusters of one face, attached faces counted."""
    largest_cluster: int
    """Faces in the largest cluster, attached ones counted."""
    n_edges: int
    """Accepted edges: above the floor, between two images."""
    floor: FloorEstimate


@dataclass(frozen=True)
class Assignment:
    """Result of `assign`; both tables are ordered by their ids."""

    clusters: pa.Table
    """face_id, image_id, cluster_id, role, similarity_to_centroid, cluster_size: one row per face."""
    edges: pa.Table
    """face_a < face_b, similarity: one row per accepted edge."""
    summary: ClusterSummary


@dataclass(frozen=True)
class Neighbourhood:
    """Output of the tiled pass over the usable faces, in the order of `graph_order`."""

    edges: Edges
    histogram: DoubleArray
    """Every pair counted twice, as summed `knn_block` histograms are."""


def graph_order(face_ids: Sequence[str], is_usable: npt.ArrayLike) -> IntArray:
    """Positions of the usable faces by ascending face_id: the rows of the similarity graph."""
    return np.array(sorted(np.flatnonzero(np.asarray(is_usable, bool)).tolist(), key=face_ids.__getitem__), np.int64)


def neighbourhood(unit: FloatArray, settings: ClusterSettings) -> Neighbourhood:
    """The tiled pass over all rows at once; a cluster of machines does the same by blocks."""
    histogram = empty_histogram()
    found = knn_block(unit, unit, settings.neighbours, 0, tile=settings.tile, histogram=histogram)
    return Neighbourhood(symmetric_union(*found), histogram)


def assign(
    face_ids: Sequence[str],
    image_ids: Sequence[str],
    embeddings: npt.ArrayLike,
    is_usable: npt.ArrayLike,
    settings: ClusterSettings,
    precomputed: Neighbourhood | None = None,
) -> Assignment:
    """Cluster the faces of an archive.

    `embeddings` (n, d) of any length per row, one row per face; `is_usable` (n,) bool. Usable faces form
    the graph and found the clusters (role core; alone: a cluster of one). An unusable face joins the
    cluster with the most similar centroid when that exceeds the floor and no face of its image
    is there already (attached), else it is noise. A cluster's id is the digest of its core faces.
    `precomputed` saves the tiled pass; its rows are the faces in `graph_order`.
    The result does not depend on the order of the rows.

    Raises DegenerateResultError when there is nothing to cluster (no usable face, or embeddings
    that are not finite, all zero or all equal), and when one cluster holds more than
    `settings.max_cluster_share` of at least 100 core faces.
    """
    unit = normalise(embeddings)
    _check_lengths(face_ids, image_ids, unit, np.asarray(is_usable))
    order = graph_order(face_ids, is_usable)
    core = unit[order]
    _check_embeddings(len(face_ids), core)
    around = precomputed or neighbourhood(core, settings)
    image = np.unique(np.array(image_ids, dtype=np.str_), return_inverse=True)[1].astype(np.int64)
    floor = _floor(core, image[order], around, settings)
    labels = communities(len(core), *around.edges, floor.floor, image[order], settings)
    _check_largest(labels, floor, settings)
    centre = centroids(core, labels)

    cluster = np.full(len(unit), -1, np.int64)
    cluster[order] = labels
    similarity = np.zeros(len(unit), np.float32)
    similarity[order] = np.einsum("nd,nd->n", core, centre[labels])
    others = graph_order(face_ids, ~np.asarray(is_usable, bool))
    cluster[others], similarity[others] = attach(
        unit[others], image[others], centre, labels, image[order], floor.floor, settings.tile
    )
    accepted = accepted_edges(around.edges, floor.floor, image[order])
    clusters = _clusters_table(face_ids, image_ids, order, cluster, similarity)
    return Assignment(clusters, _edges_table(face_ids, order, accepted), _summary(cluster, order, accepted, floor))


def _check_lengths(
    face_ids: Sequence[str], image_ids: Sequence[str], unit: FloatArray, is_usable: npt.NDArray[np.generic]
) -> None:
    lengths = len(face_ids), len(image_ids), len(unit), len(is_usable)
    if len(set(lengths)) > 1:
        raise ValueError("face_ids, image_ids, embeddings and is_usable have {}, {}, {}, {} rows".format(*lengths))


def _check_embeddings(n_faces: int, core: FloatArray) -> None:
    if not len(core):
        raise DegenerateResultError(
            f"none of {n_faces} faces is usable, so there is nothing to cluster: "
            "check the images, or lower the limits that decide faces.is_usable"
        )
    if not core.any():
        raise DegenerateResultError(
            f"the embeddings of all {len(core)} usable faces are zero: check the embedding model and embed again"
        )
    if len(core) > 2 and (core == core[0]).all():
        raise DegenerateResultError(
            f"the embeddings of all {len(core)} usable faces are equal: check the embedding model and embed again"
        )


def _floor(core: FloatArray, image: IntArray, around: Neighbourhood, settings: ClusterSettings) -> FloorEstimate:
    if settings.floor is not None:
        return fixed_floor(settings.floor, len(core))
    return estimate_floor(core, around.edges, around.histogram, image, settings)


def _check_largest(labels: IntArray, floor: FloorEstimate, settings: ClusterSettings) -> None:
    n, largest = len(labels), int(np.bincount(labels).max())
    if n >= LARGE_ENOUGH_TO_JUDGE and largest > settings.max_cluster_share * n:
        raise DegenerateResultError(
            f"one cluster holds {largest} of {n} faces ({largest / n:.0%}) at cosine floor {floor.floor:.3f}, "
            f"more than cluster.max_cluster_share = {settings.max_cluster_share:g}: raise cluster.floor, or raise "
            "cluster.max_cluster_share if the archive is mostly of one person"
        )


def _clusters_table(
    face_ids: Sequence[str], image_ids: Sequence[str], order: IntArray, cluster: IntArray, similarity: FloatArray
) -> pa.Table:
    count = int(cluster.max()) + 1
    core_faces: list[list[str]] = [[] for _ in range(count)]
    for face in order.tolist():
        core_faces[cluster[face]].append(face_ids[face])
    names = [cluster_id(faces) for faces in core_faces]
    sizes = np.bincount(cluster[cluster >= 0], minlength=count)
    is_core = np.zeros(len(cluster), bool)
    is_core[order] = True
    rows = sorted(range(len(face_ids)), key=face_ids.__getitem__)
    label = [int(cluster[i]) for i in rows]
    known = [c >= 0 for c in label]
    return pa.table(
        {
            "face_id": pa.array([face_ids[i] for i in rows], pa.string()),
            "image_id": pa.array([image_ids[i] for i in rows], pa.string()),
            "cluster_id": pa.array([names[c] if c >= 0 else None for c in label], pa.string()),
            "role": pa.array(
                [CORE if is_core[i] else ATTACHED if k else NOISE for i, k in zip(rows, known, strict=True)],
                pa.string(),
            ),
            "similarity_to_centroid": pa.array(similarity[rows], pa.float32(), mask=~np.array(known)),
            "cluster_size": pa.array([int(sizes[c]) if c >= 0 else None for c in label], pa.int64()),
        }
    )


def _edges_table(face_ids: Sequence[str], order: IntArray, edges: Edges) -> pa.Table:
    ids = pa.array([face_ids[i] for i in order], pa.string())
    return pa.table(
        {"face_a": ids.take(pa.array(edges.u)), "face_b": ids.take(pa.array(edges.v)), "similarity": edges.cosine}
    )


def _summary(cluster: IntArray, order: IntArray, edges: Edges, floor: FloorEstimate) -> ClusterSummary:
    sizes = np.bincount(cluster[cluster >= 0])
    n_noise = int(np.count_nonzero(cluster < 0))
    return ClusterSummary(
        n_faces=len(cluster),
        n_core=len(order),
        n_attached=len(cluster) - len(order) - n_noise,
        n_noise=n_noise,
        n_clusters=len(sizes),
        n_singletons=int(np.count_nonzero(sizes == 1)),
        largest_cluster=int(sizes.max()),
        n_edges=len(edges.u),
        floor=floor,
    )
