"""Communities against planted groups, the exhaustive optimum of the map equation, and permutations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from facelib.clusters.agreement import pairwise_scores
from facelib.clusters.communities import communities, separate_images
from facelib.clusters.graph import accepted_edges, components, first_seen
from facelib.clusters.neighbours import Edges, knn_block, normalise, symmetric_union
from facelib.clusters.settings import ClusterSettings

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
    return communities(len(unit), *edges, floor, image, settings)


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
    labels = communities(n, *_edges(pairs), floor, np.arange(n), SETTINGS)
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
    edges = symmetric_union(*knn_block(unit, unit, 80, 0))
    n, image = len(unit), np.arange(len(unit))
    labels = communities(n, *edges, 0.35, image, SETTINGS)
    np.testing.assert_array_equal(communities(n, *edges, 0.35, image, SETTINGS), labels)
    twice = Edges(*(np.concatenate((a, a + shift)) for a, shift in zip(edges, (n, n, np.float32(0)), strict=True)))
    doubled = communities(2 * n, *twice, 0.35, np.arange(2 * n), SETTINGS)
    np.testing.assert_array_equal(first_seen(doubled[:n]), labels)
    np.testing.assert_array_equal(first_seen(doubled[n:]), labels)


def test_isolated_faces_are_alone_and_pairs_above_the_floor_together() -> None:
    edges = _edges({(0, 2): 0.9, (1, 3): 0.5, (3, 4): 0.50001})
    labels = communities(6, *edges, 0.5, np.arange(6), SETTINGS)
    np.testing.assert_array_equal(labels, [0, 1, 0, 2, 2, 3])


def test_no_faces() -> None:
    assert len(communities(0, *_edges({}), 0.5, np.arange(0), SETTINGS)) == 0


def test_two_faces_of_one_image_are_never_together() -> None:
    """Copies of one portrait fill whole images; every image must spread its faces over clusters."""
    unit, _ = _planted(39, [30, 30], spread=0.3)
    image = np.array([f"i{i % 20}" for i in range(60)])
    labels = _clusters(unit, 0.3, image)
    assert len(set(zip(labels.tolist(), image.tolist(), strict=True))) == 60


def test_the_weaker_face_of_an_image_leaves_with_its_own_ties() -> None:
    """0–3 are one person; 4 and 5 another, tied to 3 by a false edge; images of 0 and 4 are the same."""
    edges = _edges({(0, 1): 0.9, (0, 2): 0.9, (1, 2): 0.9, (1, 3): 0.88, (2, 3): 0.87, (3, 4): 0.7, (4, 5): 0.8})
    image = np.array(["a", "b", "c", "d", "a", "e"])
    labels = separate_images(np.zeros(6, np.int64), edges, image)
    np.testing.assert_array_equal(first_seen(labels), [0, 0, 0, 0, 1, 1])


def test_a_couple_always_photographed_together_is_two_clusters() -> None:
    """Each of 10 images shows both; one cluster was made of all 20 faces."""
    rng = np.random.default_rng(40)
    person, image = np.repeat([0, 1], 10), np.tile(np.arange(10), 2)
    pairs = {
        (i, j): float(rng.uniform(0.8, 0.9) if person[i] == person[j] else rng.uniform(0.5, 0.6))
        for i in range(20)
        for j in range(i + 1, 20)
        if image[i] != image[j]
    }
    labels = separate_images(np.zeros(20, np.int64), _edges(pairs), image)
    np.testing.assert_array_equal(first_seen(labels), person)


def test_clusters_without_a_conflict_are_left_alone() -> None:
    edges = _edges({(0, 1): 0.9, (2, 3): 0.9})
    labels = np.array([1, 1, 2, 2, 2])
    np.testing.assert_array_equal(separate_images(labels, edges, np.arange(5)), labels)


@pytest.mark.parametrize("field", ["neighbours", "false_edges_per_face", "floor", "max_cluster_share", "tile"])
def test_settings_out_of_range_are_named(field: str) -> None:
    with pytest.raises(ValueError, match=f"cluster.{field} is -1"):
        ClusterSettings(**{field: -1})
