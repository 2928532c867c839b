"""Clusters and edges as tables under their contracts, without the run's id."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from facelib.clusters.neighbours import Edges, unique_edges
from facelib.clusters.space import FloatArray, IntArray
from facelib.ids import cluster_id

CORE, ATTACHED, NOISE = "core", "attached", "noise"
_EDGES_PER_CHUNK = 1_000_000
"""Arrow's string arrays hold 2 GiB each."""


def clusters_table(
    face_ids: Sequence[str],
    image_ids: Sequence[str],
    is_core: npt.NDArray[np.bool_],
    cluster: IntArray,
    similarity: FloatArray,
    weight: FloatArray,
    in_cohort: npt.NDArray[np.bool_],
) -> pa.Table:
    """One row per face, in the given order. `cluster` (n,): -1 for none; `similarity` (n,): cosine to its centroid;
    `weight` (n,), used for core faces only; `in_cohort` (n,)."""
    core = np.flatnonzero(is_core)
    order = core[np.argsort(cluster[core], kind="stable")]
    starts = np.searchsorted(cluster[order], np.arange(int(cluster.max()) + 2))
    members = [face_ids[i] for i in order.tolist()]
    names = pa.array([cluster_id(members[a:b]) for a, b in pairwise(starts)], pa.string())
    outside = cluster < 0
    sizes = np.bincount(cluster[~outside], minlength=len(names))
    role = np.where(is_core, 0, np.where(outside, 2, 1))
    return pa.table(
        {
            "face_id": pa.array(face_ids, pa.string()),
            "image_id": pa.array(image_ids, pa.string()),
            "cluster_id": names.take(pa.array(cluster, mask=outside)),
            "role": pa.array([CORE, ATTACHED, NOISE]).take(pa.array(role)),
            "similarity_to_centroid": pa.array(np.clip(similarity, -1, 1), pa.float32(), mask=outside),
            "cluster_size": pa.array(sizes[cluster], pa.int64(), mask=outside),
            "weight": pa.array(weight, pa.float32(), mask=~is_core),
            "is_cohort": pa.array(in_cohort),
        }
    )


def edges_table(face_ids: Sequence[str], edges: Edges) -> pa.Table:
    """One row per edge, with face_a < face_b, by ascending face_a, face_b."""
    unsorted = pa.array(face_ids, pa.string())
    order = pc.array_sort_indices(unsorted)
    rank = np.empty(len(face_ids), np.int64)
    rank[order.to_numpy()] = np.arange(len(face_ids))
    ids, edges = unsorted.take(order), unique_edges(rank[edges.u], rank[edges.v], edges.similarity)
    parts = [
        pa.table(
            {
                "face_a": ids.take(pa.array(edges.u[rows])),
                "face_b": ids.take(pa.array(edges.v[rows])),
                "similarity": edges.similarity[rows],
            }
        )
        for rows in (slice(i, i + _EDGES_PER_CHUNK) for i in range(0, max(1, len(edges.u)), _EDGES_PER_CHUNK))
    ]
    return pa.concat_tables(parts)
