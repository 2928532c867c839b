"""Pairs found in cells, the cells themselves, and the measured recall, against brute force over all pairs."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy.cluster.vq import kmeans2

from facelib.clusters import cells
from facelib.clusters.cells import CellPairs, Probes, cell_pairs, choose_probes, fit_centroids
from facelib.clusters.engine import LOCAL, LocalEngine, blocks
from facelib.clusters.neighbours import exact_neighbours, normalise
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import Space
from facelib.demo.planted_embeddings import KINDS, planted_embeddings

pytestmark = pytest.mark.unit

FLOOR = 0.3


@functools.cache
def _faces(n: int, seed: int = 1) -> tuple[np.ndarray, Space]:
    """Planted faces and a corrected space of them; the weights are arbitrary."""
    unit = planted_embeddings(n, KINDS["plain"], seed).embeddings
    weight = np.random.default_rng(seed).uniform(0.9, 1.1, n).astype(np.float32)
    return unit, Space.corrected(unit, weight)


def _all_pairs(space: Space, floor: float) -> set[tuple[int, int]]:
    """Pairs u < v above the floor, by their similarity one by one."""
    u, v = np.triu_indices(space.faces, 1)
    keep = space.similarity(u, v) > floor
    return set(zip(u[keep].tolist(), v[keep].tolist(), strict=True))


def _pairs(found: CellPairs) -> list[tuple[int, int]]:
    return list(zip(found.edges.u.tolist(), found.edges.v.tolist(), strict=True))


def _settings(cells: int, **others: float) -> ClusterSettings:
    return ClusterSettings(**{"cells": cells, "neighbours": 10_000, **others})


def test_faces_that_probe_every_cell_give_all_pairs() -> None:
    unit, space = _faces(1000)
    found = cell_pairs(unit, space, FLOOR, _settings(10, probes=10))
    assert (found.cells, found.probes.cells, found.probes.recall) == (10, 10, 1.0)
    assert set(_pairs(found)) == _all_pairs(space, FLOOR)
    assert found.compared == 1000 * 1000


def test_one_cell_gives_all_pairs() -> None:
    unit, space = _faces(700)
    found = cell_pairs(unit, space, FLOOR, _settings(1))
    assert (found.cells, found.probes.cells) == (1, 1)
    assert set(_pairs(found)) == _all_pairs(space, FLOOR)


@pytest.mark.parametrize("count", [75, 25, 5])
def test_each_pair_is_found_once_in_order_with_the_bits_of_its_similarity(count: int) -> None:
    unit, space = _faces(1500)
    found = cell_pairs(unit, space, FLOOR, _settings(count, probes=3))
    pairs = _pairs(found)
    assert pairs == sorted(set(pairs))
    assert all(u < v for u, v in pairs)
    np.testing.assert_array_equal(found.edges.similarity, np.minimum(space.similarity(*found.edges[:2]), 1))
    assert [column.dtype for column in found.edges] == [np.int64, np.int64, np.float32]


def _recall_by_face(found: set[tuple[int, int]], expected: set[tuple[int, int]]) -> float:
    """Share of a face's expected pairs that were found, mean over faces."""
    degree, of_them = (Counter(face for pair in pairs for face in pair) for pairs in (expected, found & expected))
    return float(np.mean([of_them[face] / n for face, n in degree.items()]))


@pytest.mark.parametrize("recall", [0.5, 0.9, 0.99, 1.0])
def test_found_pairs_are_all_pairs_but_for_the_recall_that_was_measured(recall: float) -> None:
    """All 1,000 faces are judged, so the recall is that of all faces."""
    unit, space = _faces(1000)
    found = cell_pairs(unit, space, FLOOR, _settings(100, probes=1, recall=recall))
    expected = _all_pairs(space, FLOOR)
    assert set(_pairs(found)) <= expected
    assert found.probes.pairs == 2 * len(expected)  # each judged from both sides
    assert found.probes.recall == pytest.approx(_recall_by_face(set(_pairs(found)), expected), abs=1e-9)
    assert found.probes.recall >= recall - 1e-9


def _by_brute_force(space: Space, nearest: np.ndarray, judged: np.ndarray, probes: int) -> float:
    """Mean over judged faces of the share of their pairs above the floor in which either probes the other's cell."""
    shares = []
    for a in judged.tolist():
        others = [b for b in np.flatnonzero(space.left[a] @ space.right.T > FLOOR).tolist() if b != a]
        met = [nearest[b, 0] in nearest[a, :probes] or nearest[a, 0] in nearest[b, :probes] for b in others]
        if met:
            shares.append(np.mean(met))
    return float(np.mean(shares))


