"""Dividing clusters under must-link and cannot-link pairs: brute force, networkx's cuts, planted subjects."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest

from facelib.clusters import cuts
from facelib.clusters.agreement import pairwise_scores
from facelib.clusters.components import components, first_seen
from facelib.clusters.cuts import divide, minimum_cut
from facelib.clusters.graph import accepted_edges
from facelib.clusters.links import conflicts, must_link_groups, same_face_groups, separate
from facelib.clusters.neighbours import Edges, knn_block, normalise, symmetric_union

pytestmark = pytest.mark.unit


def _edges(pairs: dict[tuple[int, int], float]) -> Edges:
    u, v = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
    return Edges(u, v, np.array([pairs[p] for p in sorted(pairs)], np.float32))


def _random_edges(rng: np.random.Generator, n: int, share: float) -> Edges:
    pairs = [p for p in itertools.combinations(range(n), 2) if rng.random() < share]
    return _edges({p: float(rng.uniform(0.3, 0.9)) for p in pairs})


def _pairs(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array(pairs, np.int64).reshape(-1, 2)


def _subjects(
    rng: np.random.Generator, sizes: tuple[int, int], spread: float, false_edges: int
) -> tuple[Edges, np.ndarray]:
    """Edges of two planted subjects with cosines above 0.35, false edges between random faces of the two, the truth."""
    truth = np.repeat([0, 1], sizes)
    centres = normalise(rng.normal(size=(2, 64)))
    unit = normalise(centres[truth] + spread / 8 * rng.normal(size=(len(truth), 64)))
    edges = accepted_edges(symmetric_union(*knn_block(unit, unit, 80, 0)), 0.35, np.arange(len(truth)))
    pairs = {(u, v): w for u, v, w in zip(*(c.tolist() for c in edges), strict=True) if truth[u] == truth[v]}
    for _ in range(false_edges):
        a, b = int(rng.integers(sizes[0])), sizes[0] + int(rng.integers(sizes[1]))
        pairs[a, b] = float(rng.uniform(0.35, 0.65))
    return _edges(pairs), truth


@pytest.mark.parametrize("seed", range(5))
def test_must_link_groups_are_the_components_of_networkx(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, 40, (25, 2))
    graph = nx.Graph()
    graph.add_nodes_from(range(40))
    graph.add_edges_from(pairs.tolist())
    groups = must_link_groups(40, pairs)
    assert {frozenset(np.flatnonzero(groups == g).tolist()) for g in set(groups.tolist())} == {
        frozenset(c) for c in nx.connected_components(graph)
    }


def test_conflicts_are_the_pairs_that_share_a_label() -> None:
    labels = np.array([5, 5, 7, 7, 5])
    found = conflicts(labels, _pairs((0, 2), (4, 0), (2, 3), (1, 3)))
    np.testing.assert_array_equal(found, [[4, 0], [2, 3]])
    assert conflicts(labels, _pairs()).shape == (0, 2)


def test_boxes_that_overlap_by_half_of_their_union_are_one_face() -> None:
    """Unions and intersections by hand; the last two boxes are a chain's end and one in another image."""
    boxes = [(0, 0, 10, 10), (0, 0, 10, 5), (0, 0, 10, 4.9), (50, 0, 10, 10), (0, 0, 10, 10)]
    image = np.array(["x", "x", "y", "x", "y"])
    np.testing.assert_array_equal(same_face_groups(image, boxes), [0, 0, 1, 2, 3])
    chain = [(0, 0, 9, 3), (3, 0, 9, 3), (6, 0, 9, 3)]  # neighbours share 18 of 36, the ends 9 of 45
    np.testing.assert_array_equal(same_face_groups(np.zeros(3, int), chain), [0, 0, 0])
    np.testing.assert_array_equal(same_face_groups(np.zeros(3, int), chain, 0.51), [0, 1, 2])
    assert len(same_face_groups(np.zeros(0, int), np.zeros((0, 4)))) == 0


