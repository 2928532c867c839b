"""Peers of the benchmark `planted`.

Clusterings take unit rows float32 (n, d) and a Euclidean distance, and return labels (n,).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from facelib.clusters.agreement import pairwise_scores
from facelib.demo.planted_embeddings import Planted

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Keys = npt.NDArray[np.int64]
JUDGED = 1000
_JUDGED_AT_ONCE = 64
_ORACLE_FACES = 2000
_ROWS = 512


def dbscan(unit: Vectors, distance: float) -> Labels:
    """scikit-learn's DBSCAN of at least two samples, two jobs; noise becomes clusters of one."""
    from sklearn.cluster import DBSCAN

    return _alone(DBSCAN(eps=distance, min_samples=2, n_jobs=2).fit_predict(unit))


def hdbscan(unit: Vectors, distance: float) -> Labels:
    """scikit-learn's HDBSCAN of at least two faces per cluster, which takes no distance."""
    return _hdbscan(unit, 2)


def hdbscan_default(unit: Vectors, distance: float) -> Labels:
    """scikit-learn's HDBSCAN at its defaults: at least five faces per cluster."""
    return _hdbscan(unit, 5)


def _hdbscan(unit: Vectors, least: int) -> Labels:
    from sklearn.cluster import HDBSCAN

    return _alone(HDBSCAN(min_cluster_size=least, n_jobs=2, copy=True).fit_predict(unit))


def chinese_whispers(unit: Vectors, distance: float) -> Labels:
    """dlib's Chinese Whispers on pairs closer than the distance."""
    import dlib

    descriptors = [dlib.vector(v) for v in unit.astype(np.float64).tolist()]
    return np.array(dlib.chinese_whispers_clustering(descriptors, distance), np.int64)


def average_linkage(unit: Vectors, distance: float) -> Labels:
    """SciPy's average linkage of all Euclidean distances, cut at the distance."""
    return fcluster(linkage(unit, "average"), distance, "distance").astype(np.int64)


PEERS: dict[str, Callable[[Vectors, float], Labels]] = {
    "DBSCAN, min_samples 2 (scikit-learn)": dbscan,
    "HDBSCAN, min_cluster_size 2 (scikit-learn)": hdbscan,
    "HDBSCAN, defaults (scikit-learn)": hdbscan_default,
    "Chinese Whispers (dlib)": chinese_whispers,
    "average linkage (SciPy)": average_linkage,
}
WITHOUT_DISTANCE = frozenset({"HDBSCAN, min_cluster_size 2 (scikit-learn)", "HDBSCAN, defaults (scikit-learn)"})
SMALL_ONLY = frozenset({"average linkage (SciPy)"})


def _alone(labels: npt.NDArray[np.integer[Any]]) -> Labels:
    found = labels.astype(np.int64)
    noise = np.flatnonzero(found < 0)
    found[noise] = found.max() + 1 + np.arange(len(noise))
    return found


def scan(peer: str, unit: Vectors, distances: Sequence[float], truth: npt.NDArray[np.int64]) -> list[float]:
    """Pairwise F of a peer at each distance. DBSCAN of two samples is connected components by definition, and dlib
    takes the pairs from a list as well."""
    find = PEERS[peer]
    if find is average_linkage:
        tree = linkage(unit, "average")
        return [pairwise_scores(fcluster(tree, d, "distance"), truth).f1 for d in distances]
    near = _close(unit, max(distances))
    cluster = _components if find is dbscan else _whispers
    return [pairwise_scores(cluster(near, d, len(unit)), truth).f1 for d in distances]


class _Close(NamedTuple):
    u: Labels
    v: Labels
    distance: npt.NDArray[np.float64]


def _close(unit: Vectors, distance: float) -> _Close:
    found = []
    for start in range(0, len(unit), _ROWS):
        similarity = unit[start : start + _ROWS] @ unit.T
        i, j = np.nonzero(similarity > 1 - distance**2 / 2)
        found.append((i + start, j, np.sqrt(np.maximum(2 - 2 * similarity[i, j].astype(np.float64), 0))))
    return _Close(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _components(near: _Close, distance: float, n: int) -> Labels:
    keep = near.distance <= distance
    graph = coo_array((np.ones(int(keep.sum()), bool), (near.u[keep], near.v[keep])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _whispers(near: _Close, distance: float, n: int) -> Labels:
    import dlib

    keep = (near.distance < distance) & (near.u <= near.v)
    return np.array(
        dlib.chinese_whispers(list(zip(near.u[keep].tolist(), near.v[keep].tolist(), strict=True))), np.int64
    )


def oracle(planted: Planted, distances: Sequence[float]) -> dict[str, Any]:
    """Pairs of 2,000 random faces with all others, by the generator's truth: the smallest non-mated distances,
    ascending, and how many are below each of `distances`."""
    unit, n = planted.embeddings, len(planted.embeddings)
    probes = np.sort(np.random.default_rng(0).permutation(n)[:_ORACLE_FACES])
    kept = 2000
    smallest = np.empty(0, np.float32)
    counts = np.zeros(len(distances), np.int64)
    limits = 1 - np.array(distances) ** 2 / 2
    for start in range(0, n, _ROWS * 16):
        part = slice(start, start + _ROWS * 16)
        similarity = unit[probes] @ unit[part].T
        similarity[planted.identities[probes][:, None] == planted.identities[part]] = -1
        counts += np.array([np.count_nonzero(similarity > limit) for limit in limits], np.int64)
        flat = similarity.ravel()
        most = min(kept, len(flat))
        smallest = np.sort(np.concatenate([smallest, -np.partition(-flat, most - 1)[:most]]))[-kept:]
    non_mated = np.sqrt(2 - 2 * smallest[::-1].astype(np.float64))
    return {"counts": counts.tolist(), "distances": non_mated.tolist(), "faces": len(probes)}


def keys(a: npt.NDArray[np.integer[Any]], b: npt.NDArray[np.integer[Any]], n: int) -> Keys:
    """One number for each unordered pair."""
    low, high = np.minimum(a, b).astype(np.int64), np.maximum(a, b).astype(np.int64)
    return low * n + high


def known_neighbours(unit: Vectors, floor: float, most: int, seed: int) -> tuple[Labels, Labels]:
    """Pairs of 1,000 random faces with their nearest others of cosine > floor, at most `most` each."""
    judged = np.sort(np.random.default_rng(seed).permutation(len(unit))[:JUDGED])
    found = []
    for start in range(0, len(judged), _JUDGED_AT_ONCE):
        rows = judged[start : start + _JUDGED_AT_ONCE]
        block = unit[rows] @ unit.T
        block[np.arange(len(rows)), rows] = -1
        for row, similarity in zip(rows.tolist(), block, strict=True):
            near = np.flatnonzero(similarity > floor)
            near = near[np.argsort(-similarity[near], kind="stable")[:most]]
            found.append((np.full(len(near), row), near))
    a, b = (np.concatenate(column) for column in zip(*found, strict=True))
    return a, b


def mean_by_face(face: Labels, is_found: npt.NDArray[np.bool_]) -> float:
    """Share found of each face's pairs (m,), mean over the faces."""
    return float(np.average(is_found, weights=1 / np.bincount(face)[face]))