def test_the_probes_are_the_fewest_that_reach_the_recall_on_the_judged_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_JUDGED", 150)
    unit, space = _faces(1000)
    centroids = fit_centroids(unit, 100, 1)
    nearest = np.argsort(-(unit @ centroids.T), axis=1, kind="stable")
    judged = np.sort(np.random.default_rng(2).permutation(1000)[:150])

    def chosen(**settings: float) -> Probes:
        return choose_probes(unit, space, centroids, nearest[:, 0], np.arange(1000), FLOOR, _settings(100, **settings))

    counts = {}
    for wanted in (0.7, 0.9, 0.97):
        found = chosen(probes=1, recall=wanted)
        assert found.recall == pytest.approx(_by_brute_force(space, nearest, judged, found.cells))
        assert found.recall >= wanted
        assert found.cells == 1 or _by_brute_force(space, nearest, judged, found.cells - 1) < wanted
        counts[wanted] = found.cells
    assert 1 <= counts[0.7] < counts[0.9] < counts[0.97] < 100
    assert chosen(probes=20, recall=0.7).cells == 20
    assert chosen(probes=1000).cells == 100
    assert chosen(recall=1.0).recall == 1


def test_no_known_pair_gives_the_fewest_probes_and_no_recall() -> None:
    unit = np.eye(60, dtype=np.float32)
    found = cell_pairs(unit, Space.plain(unit), FLOOR, _settings(6, probes=3))
    assert (len(found.edges.u), found.probes) == (0, Probes(3, None, 0, 0))


@pytest.mark.parametrize("most", [1, 5, 40])
def test_each_face_keeps_its_strongest_pairs_from_either_side(most: int) -> None:
    """All cells are probed, so the pairs are those of the exact pass."""
    unit, space = _faces(600)
    found = cell_pairs(unit, space, 0.0, _settings(12, probes=12, neighbours=most))
    exact, _ = exact_neighbours(space, ClusterSettings(neighbours=most))
    above = exact.similarity > 0
    for column, expected in zip(found.edges, exact, strict=True):
        np.testing.assert_array_equal(column, expected[above])


def test_the_limit_holds_over_all_cells_that_a_face_probes() -> None:
    unit, space = _faces(800)
    settings = _settings(40, neighbours=4, probes=2, recall=0.1)
    limited = set(_pairs(cell_pairs(unit, space, 0.0, settings)))
    centroids = fit_centroids(unit[np.sort(np.random.default_rng(1).permutation(800))], 40, 1)
    nearest = np.argsort(-(unit @ centroids.T), axis=1, kind="stable")
    expected = set()
    for a in range(800):
        others = np.flatnonzero(np.isin(nearest[:, 0], nearest[a, :2]) & (np.arange(800) != a))
        similarity = space.similarity(np.full(len(others), a), others)
        strongest = others[np.argsort(-similarity, kind="stable")][: np.count_nonzero(similarity > 0)][:4]
        expected |= {(min(a, b), max(a, b)) for b in strongest.tolist()}
    assert limited == expected


@pytest.mark.parametrize("recall", [0.8, 1.0])
def test_some_queries_find_their_pairs_with_all_faces(recall: float) -> None:
    """All 120 queries are judged, so the recall is theirs; queries with each other meet from either side."""
    unit, space = _faces(1000)
    queries = np.sort(np.random.default_rng(5).permutation(1000)[:120])
    found = cell_pairs(unit, space, FLOOR, _settings(60, probes=1, recall=recall), queries=queries)
    asked = set(queries.tolist())
    expected = {pair for pair in _all_pairs(space, FLOOR) if not asked.isdisjoint(pair)}
    pairs = set(_pairs(found))
    assert pairs <= expected
    shares = [
        sum(face in pair for pair in pairs) / n
        for face in queries.tolist()
        if (n := sum(face in pair for pair in expected))
    ]
    assert (found.probes.faces, found.probes.recall) == (len(shares), pytest.approx(np.mean(shares)))
    assert np.mean(shares) >= recall - 1e-9
    if recall == 1:
        assert pairs == expected
    else:
        assert found.probes.cells < 60


def test_small_tasks_and_narrow_blocks_give_the_same_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    unit, space = _faces(1000)
    settings = _settings(10, probes=3, neighbours=6)
    whole = cell_pairs(unit, space, FLOOR, settings)
    for name, value in {
        "_ROWS": 37, "_COLUMNS": 64, "_SORTED": 90, "_RANKED": 77, "_FEWEST_QUERIES": 41, "_MOST_QUERIES": 53,
    }.items():  # fmt: skip
        monkeypatch.setattr(cells, name, value)
    parts = cell_pairs(unit, space, FLOOR, settings)
    assert (parts.cells, parts.probes, parts.compared) == (whole.cells, whole.probes, whole.compared)
    for column, expected in zip(parts.edges, whole.edges, strict=True):
        np.testing.assert_array_equal(column, expected)