@pytest.mark.parametrize("seed", range(150))
def test_the_result_satisfies_every_constraint(seed: int) -> None:
    """Random clusters, images, links and double detections; every pair of faces is looked at."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 25))
    labels, image = rng.integers(0, 4, n) * 3, rng.integers(0, 12, n)
    same_face = np.where(rng.random(n) < 0.3, image, 100 + np.arange(n))
    groups = must_link_groups(n, rng.integers(0, n, (int(rng.integers(0, 4)), 2)))
    cannot = rng.integers(0, n, (int(rng.integers(0, 6)), 2))
    cannot = cannot[groups[cannot[:, 0]] != groups[cannot[:, 1]]]
    result = separate(labels, _random_edges(rng, n, 0.4), image, cannot, groups, same_face)

    before = components(n + 12 + n, np.r_[np.arange(n), np.arange(n)], np.r_[n + labels, n + 12 + groups])[:n]
    barred = {frozenset(p) for p in cannot.tolist()}
    violated = set()
    for i, j in itertools.combinations(range(n), 2):
        two = frozenset((i, j)) in barred
        two |= bool(image[i] == image[j] and same_face[i] != same_face[j] and groups[i] != groups[j])
        assert not (two and result[i] == result[j])
        assert groups[i] != groups[j] or result[i] == result[j]
        assert result[i] != result[j] or before[i] == before[j]
        if two and before[i] == before[j]:
            violated.add(before[i])
    untouched = ~np.isin(before, list(violated))
    for cluster in np.unique(before[untouched]):
        inside = before == cluster
        assert set(result[inside].tolist()) == {labels[inside].min()}
    assert not len(set(result[~untouched].tolist()) & set(labels.tolist()))


@pytest.mark.parametrize("seed", range(30))
def test_the_minimum_cut_is_that_of_networkx(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    n = int(rng.integers(3, 25))
    edges = _random_edges(rng, n, 0.4)
    graph = nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_weighted_edges_from(zip(*(c.tolist() for c in edges), strict=True), weight="capacity")
    side = minimum_cut(n, edges, 0, n - 1)
    assert (side[0], side[n - 1]) == (1, 0)
    weight = float(edges.similarity[side[edges.u] != side[edges.v]].sum())
    assert weight == pytest.approx(nx.minimum_cut_value(graph, 0, n - 1), abs=1e-4)


@pytest.mark.parametrize(("spread", "false_edges", "better"), [(1.0, 2, "cut"), (0.7, 40, "kruskal")])
@pytest.mark.parametrize("n_pairs", [1, 4])
def test_each_way_recovers_the_subjects_that_the_other_mixes_up(
    spread: float, false_edges: int, better: str, n_pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = dict.fromkeys(("cut", "kruskal", "both"), 0)
    for seed in range(25):
        rng = np.random.default_rng(seed)
        first, second = (int(s) for s in rng.integers(5, 40, 2))
        edges, truth = _subjects(rng, (first, second), spread, false_edges)
        apart = np.stack([rng.integers(0, first, n_pairs), first + rng.integers(0, second, n_pairs)], axis=1)
        ways = {
            "cut": cuts._rejoin(cuts._cut(len(truth), edges, apart), edges, apart),
            "kruskal": cuts._join(len(truth), edges, apart),
            "both": divide(np.ones(len(truth), np.int64), edges, apart),
        }
        for name, part in ways.items():
            right[name] += pairwise_scores(part, truth).f1 == 1
    other = right["kruskal" if better == "cut" else "cut"]
    assert right["both"] >= right[better] - 1
    assert right[better] >= 23
    assert other <= 18


def test_the_weaker_face_of_an_image_leaves_with_its_own_ties() -> None:
    """0–3 are one person; 4 and 5 another, tied to 3 by a false edge; images of 0 and 4 are the same."""
    edges = _edges({(0, 1): 0.9, (0, 2): 0.9, (1, 2): 0.9, (1, 3): 0.88, (2, 3): 0.87, (3, 4): 0.7, (4, 5): 0.8})
    labels = separate(np.zeros(6, np.int64), edges, np.array(["a", "b", "c", "d", "a", "e"]))
    np.testing.assert_array_equal(first_seen(labels), [0, 0, 0, 0, 1, 1])


def test_a_couple_always_photographed_together_is_two_clusters() -> None:
    """Each of 10 images shows both; one cluster was made of all 20 faces."""
    rng = np.random.default_rng(40)
    person, image = np.repeat([0, 1], 10), np.tile(np.arange(10), 2)
    pairs = {
        (i, j): float(rng.uniform(0.8, 0.9) if person[i] == person[j] else rng.uniform(0.5, 0.6))
        for i, j in itertools.combinations(range(20), 2)
        if image[i] != image[j]
    }
    labels = separate(np.zeros(20, np.int64), _edges(pairs), image)
    np.testing.assert_array_equal(first_seen(labels), person)


def test_a_must_link_joins_two_clusters() -> None:
    edges = _edges({(0, 1): 0.9, (2, 3): 0.9, (4, 5): 0.9})
    groups = must_link_groups(6, _pairs((1, 2)))
    labels = separate(np.array([4, 4, 2, 2, 9, 9]), edges, np.arange(6), groups=groups)
    np.testing.assert_array_equal(labels, [2, 2, 2, 2, 9, 9])


def test_a_face_found_twice_is_no_conflict_and_two_people_of_one_image_are() -> None:
    edges = _edges({(0, 1): 0.9, (0, 2): 0.8, (1, 2): 0.8})
    labels, image = np.zeros(3, np.int64), np.array(["x", "x", "y"])
    boxes = [(0, 0, 10, 10), (1, 0, 10, 10), (0, 0, 5, 5)]
    np.testing.assert_array_equal(separate(labels, edges, image, same_face=same_face_groups(image, boxes)), [0, 0, 0])
    assert len(set(separate(labels, edges, image)[:2].tolist())) == 2


def test_a_user_who_links_two_faces_of_one_image_is_believed() -> None:
    edges = _edges({(0, 2): 0.9, (1, 2): 0.8, (2, 3): 0.5})
    image = np.array(["x", "x", "y", "x"])
    labels = separate(np.zeros(4, np.int64), edges, image, groups=must_link_groups(4, _pairs((0, 1))))
    np.testing.assert_array_equal(first_seen(labels), [0, 0, 0, 1])


def test_a_cannot_link_within_a_must_link_group_is_refused() -> None:
    with pytest.raises(ValueError, match="within a must-link group"):
        separate(np.zeros(2, np.int64), _edges({}), np.arange(2), _pairs((0, 1)), np.zeros(2, np.int64))


def test_nothing_to_divide_and_no_faces() -> None:
    labels = np.array([3, 1, 3])
    np.testing.assert_array_equal(separate(labels, _edges({(0, 2): 0.5}), np.arange(3), _pairs((0, 1))), labels)
    assert len(separate(np.zeros(0, np.int64), _edges({}), np.zeros(0, int))) == 0


@pytest.mark.parametrize("limit", [cuts.MAX_CUT_EDGES, 100_000])
def test_a_cluster_of_thousands_of_faces_with_hundreds_of_conflicts(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two people on 300 images together, 3,000 faces each, false edges between them; also beyond the limit of cuts."""
    monkeypatch.setattr(cuts, "MAX_CUT_EDGES", limit)
    rng = np.random.default_rng(6)
    half = 3000
    inside = np.sort(rng.integers(0, half, (60_000, 2)), axis=1)
    false = np.stack([rng.integers(0, half, 200), half + rng.integers(0, half, 200)], axis=1)
    pairs = np.unique(np.concatenate([inside, half + inside, false]), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    within = (pairs < half).all(axis=1) | (pairs >= half).all(axis=1)
    cosine = np.where(within, rng.uniform(0.5, 0.9, len(pairs)), rng.uniform(0.4, 0.6, len(pairs)))
    image = np.concatenate([np.arange(half), np.arange(half) + np.where(np.arange(half) < 300, 0, half)])
    edges = Edges(pairs[:, 0], pairs[:, 1], cosine.astype(np.float32))
    labels = separate(np.zeros(2 * half, np.int64), edges, image)
    assert pairwise_scores(labels, np.repeat([0, 1], half)).f1 > 0.999
    assert not len(conflicts(labels, np.stack([np.arange(300), half + np.arange(300)], axis=1)))
