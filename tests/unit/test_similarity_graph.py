"""The graph of an archive by all pairs and by cells, its floor, and engines that work in another order."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from facelib.clusters import similarity_graph as module
from facelib.clusters.agreement import pairwise_scores
from facelib.clusters.cohort import weights
from facelib.clusters.communities import Constraints, communities
from facelib.clusters.engine import LOCAL, Engine
from facelib.clusters.neighbours import normalise
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.similarity_graph import SimilarityGraph, similarity_graph, weigh
from facelib.demo.planted_embeddings import KINDS, Planted, planted_embeddings

pytestmark = pytest.mark.unit

N = 1000
EXACT = ClusterSettings()
CELLS = ClusterSettings(exact_faces=500, cells=15)


@functools.cache
def _planted(kind: str) -> Planted:
    return planted_embeddings(N, KINDS[kind], 11)


@functools.cache
def _graph(kind: str, settings: ClusterSettings) -> SimilarityGraph:
    return similarity_graph(_planted(kind).embeddings, np.arange(N), settings)


def _everyone(kind: str, graph: SimilarityGraph) -> np.ndarray:
    """Unit rows of the archive's faces and the synthetic ones behind them."""
    return np.concatenate([_planted(kind).embeddings, graph.canary.unit])


def _labels(graph: SimilarityGraph, settings: ClusterSettings) -> np.ndarray:
    return communities(graph.space, graph.edges, graph.floor.floor, Constraints(graph.image), settings).labels


