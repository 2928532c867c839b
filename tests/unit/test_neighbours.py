"""Exact neighbours and the similarity histogram, against brute force in float64."""

from __future__ import annotations

import numpy as np
import pytest

from facelib.clusters.neighbours import (
    BINS,
    Edges,
    empty_histogram,
    exact_neighbours,
    joined,
    knn_block,
    normalise,
    symmetric_union,
    unique_edges,
)
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import Space
from facelib.errors import DegenerateResultError

pytestmark = pytest.mark.unit


def _unit(seed: int, n: int, d: int = 16) -> np.ndarray:
    return normalise(np.random.default_rng(seed).normal(size=(n, d)))


def _brute(unit: np.ndarray) -> np.ndarray:
    similarity = unit.astype(np.float64) @ unit.T.astype(np.float64)
    np.fill_diagonal(similarity, -9)
    return similarity


def test_normalise_gives_unit_rows_and_leaves_zero_rows() -> None:
    unit = normalise(np.array([[3.0, 4.0], [0.0, 0.0], [1e-30, 0.0], [1e30, 1e30]]))
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0], [1, 0], [0.5**0.5, 0.5**0.5]], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_normalise_refuses_values_that_are_not_finite(bad: float) -> None:
    values = np.ones((5, 3))
    values[2, 1] = bad
    with pytest.raises(DegenerateResultError, match="1 of 5 faces"):
        normalise(values)


def test_normalise_refuses_a_flat_array() -> None:
    with pytest.raises(DegenerateResultError, match="1 dimensions"):
        normalise(np.ones(4))


@pytest.mark.parametrize(("n", "k", "tile"), [(300, 10, 7), (300, 10, 1024), (50, 80, 16), (2, 5, 1)])
def test_neighbours_equal_brute_force(n: int, k: int, tile: int) -> None:
    unit = _unit(seed=3, n=n)
    indices, cosine = knn_block(unit, unit, k, 0, tile=tile)
    expected = np.argsort(-_brute(unit), axis=1, kind="stable")[:, : min(k, n - 1)]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(cosine, np.take_along_axis(_brute(unit), expected, 1), atol=1e-6)


def test_blocks_and_tiles_give_the_same_bits() -> None:
    unit = _unit(seed=4, n=257, d=128)
    whole = knn_block(unit, unit, 20, 0)
    blocks = [knn_block(unit[i : i + 100], unit, 20, i, tile=13) for i in (0, 100, 200)]
    np.testing.assert_array_equal(np.concatenate([b[0] for b in blocks]), whole[0])
    np.testing.assert_array_equal(np.concatenate([b[1] for b in blocks]), whole[1])


def test_copies_of_a_face_are_neighbours_and_the_face_itself_is_not() -> None:
    unit = _unit(seed=5, n=40)
    unit[10:25] = unit[10]
    indices, cosine = knn_block(unit, unit, 14, 0, tile=8)
    assert not (indices == np.arange(40)[:, None]).any()
    assert set(indices[10]) == set(range(11, 25))
    np.testing.assert_allclose(cosine[10:25], 1, atol=1e-6)


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_be_near(n: int) -> None:
    indices, cosine = knn_block(_unit(1, n), _unit(1, n), 5, 0)
    assert indices.shape == cosine.shape == (n, 0)


def test_histogram_counts_every_ordered_pair_and_adds_over_blocks() -> None:
    unit = _unit(seed=6, n=211)
    histogram = empty_histogram()
    for start in range(0, 211, 50):
        knn_block(unit[start : start + 50], unit, 3, start, tile=32, histogram=histogram)
    pairs = _brute(unit)[~np.eye(211, dtype=bool)]
    expected, _ = np.histogram(pairs, bins=BINS, range=(-1, 1))
    assert histogram.sum() == 211 * 210
    assert np.abs(np.cumsum(histogram) - np.cumsum(expected)).max() <= 4  # float32 products at bin edges


