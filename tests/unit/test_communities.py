"""Communities against planted groups, the exhaustive optimum of the map equation, and permutations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from facelib.clusters.agreement import pairwise_scores
from facelib.clusters.coherence import COHERENT, clusters_of, coherence
from facelib.clusters.communities import Constraints, communities
from facelib.clusters.components import components, first_seen
from facelib.clusters.graph import accepted_edges
from facelib.clusters.map_equation import modules
from facelib.clusters.neighbours import Edges, knn_block, normalise, symmetric_union
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import Space

pytestmark = pytest.mark.unit

SETTINGS = ClusterSettings()


def _edges(pairs: dict[tuple[int, int], float]) -> Edges:
    u, v = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
    return Edges(u, v, np.array([pairs[p] for p in sorted(pairs)], np.float32))


def _planted(seed: int, sizes: list[int], spread: float, d: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors scattered around random directions, and their subject."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    centres = normalise(rng.normal(size=(len(sizes), d)))
    return normalise(centres[truth] + spread / np.sqrt(d) * rng.normal(size=(len(truth), d))), truth


def _clusters(unit: np.ndarray, floor: float, image: np.ndarray, settings: ClusterSettings = SETTINGS) -> np.ndarray:
    edges = symmetric_union(*knn_block(unit, unit, settings.neighbours, 0))
    space = Space.plain(unit)
    return communities(space, accepted_edges(edges, floor, image), floor, Constraints(image), settings).labels


def _set_partitions(n: int) -> Iterator[list[int]]:
    """Every partition of n nodes as restricted growth strings."""

    def grow(prefix: list[int], used: int) -> Iterator[list[int]]:
        if len(prefix) == n:
            yield prefix
            return
        for label in range(used + 1):
            yield from grow([*prefix, label], max(used, label + 1))

    yield from grow([], 0)


def _codelength(weights: np.ndarray, labels: list[int]) -> float:
    """Two-level map equation of an undirected graph, in bits, written as entropies of the codebooks.

    Rosvall, Axelsson, Bergstrom 2009, equation 1: L = q H(Q) + sum_i p_i H(P_i).
    """

    def entropy(parts: list[float]) -> float:
        total = sum(parts)
        return -sum(p / total * np.log2(p / total) for p in parts if p > 0)

    flow = weights / weights.sum()
    visit, labels_ = flow.sum(1), np.array(labels)
    exits, length = [], 0.0
    for module in set(labels):
        inside = labels_ == module
        exit_flow = float(flow[inside][:, ~inside].sum())
        parts = [exit_flow, *visit[inside].tolist()]
        exits.append(exit_flow)
        length += sum(parts) * entropy(parts)
    return length + (sum(exits) * entropy(exits) if sum(exits) > 0 else 0.0)


@pytest.mark.parametrize("seed", [31, 32, 33, 34])
def test_a_small_component_reaches_the_optimum_of_the_map_equation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, floor = 8, 0.5
    inside = np.add.outer(np.arange(n) // 4, -(np.arange(n) // 4)) == 0
    cosine = np.where(inside, rng.uniform(0.7, 0.95, (n, n)), rng.uniform(0.3, 0.56, (n, n)))
    pairs = {(i, j): float(np.float32(cosine[i, j])) for i in range(n) for j in range(i + 1, n)}
    pairs[3, 4] = 0.6
    labels = modules(n, accepted_edges(_edges(pairs), floor, np.arange(n)), floor, SETTINGS.seed)
    weights = np.zeros((n, n))
    for (i, j), value in pairs.items():
        weights[i, j] = weights[j, i] = max(0.0, value - floor)
    best = min(_codelength(weights, p) for p in _set_partitions(n))
    assert _codelength(weights, labels.tolist()) == pytest.approx(best, rel=1e-9)
    assert labels.max() == 1


def test_recovers_planted_subjects_that_components_join() -> None:
    sizes = [1] * 150 + [2] * 50 + [5] * 30 + [40] * 4
    unit, truth = _planted(35, sizes, spread=0.75, d=48)
    image = np.arange(len(truth))
    floor = 0.45
    labels = _clusters(unit, floor, image)
    edges = symmetric_union(*knn_block(unit, unit, 80, 0))
    joined = components(len(unit), *accepted_edges(edges, floor, image)[:2])
    assert pairwise_scores(joined, truth).f1 < 0.5
    assert pairwise_scores(labels, truth).f1 > 0.9


def test_membership_does_not_depend_on_the_order_of_arrival() -> None:
    unit, _ = _planted(36, [1] * 60 + [4] * 25 + [25] * 3, spread=0.75, d=32)
    n = len(unit)
    ids = np.array([f"{i * 7919 % 100_003:06d}-0" for i in range(n)])
    image = np.array([f"i{i // 2}" for i in range(n)])

    def membership(order: np.ndarray) -> set[frozenset[str]]:
        by_id = order[np.argsort(ids[order])]
        labels = _clusters(unit[by_id], 0.4, image[by_id])
        return {frozenset(ids[by_id][labels == c].tolist()) for c in np.unique(labels)}

    rng = np.random.default_rng(37)
    first = membership(np.arange(n))
    assert all(membership(rng.permutation(n)) == first for _ in range(3))


def test_runs_repeat_and_a_second_archive_beside_it_changes_nothing() -> None:
    unit, _ = _planted(38, [6] * 30, spread=0.9, d=32)
    n, space, apart = len(unit), Space.plain(unit), Constraints(np.arange(len(unit)))
    edges = accepted_edges(symmetric_union(*knn_block(unit, unit, 80, 0)), 0.35, apart.image)
    labels = communities(space, edges, 0.35, apart, SETTINGS).labels
    np.testing.assert_array_equal(communities(space, edges, 0.35, apart, SETTINGS).labels, labels)
    twice = Edges(*(np.concatenate((a, a + shift)) for a, shift in zip(edges, (n, n, np.float32(0)), strict=True)))
    both = Space.plain(np.concatenate((unit, unit)))
    doubled = communities(both, twice, 0.35, Constraints(np.arange(2 * n)), SETTINGS).labels
    np.testing.assert_array_equal(first_seen(doubled[:n]), labels)
    np.testing.assert_array_equal(first_seen(doubled[n:]), labels)


def test_isolated_faces_are_alone_and_pairs_above_the_floor_together() -> None:
    edges = _edges({(0, 2): 0.9, (1, 3): 0.5, (3, 4): 0.50001})
    labels = modules(6, accepted_edges(edges, 0.5, np.arange(6)), 0.5, SETTINGS.seed)
    np.testing.assert_array_equal(labels, [0, 1, 0, 2, 2, 3])


def test_no_faces() -> None:
    space = Space.plain(np.empty((0, 4), np.float32))
    assert len(communities(space, _edges({}), 0.5, Constraints(np.arange(0)), SETTINGS).labels) == 0


def test_two_faces_of_one_image_are_never_together() -> None:
    """Copies of one portrait fill whole images; every image must spread its faces over clusters."""
    unit, _ = _planted(39, [30, 30], spread=0.3)
    image = np.array([f"i{i % 20}" for i in range(60)])
    labels = _clusters(unit, 0.3, image)
    assert len(set(zip(labels.tolist(), image.tolist(), strict=True))) == 60


def test_what_is_known_of_pairs_outweighs_similarity() -> None:
    """0–2 and 3–5 are alike; 2 and 3 are linked by the user, 0 and 1 are barred; 4 and 5 share an image."""
    edges = _edges({(0, 1): 0.9, (0, 2): 0.9, (1, 2): 0.8, (3, 4): 0.9, (3, 5): 0.8, (4, 5): 0.8})
    cosine = np.eye(6)
    cosine[edges.u, edges.v] = cosine[edges.v, edges.u] = edges.similarity
    space = Space.plain(np.linalg.cholesky(cosine).astype(np.float32))
    image = np.array(["a", "b", "c", "d", "e", "e"])
    edges = accepted_edges(edges, 0.5, image)
    must, cannot = np.array([[2, 3]]), np.array([[0, 1]])

    def labels(**known: np.ndarray) -> list[int]:
        return communities(space, edges, 0.5, Constraints(image, **known), SETTINGS).labels.tolist()

    assert labels() == [0, 0, 0, 1, 1, 2]
    assert labels(same_face=np.array([0, 1, 2, 3, 4, 4])) == [0, 0, 0, 1, 1, 1]
    assert labels(must=must) == [0, 0, 0, 0, 0, 1]
    assert labels(cannot=cannot) == [0, 1, 0, 2, 2, 3]


def test_a_community_of_faces_that_are_hardly_alike_is_taken_apart() -> None:
    """A crowd without any structure, of which one pair in five is above the floor: one community to the map
    equation."""
    unit = normalise(np.eye(32)[0] + normalise(np.random.default_rng(5).normal(size=(200, 32))))
    image = np.arange(200)
    floor = float(np.quantile((unit @ unit.T)[np.triu_indices(200, 1)], 0.8))
    edges = accepted_edges(symmetric_union(*knn_block(unit, unit, 80, 0)), floor, image)
    assert np.bincount(modules(200, edges, floor, SETTINGS.seed)).max() == 200
    labels = _clusters(unit, floor, image)
    assert np.bincount(labels).max() < 80
    for members in clusters_of(labels, 3):
        assert coherence(Space.plain(unit), members, floor) >= COHERENT


OUT_OF_RANGE = {
    "neighbours": [0],
    "exact_faces": [0],
    "cells": [0],
    "probes": [0],
    "recall": [0.0, 1.01],
    "false_edges_per_face": [0.0, -1],
    "floor": [-1.01, 1.0],
    "fallback_floor": [-1.0, 1.0],
    "seed": [-1],
    "max_cluster_share": [0.0, 1.01],
    "incremental_share": [-0.01, 1.01],
    "graph_edges": [0],
    "max_noise_share": [0.0, 1.01],
    "max_cluster_change": [0.99],
    "min_canary_f": [-0.01, 1.01],
    "attach_stricter": [0.99],
    "tile": [0],
}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in OUT_OF_RANGE.items() for v in values])
def test_settings_out_of_range_are_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"cluster.{field} is {value}, which"):
        ClusterSettings(**{field: value})
