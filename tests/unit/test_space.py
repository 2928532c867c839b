"""Plain and corrected similarity against the formula in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from facelib.clusters.neighbours import normalise
from facelib.clusters.space import Space

pytestmark = pytest.mark.unit

N = 300


def _faces(seed: int, d: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows and weights over the whole range of weights."""
    rng = np.random.default_rng(seed)
    return normalise(0.3 + rng.normal(size=(N, d))), rng.uniform(0.5, 2, N).astype(np.float32)


def _by_formula(unit: np.ndarray, weight: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    cosine = (unit[a].astype(np.float64) * unit[b].astype(np.float64)).sum(axis=1)
    return 1 - (1 - cosine) * weight[a].astype(np.float64) * weight[b].astype(np.float64)


def _random_pairs(seed: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.random.default_rng(seed).integers(0, N, (2, m)))


@pytest.mark.parametrize("d", [1, 2, 128, 512])
def test_corrected_similarity_is_that_of_the_formula(d: int) -> None:
    unit, weight = _faces(1, d)
    a, b = _random_pairs(2, 5000)
    found = Space.corrected(unit, weight).similarity(a, b)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, _by_formula(unit, weight, a, b), atol=4e-6)


def test_by_hand() -> None:
    """At right angles 1 - w·w; opposite 1 - 2·w·w; a face with itself 1 whatever its weight."""
    unit = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    space = Space.corrected(unit, np.array([2, 1.5, 0.5], np.float32))
    pairs = np.array([0, 0, 1, 0]), np.array([1, 2, 2, 0])
    np.testing.assert_allclose(space.similarity(*pairs), [1 - 3, 1 - 2, 1 - 0.75, 1], atol=1e-6)


def test_plain_similarity_is_the_cosine_and_so_is_the_corrected_one_with_weights_of_one() -> None:
    unit, _ = _faces(3)
    a, b = _random_pairs(4, 2000)
    cosine = _by_formula(unit, np.ones(N), a, b)
    np.testing.assert_allclose(Space.plain(unit).similarity(a, b), cosine, atol=1e-6)
    np.testing.assert_allclose(Space.corrected(unit, np.ones(N, np.float32)).similarity(a, b), cosine, atol=1e-6)


@pytest.mark.parametrize("is_corrected", [False, True])
def test_a_pair_has_the_same_bits_from_either_side_and_in_any_grouping(is_corrected: bool) -> None:
    unit, weight = _faces(5)
    space = Space.corrected(unit, weight) if is_corrected else Space.plain(unit)
    a, b = _random_pairs(6, 70_000)  # more than one part
    found = space.similarity(a, b)
    np.testing.assert_array_equal(space.similarity(b, a), found)
    np.testing.assert_array_equal(space.similarity(a[-777:], b[-777:]), found[-777:])
    singly = [space.similarity(a[i : i + 1], b[i : i + 1])[0] for i in range(200)]
    np.testing.assert_array_equal(singly, found[:200])


@pytest.mark.parametrize("is_corrected", [False, True])
def test_a_subset_keeps_similarities_bit_for_bit(is_corrected: bool) -> None:
    unit, weight = _faces(7)
    space = Space.corrected(unit, weight) if is_corrected else Space.plain(unit)
    rows = np.random.default_rng(8).permutation(N)[:40]
    part = space.only(rows)
    a, b = np.array(list(itertools.combinations(range(40), 2))).T
    assert (space.faces, part.faces) == (N, 40)
    assert (part.right is part.left) == (not is_corrected)
    np.testing.assert_array_equal(part.similarity(a, b), space.similarity(rows[a], rows[b]))


def test_within_holds_each_pair_of_the_members_once() -> None:
    unit, weight = _faces(9)
    members = np.array([3, 250, 17, 90, 91, 4, 0])
    a, b = np.array(list(itertools.combinations(members.tolist(), 2))).T
    found = Space.corrected(unit, weight).within(members)
    assert len(found) == 21
    np.testing.assert_allclose(np.sort(found), np.sort(_by_formula(unit, weight, a, b)), atol=4e-6)


def test_no_members_and_no_pairs() -> None:
    space = Space.corrected(*_faces(10))
    none = np.empty(0, np.int64)
    assert len(space.similarity(none, none)) == len(space.within(none)) == len(space.within(np.array([5]))) == 0
    assert space.only(none).faces == 0


def test_the_space_is_made_of_contiguous_float32_rows() -> None:
    unit, weight = _faces(11)
    for side in Space.corrected(unit, weight):
        assert (side.shape, side.dtype, side.flags.c_contiguous) == ((N, 130), np.float32, True)
