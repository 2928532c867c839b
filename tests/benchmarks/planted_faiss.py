"""Faiss as a peer of the search for neighbours: two indexes, searched at the least width that is enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.planted_peers import Keys, Labels, Vectors, keys, mean_by_face
from facelib.clusters.settings import ClusterSettings

_ENOUGH = ClusterSettings().recall
_WIDEST = 512

Searcher = Callable[[], Keys]


def inverted_file(
    unit: Vectors, floor: float, settings: ClusterSettings, truth: tuple[Labels, Labels], cores: int
) -> tuple[Searcher, str]:
    """Faiss IVF with 4 √n lists, range search at the floor, the fewest probes that bring facelib's recall."""
    import faiss

    faiss.omp_set_num_threads(cores)
    n, d = unit.shape
    lists = max(1, int(4 * n**0.5))

    def build() -> Any:
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(d), d, lists, faiss.METRIC_INNER_PRODUCT)
        index.train(unit)
        index.add(unit)
        return index

    def pairs(index: Any, rows: Labels) -> Keys:
        limits, _, found = index.range_search(unit[rows], floor)
        return _pairs(np.repeat(rows, np.diff(limits.astype(np.int64))), found, n)

    def with_probes(index: Any, probes: int) -> None:
        index.nprobe = probes

    return _chosen(build, pairs, with_probes, n, truth, f"{lists} lists", "probes")


def small_world(
    unit: Vectors, floor: float, settings: ClusterSettings, truth: tuple[Labels, Labels], cores: int
) -> tuple[Searcher, str]:
    """Faiss HNSW with 32 links, the nearest neighbours, the least efSearch that brings facelib's recall."""
    import faiss

    faiss.omp_set_num_threads(cores)
    n, d = unit.shape

    def build() -> Any:
        index = faiss.IndexHNSWFlat(d, 32)
        index.add(unit)
        return index

    def pairs(index: Any, rows: Labels) -> Keys:
        square, found = index.search(unit[rows], settings.neighbours + 1)
        keep = (square < 2 - 2 * floor) & (found >= 0)
        return _pairs(np.repeat(rows, keep.sum(axis=1)), found[keep], n)

    def with_breadth(index: Any, breadth: int) -> None:
        index.hnsw.efSearch = breadth

    return _chosen(build, pairs, with_breadth, n, truth, "32 links", "efSearch")


FAISS: dict[str, Callable[..., tuple[Searcher, str]]] = {"IVF": inverted_file, "HNSW": small_world}


def _pairs(rows: Labels, found: Labels, n: int) -> Keys:
    different = rows != found
    return np.unique(keys(rows[different], found[different], n))


def _chosen(
    build: Callable[[], Any],
    pairs: Callable[[Any, Labels], Keys],
    widen: Callable[[Any, int], None],
    n: int,
    truth: tuple[Labels, Labels],
    fixed: str,
    name: str,
) -> tuple[Searcher, str]:
    """The search of all faces at the least power of two that finds enough of the known pairs, by face and from either
    side, and what it is."""
    index, searched, known = build(), np.unique(np.concatenate(truth)), keys(*truth, n)
    width = 1
    while True:
        widen(index, width)
        if width >= _WIDEST or mean_by_face(truth[0], np.isin(known, pairs(index, searched))) >= _ENOUGH:
            break
        width *= 2

    def search() -> Keys:
        fresh = build()
        widen(fresh, width)
        return pairs(fresh, np.arange(n))

    return search, f"{fixed}, {name} {width}"
