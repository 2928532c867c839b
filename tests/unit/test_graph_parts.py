"""Graphs clustered in parts: packing, cutting, and what it costs in agreement."""

from __future__ import annotations

import networkx
import numpy as np
import pytest

from facelib.clusters.agreement import pairwise_scores
from facelib.clusters.graph_parts import _pack, modules_in_parts
from facelib.clusters.map_equation import modules
from facelib.clusters.neighbours import Edges, unique_edges
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.similarity_graph import similarity_graph
from facelib.demo.planted_embeddings import KINDS, planted_embeddings

pytestmark = pytest.mark.unit


def _cliques(sizes: list[int]) -> tuple[int, Edges, np.ndarray]:
    """Separate cliques of similarity 0.9, and the clique of each node."""
    graph = networkx.disjoint_union_all([networkx.complete_graph(size) for size in sizes])
    u, v = np.array(graph.edges, np.int64).T
    n = sum(sizes)
    return n, unique_edges(u, v, np.full(len(u), 0.9, np.float32)), np.repeat(np.arange(len(sizes)), sizes)


def test_small_graphs_are_clustered_whole() -> None:
    n, edges, _ = _cliques([4] * 30)
    found = modules_in_parts(n, edges, 0.5, ClusterSettings())
    assert (found.parts, found.cut_floor) == (1, None)
    np.testing.assert_array_equal(found.labels, modules(n, edges, 0.5, 1))


@pytest.mark.parametrize("most", [20, 60, 100])
def test_components_stay_whole_in_their_part(most: int) -> None:
    n, edges, truth = _cliques([3, 5, 4, 6] * 20 + [1] * 7)
    found = modules_in_parts(n, edges, 0.5, ClusterSettings(graph_edges=most))
    assert found.parts >= len(edges.u) / most
    assert found.cut_floor is None
    assert pairwise_scores(found.labels, truth).f1 == 1
    assert found.labels[0] == 0
    assert sorted(set(found.labels.tolist())) == list(range(87))


def test_a_component_too_large_is_cut_at_a_higher_floor() -> None:
    """Forty cliques in a ring, joined by weaker edges."""
    n, edges, truth = _cliques([6] * 40)
    ring = np.arange(40) * 6
    low, high = np.minimum(ring, np.roll(ring, -1)), np.maximum(ring, np.roll(ring, -1))
    joined = unique_edges(
        np.concatenate([edges.u, low]),
        np.concatenate([edges.v, high]),
        np.concatenate([edges.similarity, np.full(40, 0.6, np.float32)]),
    )
    found = modules_in_parts(n, joined, 0.5, ClusterSettings(graph_edges=100))
    assert found.cut_floor is not None
    assert 0.6 <= found.cut_floor < 0.9
    assert pairwise_scores(found.labels, truth).f1 == 1


def test_parts_agree_with_the_whole_on_planted_faces() -> None:
    planted = planted_embeddings(2000, KINDS["plain"], 41)
    graph = similarity_graph(planted.embeddings, np.arange(2000), ClusterSettings())
    n, floor = graph.space.faces, graph.floor.floor
    whole = modules_in_parts(n, graph.edges, floor, ClusterSettings())
    parts = modules_in_parts(n, graph.edges, floor, ClusterSettings(graph_edges=len(graph.edges.u) // 6))
    assert parts.parts >= 6
    assert pairwise_scores(parts.labels, whole.labels).f1 > 0.98


def test_packing_fills_parts_evenly() -> None:
    sizes = np.random.default_rng(1).integers(0, 50, 400)
    part = _pack(sizes, 7)
    load = np.bincount(part, weights=sizes, minlength=7)
    assert load.max() - load.min() <= 50
    assert part.min() >= 0