class Backwards:
    """Runs the last item first, on copies of all arrays, and hands copies on."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def run(
        self,
        description: str,
        function: Callable[[Mapping[str, Any], Any], Sequence[Any]],
        items: Sequence[Any],
        arrays: Mapping[str, Any],
    ) -> list[list[Any]]:
        self.ran.append(description)
        found: list[list[Any]] = []
        for item in reversed(items):
            mine = {name: array.copy() for name, array in arrays.items()}
            for array in mine.values():
                array.flags.writeable = False
            found.insert(0, [part.copy() for part in function(mine, item)])
        return found


@pytest.mark.parametrize("kind", KINDS)
def test_cells_give_the_clusters_of_all_pairs(kind: str) -> None:
    exact, by_cells = _graph(kind, EXACT), _graph(kind, CELLS)
    assert (exact.search.cells, exact.search.probes, exact.search.recall) == (0, 0, 1.0)
    assert exact.search.compared == N * (N - 1)
    assert by_cells.search.cells == 15
    assert by_cells.search.recall is not None
    assert by_cells.search.recall >= CELLS.recall
    assert by_cells.floor == exact.floor  # estimated from all faces, fewer than the sample
    np.testing.assert_array_equal(by_cells.weight, exact.weight)
    assert pairwise_scores(_labels(by_cells, CELLS), _labels(exact, EXACT)).f1 >= 0.99


def test_every_edge_is_above_the_floor_and_between_two_images() -> None:
    image = np.arange(N) // 2
    for settings in (EXACT, CELLS):
        graph = similarity_graph(_planted("dlib").embeddings, image, settings)
        u, v, similarity = graph.edges
        assert len(u) > 500
        assert (similarity > graph.floor.floor).all()
        np.testing.assert_array_equal(graph.image[:N], image)
        assert (graph.image[u] != graph.image[v]).all()
        np.testing.assert_allclose(similarity, np.minimum(graph.space.similarity(u, v), 1), atol=1e-6)


def test_all_pairs_above_the_floor_are_edges_where_all_are_compared() -> None:
    graph = _graph("facenet", ClusterSettings(neighbours=N, floor=0.4, cohort=False))
    similarity = graph.space.left @ graph.space.right.T
    clear = np.triu(similarity > graph.floor.floor + 1e-5, 1)
    assert set(zip(*np.nonzero(clear), strict=True)) <= set(zip(*graph.edges[:2], strict=True))
    assert np.count_nonzero(np.triu(similarity > graph.floor.floor - 1e-5, 1)) >= len(graph.edges.u)


@pytest.mark.parametrize("kind", ["dlib", "arcface"])
def test_the_floor_of_a_sample_is_about_that_of_all_faces(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLOOR_SAMPLE", 600)
    sampled = similarity_graph(_planted(kind).embeddings, np.arange(N), CELLS).floor
    whole = _graph(kind, EXACT).floor
    assert sampled.floor != whole.floor
    assert sampled.floor == pytest.approx(whole.floor, abs=0.02)
    assert (sampled.n_faces, sampled.fmr) == (N, pytest.approx(EXACT.false_edges_per_face / N))


@pytest.mark.parametrize("others", [{}, {"exact_faces": 500, "cells": 15}])
def test_a_given_floor_is_kept(others: dict[str, int]) -> None:
    graph = _graph("plain", ClusterSettings(floor=0.62, **others))
    assert (graph.floor.method, graph.floor.floor, graph.floor.fmr) == ("fixed", 0.62, None)
    assert graph.edges.similarity.min() > 0.62
    assert graph.edges.similarity.min() < 0.63


def test_without_a_cohort_similarities_are_cosines() -> None:
    graph = _graph("dlib", ClusterSettings(cohort=False))
    assert (graph.cohort, graph.search.cohort) == (None, 0)
    np.testing.assert_array_equal(graph.weight, 1)
    unit = _everyone("dlib", graph).astype(np.float64)
    u, v, similarity = graph.edges
    np.testing.assert_allclose(similarity, (unit[u] * unit[v]).sum(axis=1), atol=1e-6)


def test_with_a_cohort_similarities_are_corrected_by_the_weights() -> None:
    graph = _graph("dlib", EXACT)
    assert graph.cohort is not None
    assert graph.search.cohort == len(graph.cohort.rows) >= 200
    unit, weight = _everyone("dlib", graph), graph.weight.astype(np.float64)
    np.testing.assert_array_equal(graph.weight, weights(unit, graph.cohort))
    unit = unit.astype(np.float64)
    u, v, similarity = graph.edges
    expected = 1 - (1 - (unit[u] * unit[v]).sum(axis=1)) * weight[u] * weight[v]
    np.testing.assert_allclose(similarity, expected, atol=2e-6)


@functools.cache
def _people(kind: str, people: int) -> tuple[np.ndarray, np.ndarray]:
    """1,000 faces of so many people in turn, and 300 faces of others."""
    rng, d = np.random.default_rng(people), KINDS[kind].dimensions
    centres = normalise(rng.normal(size=(people, d)))[np.arange(N) % people]
    return normalise(centres + 0.4 * normalise(rng.normal(size=(N, d)))), normalise(rng.normal(size=(300, d)))


@pytest.mark.parametrize("kind", ["dlib", "facenet"])
def test_with_a_given_cohort_similarities_are_corrected_against_it(kind: str) -> None:
    unit, templates = _people(kind, 20)
    graph = similarity_graph(unit, np.arange(N), EXACT, given=templates)
    assert graph.cohort is not None
    np.testing.assert_array_equal(graph.cohort.unit, templates)
    assert (graph.search.cohort, len(graph.cohort.rows)) == (300, 0)
    np.testing.assert_array_equal(graph.weight, weights(unit, graph.cohort))
    assert len(np.unique(graph.weight)) > 500
    u, v, similarity = graph.edges
    weight = graph.weight.astype(np.float64)
    cosine = (unit[u].astype(np.float64) * unit[v]).sum(axis=1)
    np.testing.assert_allclose(similarity, 1 - (1 - cosine) * weight[u] * weight[v], atol=2e-6)
    assert pairwise_scores(_labels(graph, EXACT), np.arange(N) % 20).f1 > 0.99


def test_synthetic_faces_are_planted_among_many_people_only_whatever_cohort_is_given() -> None:
    """Drawn from the spread of ten people, they would lie between them."""
    few, templates = _people("plain", 10)
    assert not len(similarity_graph(few, np.arange(N), EXACT, given=templates).canary.unit)
    many = _planted("dlib").embeddings
    graph = similarity_graph(many, np.arange(N), EXACT, given=many[:300])
    np.testing.assert_array_equal(graph.canary.unit, _graph("dlib", EXACT).canary.unit)
    assert len(graph.canary.unit)


def test_weights_of_faces_do_not_depend_on_the_ranges_they_are_computed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = _graph("facenet", EXACT)
    monkeypatch.setattr(module, "_WEIGHED", 333)
    found = weigh(_everyone("facenet", graph), graph.cohort)
    np.testing.assert_allclose(found, graph.weight, rtol=1e-5)
    assert weigh(_planted("facenet").embeddings[:0], graph.cohort).shape == (0,)


@pytest.mark.parametrize("settings", [EXACT, CELLS], ids=["all pairs", "cells"])
def test_the_engine_does_not_matter(settings: ClusterSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small parts, so that there are many items."""
    monkeypatch.setattr(module, "_WEIGHED", 400)
    for name in ("_SORTED", "_RANKED", "_FEWEST_QUERIES"):
        monkeypatch.setattr(f"facelib.clusters.cells.{name}", 400)
    engine = Backwards()
    graphs = [similarity_graph(_planted("dlib").embeddings, np.arange(N), settings, e) for e in _engines(engine)]
    assert len(engine.ran) >= 2
    ours, theirs = graphs
    for column, expected in zip(theirs.edges, ours.edges, strict=True):
        np.testing.assert_array_equal(column, expected)
    np.testing.assert_array_equal(theirs.weight, ours.weight)
    assert (theirs.floor, theirs.search) == (ours.floor, ours.search)


def _engines(other: Engine) -> list[Engine]:
    return [LOCAL, other]
