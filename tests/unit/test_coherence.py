"""Coherence against counted pairs, and what is taken apart: crowds and chains, but no tight cluster."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from facelib.clusters.coherence import COHERENT, clusters_of, coherence, split_incoherent
from facelib.clusters.graph import accepted_edges
from facelib.clusters.neighbours import Edges, exact_neighbours, normalise
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import Space

pytestmark = pytest.mark.unit


def _arc(degrees: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1).astype(np.float32)


def _crowd(seed: int, n: int, d: int = 32) -> np.ndarray:
    """Faces equally unlike each other, around one direction."""
    return normalise(np.eye(d)[0] + normalise(np.random.default_rng(seed).normal(size=(n, d))))


def _person(seed: int, n: int, d: int = 32) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return normalise(normalise(rng.normal(size=(1, d))) + 0.05 * rng.normal(size=(n, d)))


def _edges(space: Space, floor: float) -> Edges:
    return accepted_edges(exact_neighbours(space, ClusterSettings())[0], floor, np.arange(space.faces))


def _share(unit: np.ndarray, members: np.ndarray, floor: float) -> float:
    """Pairs above the floor, counted one by one in float64."""
    pairs = [float(unit[a].astype(np.float64) @ unit[b]) for a, b in itertools.combinations(members.tolist(), 2)]
    return sum(s > floor for s in pairs) / len(pairs)


def test_clusters_come_by_label_with_ascending_rows() -> None:
    labels = np.array([7, 2, 2, 9, 7, 7, 0, 0])
    assert [m.tolist() for m in clusters_of(labels)] == [[6, 7], [1, 2], [0, 4, 5]]
    assert [m.tolist() for m in clusters_of(labels, 3)] == [[0, 4, 5]]
    assert [m.tolist() for m in clusters_of(labels, 1)] == [[6, 7], [1, 2], [0, 4, 5], [3]]
    assert list(clusters_of(np.empty(0, np.int64))) == []


def test_coherence_is_the_counted_share_of_pairs_above_the_floor() -> None:
    unit = _crowd(1, 60)
    rng = np.random.default_rng(2)
    for floor in (0.3, 0.5, 0.6):
        members = np.sort(rng.permutation(60)[:25])
        assert coherence(Space.plain(unit), members, floor) == pytest.approx(_share(unit, members, floor))
    assert coherence(Space.plain(unit), np.arange(60), -1.0) == 1
    assert coherence(Space.plain(unit), np.arange(60), 1.0) == 0


def test_a_row_of_faces_by_hand() -> None:
    """Ten faces 10° apart: 9 + 8 of 45 pairs are within 25°."""
    space = Space.plain(_arc(np.arange(0, 100, 10)))
    assert coherence(space, np.arange(10), float(np.cos(np.radians(25)))) == pytest.approx(17 / 45)


def test_a_large_cluster_is_judged_by_a_sample_spread_over_all_of_it() -> None:
    """One face in three is another person: of 3,000 or of some evenly spaced ones, 1/9 + 4/9 of pairs are alike."""
    unit = np.eye(2, dtype=np.float32)[(np.arange(3000) % 3 == 0).astype(int)]
    assert coherence(Space.plain(unit), np.arange(3000), 0.5) == pytest.approx(5 / 9, abs=0.02)
    halves = np.eye(2, dtype=np.float32)[(np.arange(3000) >= 1500).astype(int)]
    assert coherence(Space.plain(halves), np.arange(3000), 0.5) == pytest.approx(1 / 2, abs=0.02)


def _given(*parts: np.ndarray) -> tuple[Space, np.ndarray]:
    """A space of some groups of faces, and the group of each face as its cluster, with labels 10, 11, …"""
    return Space.plain(np.concatenate(parts)), 10 + np.repeat(np.arange(len(parts)), [len(p) for p in parts])


def test_a_crowd_is_taken_apart_and_tight_clusters_keep_their_labels() -> None:
    crowd = _crowd(3, 150)
    floor = float(np.quantile((crowd @ crowd.T)[np.triu_indices(150, 1)], 0.85))
    space, labels = _given(_person(4, 40), crowd, _person(5, 12), _person(6, 2))
    edges = _edges(space, floor)
    assert _share(space.left, np.flatnonzero(labels == 11), floor) == pytest.approx(0.15, abs=0.01)
    result = split_incoherent(labels, edges, space, floor, 1)
    is_crowd = labels == 11
    np.testing.assert_array_equal(result[~is_crowd], labels[~is_crowd])
    assert result[is_crowd].min() > labels.max()
    for members in clusters_of(result, 3):
        assert _share(space.left, members, floor) >= COHERENT
    sizes = np.unique(result[is_crowd], return_counts=True)[1]
    assert 2 <= sizes.max() <= 50


def test_a_chain_is_taken_apart() -> None:
    """Thirty faces 6° apart are one cluster: of 435 pairs the 29 + 28 within 13° are above the floor."""
    floor = float(np.cos(np.radians(13)))
    space, labels = _given(_arc(np.arange(0, 180, 6.0)))
    assert coherence(space, np.arange(30), floor) == pytest.approx(57 / 435)
    result = split_incoherent(labels, _edges(space, floor), space, floor, 1)
    sizes = np.unique(result, return_counts=True)[1]
    assert 2 <= sizes.max() <= 12  # of 12 in a row 21 of 66 pairs are within 13°, of 13 only 23 of 78
    for members in clusters_of(result):
        assert np.ptp(members) == len(members) - 1  # parts are stretches of the chain


def test_two_crowds_are_taken_apart_separately() -> None:
    """Each by its own edges: no part holds faces of both, though edges between them are there."""
    crowd = _crowd(7, 120)
    floor = float(np.quantile((crowd @ crowd.T)[np.triu_indices(120, 1)], 0.85))
    space, labels = _given(crowd[:60], crowd[60:])
    edges = _edges(space, floor)
    assert (labels[edges.u] != labels[edges.v]).any()
    result = split_incoherent(labels, edges, space, floor, 1)
    assert all(len(set(labels[m].tolist())) == 1 for m in clusters_of(result))
    alone = split_incoherent(labels[:60], _edges(space.only(np.arange(60)), floor), Space.plain(crowd[:60]), floor, 1)
    np.testing.assert_array_equal(result[:60] - result[:60].min(), alone - alone.min())


def test_faces_that_no_floor_makes_coherent_end_alone() -> None:
    """A star: five rays at right angles to each other, joined by a hub; at the hub's similarity no pair else is
    alike."""
    hub = normalise(np.ones((1, 8)))
    space, labels = _given(hub, np.eye(8, dtype=np.float32))
    floor = 0.3  # hub to ray 0.354; ray to ray 0
    result = split_incoherent(labels * 0, _edges(space, floor), space, floor, 1)
    assert np.unique(result, return_counts=True)[1].max() <= 2


def test_nothing_incoherent_changes_nothing() -> None:
    space, labels = _given(_person(8, 30), _person(9, 3))
    result = split_incoherent(labels, _edges(space, 0.5), space, 0.5, 1)
    np.testing.assert_array_equal(result, labels)
    pair, of_pair = _given(_arc(np.array([0.0, 90.0])))
    np.testing.assert_array_equal(split_incoherent(of_pair, _edges(pair, 0.5), pair, 0.5, 1), of_pair)
