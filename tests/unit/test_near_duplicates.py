"""Groups of near-identical codes, against brute force over all pairs; and what crowded codes cost."""

from __future__ import annotations

from itertools import product

import networkx as nx
import numpy as np
import pytest

from facelib.clusters import near_duplicates
from facelib.clusters.hash_bands import plan_bands
from facelib.clusters.near_duplicates import near_components, near_duplicate_groups

pytestmark = pytest.mark.unit

Codes = np.ndarray


def random_codes(rng: np.random.Generator, n: int) -> Codes:
    return rng.integers(0, 2**64, (n, 2), dtype=np.uint64)


def flip_bits(rng: np.random.Generator, codes: Codes, most: int) -> None:
    """Up to `most` random bits of each code, in place."""
    for _ in range(most):
        bits = np.uint64(1) << rng.integers(0, 64, len(codes)).astype(np.uint64)
        codes[np.arange(len(codes)), rng.integers(0, 2, len(codes))] ^= bits


def families(seed: int, n: int) -> tuple[Codes, Codes]:
    """Codes and mirror codes, half of them descended from the others by a few bits, some of those mirrored."""
    rng = np.random.default_rng(seed)
    codes = np.stack([random_codes(rng, n), random_codes(rng, n)], axis=1)
    for i in range(n // 2, n):
        codes[i] = codes[rng.integers(n // 2 - 40, i)]
        flip_bits(rng, codes[i], int(rng.integers(0, 13)))
        if i % 4 == 0:
            codes[i] = codes[i, ::-1].copy()
    codes = rng.permutation(codes)
    return codes[:, 0].copy(), codes[:, 1].copy()


def brute_force(own: Codes, mirror: Codes, distance: int) -> list[list[int]]:
    sides = [[int(a) << 64 | int(b) for a, b in c] for c in (own, mirror)]
    graph = nx.Graph()
    graph.add_edges_from(
        (i, j)
        for i in range(len(own))
        for j in range(i)
        if any((a[i] ^ b[j]).bit_count() <= distance for a, b in product(sides, sides))
    )
    return sorted(sorted(c) for c in nx.connected_components(graph))


def groups(labels: np.ndarray) -> list[list[int]]:
    return sorted(np.flatnonzero(labels == g).tolist() for g in range(labels.max(initial=-1) + 1))


def found(own: Codes, mirror: Codes, distance: int) -> list[list[int]]:
    return groups(near_duplicate_groups(own.view(np.int64), mirror.view(np.int64), distance))


@pytest.mark.parametrize("crowd", [20, 1000])
@pytest.mark.parametrize("distance", [0, 1, 5, 14, 24])
def test_equals_brute_force(distance: int, crowd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables even of few codes, with crowds of more than 20 or none at all."""
    monkeypatch.setattr("facelib.clusters.hash_bands._SORT", -1e9)
    monkeypatch.setattr(near_duplicates, "_CROWD", crowd)
    own, mirror = families(21 + distance, 240)
    expected = brute_force(own, mirror, distance)
    assert found(own, mirror, distance) == expected
    assert len(expected) > 2 or distance < 5


@pytest.mark.parametrize("distance", [0, 3, 14])
@pytest.mark.parametrize("mask", [(0x3FFF, 0), (0, 0xF0F0F0F0), (0x0F0F000000000000, 0xFF)])
def test_equals_brute_force_where_codes_crowd_together(mask: tuple[int, int], distance: int) -> None:
    own, mirror = (c & np.array(mask, np.uint64) for c in families(31, 200))
    assert found(own, mirror, distance) == brute_force(own, mirror, distance)


@pytest.mark.parametrize(("distance", "n"), [(0, 10), (1, 1000), (4, 10**6), (14, 10**4), (14, 10**8), (24, 10**7)])
def test_every_near_pair_meets_in_a_table(distance: int, n: int) -> None:
    """Whatever bits differ, some band's key agrees, and one of that band's tables contains it."""
    rng = np.random.default_rng(distance)
    bands = plan_bands(rng.integers(0, n + 1, (2, 64)), n, distance).bands
    for _ in range(200):
        difference = [0, 0]
        for bit in rng.choice(128, distance, replace=False):
            difference[bit // 64] |= 1 << int(bit % 64)
        assert any(table & difference[band.word] == 0 for band in bands for table in band.tables)
    assert all(table & band.mask == band.mask for band in bands for table in band.tables)


def test_labels_follow_the_images_under_permutation() -> None:
    own, mirror = families(24, 300)
    order = np.random.default_rng(25).permutation(300)
    before = {frozenset(int(np.flatnonzero(order == i)[0]) for i in g) for g in found(own, mirror, 14)}
    assert before == {frozenset(g) for g in found(own[order], mirror[order], 14)}


def test_a_mirrored_copy_is_near_in_either_direction() -> None:
    picture, flipped = np.array([[5, -9]]), np.array([[2**62, 77]])
    for codes, mirrors in ((picture, flipped), (flipped, picture)):
        both = np.concatenate([codes, mirrors]), np.concatenate([mirrors, codes])
        assert near_duplicate_groups(*both, 0).tolist() == [0, 0]


def test_identical_codes_cost_no_more_than_distinct_ones() -> None:
    """All pairs of 300,000 equal codes would be 4.5e10 comparisons."""
    codes = np.repeat(np.array([[5, 6], [-7, 6]], np.int64), 300_000, axis=0)
    np.testing.assert_array_equal(near_duplicate_groups(codes, codes, 0), np.repeat([0, 1], 300_000))


def test_unrelated_codes_are_in_no_group() -> None:
    own, mirror = np.split(random_codes(np.random.default_rng(26), 20_000).view(np.int64), 2)
    assert (near_duplicate_groups(own, mirror, 14) == -1).all()


@pytest.mark.parametrize("n", [0, 1])
def test_none_and_one(n: int) -> None:
    assert near_duplicate_groups(np.zeros((n, 2), np.int64), np.ones((n, 2), np.int64), 14).tolist() == [-1] * n


def compared(codes: Codes, distance: int) -> tuple[float, int]:
    """Share of all pairs that were compared, and the number of components."""
    n = len(codes)
    result = near_components(codes, np.arange(n), distance)
    return result.comparisons / (n * (n - 1) / 2), int(result.labels.max()) + 1


def test_few_pairs_of_unrelated_codes_are_compared() -> None:
    assert compared(random_codes(np.random.default_rng(41), 50_000), 14)[0] < 0.005


@pytest.mark.parametrize("mask", [0x5555555555555555, 0xFFFFFFFF])
@pytest.mark.parametrize(("distance", "share"), [(4, 0.0002), (8, 0.005)])
def test_codes_that_share_half_of_their_bits_are_not_all_compared(mask: int, distance: int, share: float) -> None:
    codes = random_codes(np.random.default_rng(42), 50_000) & np.uint64(mask)
    assert compared(codes, distance)[0] < share


def test_a_crowd_among_unrelated_codes_is_not_all_compared() -> None:
    """10,000 codes within 7 bits of one are all near each other (4 % of all pairs); 40,000 are near none."""
    rng = np.random.default_rng(43)
    codes = random_codes(rng, 50_000)
    codes[:10_000] = codes[0]
    flip_bits(rng, codes[:10_000], 7)
    share, components = compared(codes, 14)
    assert share < 0.03
    assert components == 40_001


def test_the_worst_crowds_cost_little_more_than_all_pairs() -> None:
    """Codes that differ in one word only, by about as much as near ones do."""
    codes = np.zeros((6000, 2), np.uint64)
    rng = np.random.default_rng(44)
    flip_bits(rng, codes, 24)
    codes[:, 0] = 1
    assert compared(codes, 14)[0] < 1.3
