"""Identities that stay together, and random samples of whole ones."""

from __future__ import annotations

import networkx
import numpy as np
import pytest

from facelib.audit.whole_units import drawn_units, linked_units

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("seed", range(5))
def test_linked_images_are_the_components_of_their_names(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cluster, subject = rng.integers(-1, 25, 60), rng.integers(-1, 30, 60)
    graph = networkx.Graph()
    graph.add_nodes_from(range(60))
    for i in range(60):
        graph.add_edges_from((i, f"{kind}{n[i]}") for kind, n in (("c", cluster), ("s", subject)) if n[i] >= 0)
    expected = [{i for i in found if isinstance(i, int)} for found in networkx.connected_components(graph)]
    unit = linked_units(cluster, subject)
    assert sorted(map(sorted, expected)) == sorted(np.flatnonzero(unit == u).tolist() for u in range(unit.max() + 1))
    assert (np.unique(unit, return_index=True)[1] == np.sort(np.unique(unit, return_index=True)[1])).all()


def test_images_without_names_are_alone() -> None:
    assert linked_units(np.array([-1, 3, -1, 3])).tolist() == [0, 1, 2, 1]


def test_few_images_are_all_taken() -> None:
    rows, share = drawn_units(np.array([0, 1, 1]), 3, seed=0)
    assert (rows.tolist(), share) == ([0, 1, 2], 1.0)


def test_a_sample_is_of_whole_units_within_the_limit_and_repeatable() -> None:
    unit = np.repeat(np.arange(200), np.random.default_rng(0).integers(1, 9, 200))
    rows, share = drawn_units(unit, 300, seed=4)
    drawn = np.unique(unit[rows])
    assert len(rows) <= 300
    assert len(rows) > 290
    assert np.isin(unit, drawn).sum() == len(rows)
    assert share == len(drawn) / 200
    np.testing.assert_array_equal(drawn_units(unit, 300, seed=4)[0], rows)
    assert len(np.setdiff1d(drawn_units(unit, 300, seed=5)[0], rows))


def test_images_of_small_and_large_units_are_drawn_as_often_as_told() -> None:
    unit = np.concatenate([np.arange(60), np.repeat(np.arange(60, 80), 6)])
    drawn, told = np.zeros(unit.size), 0.0
    for seed in range(2000):
        rows, share = drawn_units(unit, 60, seed)
        drawn[rows] += 1 / 2000
        told += share / 2000
    assert drawn[:60].mean() == pytest.approx(told, rel=0.05)
    assert drawn[60:].mean() == pytest.approx(told, rel=0.05)
