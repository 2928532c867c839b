"""Sums over identities against loops, and in parts against the whole."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from facelib.audit.identities import image_gini, weighted_gini
from facelib.audit.moments import rate_moments, share_moments
from facelib.audit.resampling import cluster_counts, moments_of, patterns, share_intervals
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


def drawn(seed: int, n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 60, n) ** 2, rng.integers(0, 4, n)


def test_moments_are_those_of_a_loop() -> None:
    identity, cell = drawn(1)
    found = share_moments(identity, cell, np.ones(500, np.int64), 5)
    held = Counter(zip(identity.tolist(), cell.tolist(), strict=True))
    size = Counter(identity.tolist())
    for k in range(5):
        own = {who: n for (who, at), n in held.items() if at == k}
        assert found.n[k] == sum(own.values())
        assert found.identities[k] == len(own)
        assert found.own_squares[k] == sum(n * n for n in own.values())
        assert found.cross[k] == sum(n * size[who] for who, n in own.items())
        sizes, times = found.sizes(k)
        assert Counter(own.values()) == dict(zip(sizes.tolist(), times.tolist(), strict=True))
        if own:
            assert weighted_gini(sizes, times) == pytest.approx(image_gini(list(own.values())))
    assert found.squares == sum(n * n for n in size.values())


def test_rows_may_be_counted_already_and_in_any_order() -> None:
    identity, cell = drawn(2)
    whole = share_moments(identity, cell, np.ones(500, np.int64), 4)
    keys = Counter(zip(identity.tolist(), cell.tolist(), strict=True))
    rows = [(who, at, n) for (who, at), n in reversed(keys.items())]
    counted = share_moments(*np.array(rows).T, 4)
    np.testing.assert_array_equal(whole.held, counted.held)
    np.testing.assert_array_equal(whole.cross, counted.cross)


def test_parts_add_up_to_the_whole() -> None:
    identity, cell = drawn(3)
    one = np.ones(500, np.int64)
    whole = share_moments(identity, cell, one, 4)
    parts = [share_moments(identity[rows], cell[rows], one[rows], 4) for rows in (identity % 3 == i for i in range(3))]
    total = parts[0] + parts[1] + parts[2]
    np.testing.assert_array_equal(total.held, whole.held)
    np.testing.assert_array_equal(total.cross, whole.cross)
    assert total.squares == whole.squares


def test_intervals_from_moments_are_those_from_patterns() -> None:
    identity, cell = drawn(4)
    clusters = patterns(cluster_counts(np.unique(identity, return_inverse=True)[1], cell, 4))
    expected = share_intervals(clusters)
    for moments in (share_moments(identity, cell, np.ones(500, np.int64), 4), moments_of(clusters)):
        found = share_intervals(moments)
        for name in ("share", "low", "high", "design_effect", "clusters"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12)


def test_no_units() -> None:
    nothing = share_moments([], [], [], 3)
    assert nothing.n.tolist() == [0, 0, 0]
    assert np.isnan(share_intervals(nothing).share).all()
    one = share_moments([7], [1], [4], 3)
    assert (nothing + one).n.tolist() == [0, 4, 0]
    rates = rate_moments([], [], [], [], 2)
    assert rates.units.tolist() == [0, 0]
    assert np.isnan(rates.design_effect).all()


def test_huge_counts_keep_their_digits() -> None:
    found = share_moments([0, 1], [0, 1], [10**12, 10**12], 2)
    assert found.n.tolist() == [10**12, 10**12]
    assert share_intervals(found).design_effect == pytest.approx([10**12] * 2)


def test_faults_are_named() -> None:
    with pytest.raises(ConfigError, match="cells from 0"):
        share_moments([1], [3], [1], 3)
    with pytest.raises(ConfigError, match="one of each per row"):
        share_moments([1, 2], [0], [1], 3)


def test_rates_and_their_design_effect_are_those_of_a_loop() -> None:
    """Σ (e − r w)² / (W r (1 − r)) over the identities of a cell; 1 where each has one unit."""
    rng = np.random.default_rng(5)
    identity, cell = drawn(5)
    hit = (rng.random(500) < 0.2).astype(np.int64)
    found = rate_moments(identity, cell, hit, np.ones(500, np.int64), 4)
    for k in range(4):
        rows = cell == k
        rate = hit[rows].mean()
        assert (found.events[k], found.units[k]) == (hit[rows].sum(), rows.sum())
        total = 0.0
        for who in set(identity[rows].tolist()):
            own = rows & (identity == who)
            total += (hit[own].sum() - rate * own.sum()) ** 2
        assert found.design_effect[k] == pytest.approx(total / (rows.sum() * rate * (1 - rate)))
    alone = rate_moments(np.arange(500), cell, hit, np.ones(500, np.int64), 4)
    assert alone.design_effect == pytest.approx(np.ones(4))
    both = rate_moments(identity[:250], cell[:250], hit[:250], np.ones(250, np.int64), 4)
    rest = rate_moments(identity[250:] + 10_000, cell[250:], hit[250:], np.ones(250, np.int64), 4)
    joined = rate_moments(
        np.concatenate([identity[:250], identity[250:] + 10_000]), cell, hit, np.ones(500, np.int64), 4
    )
    for name in ("events", "units", "events_squared", "cross", "units_squared"):
        np.testing.assert_array_equal(getattr(both + rest, name), getattr(joined, name))
