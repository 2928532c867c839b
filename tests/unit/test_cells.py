"""Pairs found in cells, the cells themselves, and the measured recall, against brute force over all pairs."""

from __future__ import annotations

import functools
from collections import Counter

import numpy as np
import pytest
from scipy.cluster.vq import kmeans2

from facelib.clusters import cells
from facelib.clusters.cells import CellPairs, Overlap, cell_pairs, choose_overlap, fit_centroids
from facelib.clusters.engine import blocks
from facelib.clusters.neighbours import normalise
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


def _settings(cell_faces: int, **others: float) -> ClusterSettings:
    return ClusterSettings(**{"cell_faces": cell_faces, "neighbours": 10_000, **others})


def test_faces_in_every_cell_give_all_pairs() -> None:
    unit, space = _faces(1000)
    found = cell_pairs(unit, space, FLOOR, _settings(100, overlap=10))
    assert (found.cells, found.overlap.cells, found.overlap.recall) == (10, 10, 1.0)
    assert set(_pairs(found)) == _all_pairs(space, FLOOR)
    assert found.compared == 10 * 1000 * 999 // 2


def test_one_cell_gives_all_pairs() -> None:
    unit, space = _faces(700)
    found = cell_pairs(unit, space, FLOOR, _settings(2000))
    assert (found.cells, found.overlap.cells) == (1, 1)
    assert set(_pairs(found)) == _all_pairs(space, FLOOR)


@pytest.mark.parametrize("cell_faces", [20, 60, 300])
def test_each_pair_is_found_once_in_order_with_the_bits_of_its_similarity(cell_faces: int) -> None:
    unit, space = _faces(1500)
    found = cell_pairs(unit, space, FLOOR, _settings(cell_faces, overlap=3))
    pairs = _pairs(found)
    assert pairs == sorted(set(pairs))
    assert all(u < v for u, v in pairs)
    np.testing.assert_array_equal(found.edges.similarity, np.minimum(space.similarity(*found.edges[:2]), 1))
    assert [column.dtype for column in found.edges] == [np.int64, np.int64, np.float32]


@pytest.mark.parametrize("recall", [0.5, 0.9, 0.99])
def test_found_pairs_are_all_pairs_but_for_the_recall_that_was_measured(recall: float) -> None:
    """All 1,000 faces are judged, so the recall is that of all pairs."""
    unit, space = _faces(1000)
    found = cell_pairs(unit, space, FLOOR, _settings(10, overlap=1, recall=recall))
    expected = _all_pairs(space, FLOOR)
    assert set(_pairs(found)) <= expected
    assert found.overlap.pairs == 2 * len(expected)  # each judged from both sides
    assert found.overlap.recall == pytest.approx(len(found.edges.u) / len(expected), abs=1e-9)
    assert found.overlap.recall >= recall


def _by_brute_force(space: Space, nearest: np.ndarray, judged: np.ndarray, overlap: int) -> float:
    """Share of the pairs of a judged face with any other above the floor that have a cell in common."""
    kept = [set(row[:overlap].tolist()) for row in nearest]
    met = [
        bool(kept[a] & kept[b])
        for a in judged.tolist()
        for b in np.flatnonzero(space.left[a] @ space.right.T > FLOOR).tolist()
        if a != b
    ]
    return float(np.mean(met))


def test_the_overlap_is_the_least_that_reaches_the_recall_on_the_judged_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_JUDGED", 150)
    unit, space = _faces(1000)
    centroids = fit_centroids(unit, 100, 1)
    nearest = np.argsort(-(unit @ centroids.T), axis=1, kind="stable")[:, :24].astype(np.int32)
    judged = np.sort(np.random.default_rng(2).permutation(1000)[:150])
    chosen = {}
    for wanted in (0.7, 0.9, 0.97):
        found = choose_overlap(space, nearest, FLOOR, _settings(10, overlap=1, recall=wanted, seed=1))
        assert found.recall == pytest.approx(_by_brute_force(space, nearest, judged, found.cells))
        assert found.recall >= wanted
        assert found.cells == 1 or _by_brute_force(space, nearest, judged, found.cells - 1) < wanted
        chosen[wanted] = found.cells
    assert 1 <= chosen[0.7] < chosen[0.9] < chosen[0.97] < 24
    assert choose_overlap(space, nearest, FLOOR, _settings(10, overlap=20, recall=0.7)).cells == 20
    few = choose_overlap(space, nearest[:, :2], FLOOR, _settings(10, overlap=1, recall=1.0))  # out of reach
    assert (few.cells, few.recall) == (2, pytest.approx(_by_brute_force(space, nearest, judged, 2)))