def test_histogram_keeps_similarities_of_plus_and_minus_one() -> None:
    unit = np.array([[1, 0], [1, 0], [-1, 0]], np.float32)
    histogram = empty_histogram()
    knn_block(unit, unit, 2, 0, histogram=histogram)
    assert histogram[-1] == 2
    assert histogram[0] == 4


def test_symmetric_union_holds_each_pair_once() -> None:
    unit = _unit(seed=7, n=120)
    indices, cosine = knn_block(unit, unit, 5, 0)
    edges = symmetric_union(indices, cosine)
    expected = sorted({(min(i, j), max(i, j)) for i, row in enumerate(indices.tolist()) for j in row})
    assert list(zip(edges.u.tolist(), edges.v.tolist(), strict=True)) == expected
    np.testing.assert_allclose(edges.similarity, _brute(unit)[edges.u, edges.v], atol=1e-6)


def test_edges_of_blocks_merge_to_the_edges_of_the_whole() -> None:
    unit = _unit(seed=8, n=90)
    whole = symmetric_union(*knn_block(unit, unit, 6, 0))
    parts = [symmetric_union(*knn_block(unit[i : i + 30], unit, 6, i), row_offset=i) for i in (60, 0, 30)]
    merged = unique_edges(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    for column, expected in zip(merged, whole, strict=True):
        np.testing.assert_array_equal(column, expected)


def _random_edges(rng: np.random.Generator, n: int) -> Edges:
    a, b = rng.integers(0, 30, (2, n))
    return unique_edges(a[a != b], b[a != b], rng.random(np.count_nonzero(a != b), np.float32))


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 9), (9, 0), (200, 5), (5, 200), (150, 150)])
def test_joined_edges_are_those_of_both_and_the_first_similarity_counts(n: int, m: int) -> None:
    rng = np.random.default_rng(n + 7 * m)
    first, second = _random_edges(rng, n), _random_edges(rng, m)
    expected = {(u, v): s for u, v, s in [*zip(*second, strict=True), *zip(*first, strict=True)]}
    found = joined(first, second)
    assert list(zip(found.u.tolist(), found.v.tolist(), strict=True)) == sorted(expected)
    assert found.similarity.tolist() == [expected[pair] for pair in sorted(expected)]
    assert [column.dtype for column in found] == [np.int64, np.int64, np.float32]


@pytest.mark.parametrize("is_corrected", [False, True])
def test_the_pass_over_all_faces_equals_brute_force(is_corrected: bool) -> None:
    """Also in blocks: 1,100 faces are two."""
    unit = _unit(seed=9, n=1100)
    weight = np.random.default_rng(10).uniform(0.5, 2, 1100).astype(np.float32)
    space = Space.corrected(unit, weight) if is_corrected else Space.plain(unit)
    edges, histogram = exact_neighbours(space, ClusterSettings(neighbours=7))
    similarity = _brute(unit)
    if is_corrected:
        similarity = 1 - (1 - similarity) * np.outer(weight, weight).astype(np.float64)
    np.fill_diagonal(similarity, -np.inf)
    expected = set()
    for i, row in enumerate(np.argsort(-similarity, axis=1)[:, :7].tolist()):
        expected |= {(min(i, j), max(i, j)) for j in row}
    assert set(zip(edges.u.tolist(), edges.v.tolist(), strict=True)) == expected
    np.testing.assert_allclose(edges.similarity, similarity[edges.u, edges.v], atol=3e-6)
    pairs = similarity[~np.eye(1100, dtype=bool)]
    counts, _ = np.histogram(np.clip(pairs, -1, 1), bins=BINS, range=(-1, 1))
    assert histogram.sum() == 1100 * 1099
    assert np.abs(np.cumsum(histogram) - np.cumsum(counts)).max() <= 1100 * 1099 * 1e-4  # float32 at bin edges
    assert (pairs.min() < -1.5) == is_corrected  # such pairs are in the first bin