def test_a_crowd_in_one_cell_keeps_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """More pairs above the floor than are held at once: 900 nearly equal faces."""
    rng = np.random.default_rng(4)
    unit = normalise(np.concatenate([np.ones((900, 16)) + 0.05 * rng.normal(size=(900, 16)), np.eye(16)]))
    monkeypatch.setattr(cells, "_COLUMNS", 50)
    found = cell_pairs(unit, Space.plain(unit), 0.9, _settings(1, neighbours=7))
    exact, _ = exact_neighbours(Space.plain(unit), ClusterSettings(neighbours=7))
    above = exact.similarity > 0.9
    for column, expected in zip(found.edges, exact, strict=True):
        np.testing.assert_array_equal(column, expected[above])


@pytest.mark.parametrize(("n", "rows"), [(0, 5), (1, 5), (5, 5), (11, 5), (3, 1)])
def test_blocks_cover_a_range(n: int, rows: int) -> None:
    found = blocks(n, rows)
    assert [i for first, last in found for i in range(first, last)] == list(range(n))
    assert all(0 < last - first <= rows for first, last in found)


def _blobs(seed: int, k: int, each: int, spread: float = 0.15) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = normalise(rng.normal(size=(k, 48)))
    return normalise(np.repeat(centres, each, axis=0) + spread / 7 * rng.normal(size=(k * each, 48)))


def _cost(unit: np.ndarray, centroids: np.ndarray) -> float:
    """Mean 1 - cosine to the nearest centroid."""
    return 1 - float((unit.astype(np.float64) @ normalise(centroids).T).max(axis=1).mean())


def test_each_centroid_is_the_direction_of_its_own_cell() -> None:
    unit = _blobs(3, 5, 60)
    centroids = fit_centroids(unit, 5, 1)
    nearest = (unit.astype(np.float64) @ centroids.T).argmax(axis=1)
    for cell in range(5):
        mean = unit[nearest == cell].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(centroids[cell], mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-6)


@pytest.mark.filterwarnings("ignore:One of the clusters is empty")
@pytest.mark.parametrize("spread", [0.7, 3.0])
def test_cells_fit_as_well_as_those_of_scipy(spread: float) -> None:
    """On faces in 20 groups, apart and overlapping; single runs end in optima of their own, so the mean of ten."""
    ours, theirs = [], []
    for seed in range(10):
        unit = _blobs(seed, 20, 30, spread)
        centroids, _ = kmeans2(unit.astype(np.float64), 20, iter=10, minit="points", seed=seed, missing="warn")
        ours.append(_cost(unit, fit_centroids(unit, 20, seed)))
        theirs.append(_cost(unit, centroids))
    assert np.mean(ours) <= 1.05 * np.mean(theirs)


def test_centroids_repeat_and_depend_on_the_seed() -> None:
    unit, _ = _faces(600)
    np.testing.assert_array_equal(fit_centroids(unit, 12, 1), fit_centroids(unit, 12, 1))
    assert not np.array_equal(fit_centroids(unit, 12, 1), fit_centroids(unit, 12, 2))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_faces_and_as_many_cells_as_faces(n: int) -> None:
    unit = _faces(600)[0][:n]
    found = cell_pairs(unit, Space.plain(unit), -1.0, _settings(100, recall=1.0))
    assert found.cells == n
    assert set(_pairs(found)) == {(u, v) for u in range(n) for v in range(u + 1, n)}


def test_more_cells_than_different_faces() -> None:
    """Forty copies of each of three faces, and sixty cells: most have the same centroid as another, and are empty."""
    unit = np.repeat(np.eye(3, 8, dtype=np.float32), 40, axis=0)
    found = cell_pairs(unit, Space.plain(unit), 0.5, _settings(60))
    assert found.cells == 3
    assert set(_pairs(found)) == _all_pairs(Space.plain(unit), 0.5)
    np.testing.assert_array_equal(found.edges.similarity, 1)


def test_zero_rows_are_like_nothing() -> None:
    unit = _faces(600)[0].copy()
    unit[100:130] = 0
    found = cell_pairs(unit, Space.plain(unit), FLOOR, _settings(12))
    assert not np.isin(found.edges.u, np.arange(100, 130)).any()
    assert not np.isin(found.edges.v, np.arange(100, 130)).any()
    assert np.isfinite(fit_centroids(unit, 12, 1)).all()


class SharingEngine(LocalEngine):
    """Keeps what an array held when it was first given, as an engine does that sends arrays to other machines."""

    def __init__(self) -> None:
        self._shared: dict[int, tuple[Any, Any]] = {}

    def run(self, description: str, function: Any, items: Any, arrays: Any) -> list[list[Any]]:
        for array in arrays.values():
            self._shared.setdefault(id(array), (array, array.copy()))
        return super().run(description, function, items, {n: self._shared[id(a)][1] for n, a in arrays.items()})


def test_arrays_are_not_changed_after_an_engine_has_them() -> None:
    unit, space = _faces(1000)
    settings = _settings(40, probes=1, recall=0.9)
    found, expected = (cell_pairs(unit, space, FLOOR, settings, engine) for engine in (SharingEngine(), LOCAL))
    assert found.probes == expected.probes
    np.testing.assert_array_equal(found.edges.u, expected.edges.u)
