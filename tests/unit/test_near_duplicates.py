"""Groups of near-identical hashes, against brute force over all pairs."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from facelib.clusters.near_duplicates import near_duplicate_groups
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


def _hashes(seed: int, n: int, families: int) -> np.ndarray:
    """Random 64-bit hashes; `families` of them have descendants with a few bits flipped, chains included."""
    rng = np.random.default_rng(seed)
    values = [int(x) for x in rng.integers(0, 2**64, n - 6 * families, dtype=np.uint64)]
    for i in range(families):
        value = values[i]
        for _ in range(6):
            for bit in rng.choice(64, rng.integers(0, 9), replace=False):
                value ^= 1 << int(bit)
            values.append(value)
    return rng.permutation(np.array(values, np.uint64)).view(np.int64)


def _brute(hashes: np.ndarray, distance: int) -> list[set[int]]:
    values = [int(h) & (2**64 - 1) for h in hashes]
    graph = nx.Graph()
    graph.add_nodes_from(range(len(values)))
    graph.add_edges_from(
        (i, j) for i in range(len(values)) for j in range(i) if (values[i] ^ values[j]).bit_count() <= distance
    )
    return [c for c in nx.connected_components(graph) if len(c) > 1]


def _groups(labels: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(labels == g).tolist()) for g in range(labels.max() + 1)]


@pytest.mark.parametrize("distance", [0, 1, 4, 6, 10, 16])
@pytest.mark.parametrize("seed", [21, 22])
def test_equals_brute_force(distance: int, seed: int) -> None:
    hashes = _hashes(seed, n=400, families=25)
    expected = _brute(hashes, distance)
    found = _groups(near_duplicate_groups(hashes, distance))
    assert sorted(map(sorted, found)) == sorted(map(sorted, expected))


def test_equals_brute_force_where_hashes_crowd_together() -> None:
    """Only 14 bits vary: most parts of the hash are shared by everything."""
    hashes = np.random.default_rng(23).integers(0, 2**14, 300).astype(np.int64) << 20
    found = _groups(near_duplicate_groups(hashes, 2))
    assert sorted(map(sorted, found)) == sorted(map(sorted, _brute(hashes, 2)))


def test_labels_follow_the_images_under_permutation() -> None:
    hashes = _hashes(24, n=300, families=20)
    order = np.random.default_rng(25).permutation(300)
    np.testing.assert_array_equal(near_duplicate_groups(hashes[order]), near_duplicate_groups(hashes)[order])


def test_identical_hashes_cost_no_more_than_distinct_ones() -> None:
    """All pairs of 300,000 equal hashes would be 4.5e10 comparisons."""
    labels = near_duplicate_groups(np.repeat(np.array([5, -7], np.int64), 300_000))
    np.testing.assert_array_equal(labels, np.repeat([1, 0], 300_000))


def test_unrelated_hashes_are_in_no_group() -> None:
    hashes = np.random.default_rng(26).integers(-(2**63), 2**63, 20_000, dtype=np.int64)
    assert (near_duplicate_groups(hashes) == -1).all()


@pytest.mark.parametrize("n", [0, 1])
def test_none_and_one(n: int) -> None:
    assert near_duplicate_groups(np.zeros(n, np.int64)).tolist() == [-1] * n


@pytest.mark.parametrize("distance", [-1, 17])
def test_refuses_a_distance_out_of_range(distance: int) -> None:
    with pytest.raises(ConfigError, match="max_distance"):
        near_duplicate_groups(np.zeros(3, np.int64), distance)