def test_no_known_pair_gives_the_least_overlap_and_no_recall() -> None:
    unit = np.eye(60, dtype=np.float32)
    nearest = np.zeros((60, 5), np.int32) + np.arange(5, dtype=np.int32)
    assert choose_overlap(Space.plain(unit), nearest, FLOOR, _settings(10, overlap=3)) == Overlap(3, None, 0)
    found = cell_pairs(unit, Space.plain(unit), FLOOR, _settings(10))
    assert (len(found.edges.u), found.overlap) == (0, Overlap(2, None, 0))


def test_of_many_pairs_each_face_keeps_the_strongest_with_later_faces() -> None:
    """In one cell, so the limit can be checked by sorting."""
    unit, space = _faces(600)
    found = cell_pairs(unit, space, 0.0, _settings(2000, neighbours=5))
    expected = set()
    for u in range(599):
        v = np.arange(u + 1, 600)
        similarity = space.similarity(np.full(len(v), u), v)
        strongest = v[np.argsort(-similarity, kind="stable")][: np.count_nonzero(similarity > 0)][:5]
        expected |= {(u, w) for w in strongest.tolist()}
    assert set(_pairs(found)) == expected


def test_the_limit_holds_in_each_cell() -> None:
    unit, space = _faces(800)
    limited = cell_pairs(unit, space, 0.0, _settings(100, neighbours=4, overlap=2, recall=0.1))
    whole = cell_pairs(unit, space, 0.0, _settings(100, overlap=2, recall=0.1))
    assert set(_pairs(limited)) < set(_pairs(whole))
    assert max(Counter(limited.edges.u.tolist()).values()) <= 2 * 4
    best: dict[int, float] = {}
    for u, s in zip(whole.edges.u.tolist(), whole.edges.similarity.tolist(), strict=True):
        best[u] = max(s, best.get(u, -9))
    kept = set(zip(limited.edges.u.tolist(), limited.edges.similarity.tolist(), strict=True))
    assert set(best.items()) <= kept


def test_small_tasks_and_narrow_blocks_give_the_same_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    unit, space = _faces(1000)
    settings = _settings(100, overlap=3, neighbours=6)
    whole = cell_pairs(unit, space, FLOOR, settings)
    for name, value in (("_ROWS", 37), ("_COLUMNS", 64), ("_PAIRS_PER_TASK", 500), ("_ASSIGNED", 90)):
        monkeypatch.setattr(cells, name, value)
    parts = cell_pairs(unit, space, FLOOR, settings)
    assert (parts.cells, parts.overlap, parts.compared) == (whole.cells, whole.overlap, whole.compared)
    for column, expected in zip(parts.edges, whole.edges, strict=True):
        np.testing.assert_array_equal(column, expected)


@pytest.mark.parametrize("sizes", [[5, 0, 3000, 1024, 1, 1025], [0, 0], [7], []])
@pytest.mark.parametrize("most", [1, 10_000, 10**9])
def test_tasks_cover_every_pair_of_every_cell_once(
    sizes: list[int], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "_PAIRS_PER_TASK", most)
    tasks = cells._tasks(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), 0.4, 9)
    assert tasks
    assert {(task.floor, task.neighbours) for task in tasks} <= {(0.4, 9)}
    covered = [block for task in tasks for block in task.blocks]
    assert len(set(covered)) == len(covered)
    for cell, size in enumerate(sizes):
        rows = [row for c, first, last in covered if c == cell for row in range(first, last)]
        assert rows == list(range(size))
    if most == 1:
        assert all(len(task.blocks) <= 1 for task in tasks)


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
    found = cell_pairs(unit, Space.plain(unit), -1.0, _settings(1))
    assert found.cells == n
    assert set(_pairs(found)) == {(u, v) for u in range(n) for v in range(u + 1, n)}


def test_more_cells_than_different_faces() -> None:
    """Forty copies of each of three faces, and sixty cells: most cells have the same centroid as another."""
    unit = np.repeat(np.eye(3, 8, dtype=np.float32), 40, axis=0)
    found = cell_pairs(unit, Space.plain(unit), 0.5, _settings(2))
    assert found.cells == 60
    assert set(_pairs(found)) == _all_pairs(Space.plain(unit), 0.5)
    np.testing.assert_array_equal(found.edges.similarity, 1)


def test_zero_rows_are_like_nothing() -> None:
    unit = _faces(600)[0].copy()
    unit[100:130] = 0
    found = cell_pairs(unit, Space.plain(unit), FLOOR, _settings(50))
    assert not np.isin(found.edges.u, np.arange(100, 130)).any()
    assert not np.isin(found.edges.v, np.arange(100, 130)).any()
    assert np.isfinite(fit_centroids(unit, 12, 1)).all()
