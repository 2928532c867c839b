"""Spread of images over identities: against sums over all pairs, order statistics and figures worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from facelib.audit.identities import QUANTILES, identity_spread, image_gini, image_quantiles, spread_by_group
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


def test_hand_worked() -> None:
    """1, 1, 2, 6 images: Σ|xᵢ − xⱼ| over ordered pairs 2(0 + 1 + 5 + 1 + 5 + 4) = 32 of 2 · 16 · 2.5; Σ x² = 42."""
    found = identity_spread([6, 1, 2, 1])
    assert (found.images, found.identities) == (10, 4)
    assert found.gini == pytest.approx(32 / 80)
    assert found.effective_identities == pytest.approx(100 / 42)
    assert found.largest_share == pytest.approx(0.6)
    np.testing.assert_array_equal(found.quantiles, [1, 1, 2, 6, 6])


def test_gini_agrees_with_all_pairs() -> None:
    rng = np.random.default_rng(4)
    for _ in range(100):
        x = rng.zipf(1.8, rng.integers(1, 60)).clip(max=10**6)
        pairs = np.abs(x[:, None] - x[None, :]).sum() / (2 * x.size**2 * x.mean())
        assert image_gini(x) == pytest.approx(pairs, abs=1e-12)
        assert image_gini(rng.permutation(np.append(x, [0, 0]))) == pytest.approx(pairs, abs=1e-12)


@pytest.mark.parametrize("images", [[5], [3] * 7, [10**12] * 3, [1]])
def test_equal_identities(images: list[int]) -> None:
    found = identity_spread(images)
    assert found.gini == pytest.approx(0, abs=1e-15)
    assert found.effective_identities == pytest.approx(len(images))
    assert found.largest_share == pytest.approx(1 / len(images))
    assert found.quantiles.tolist() == [images[0]] * len(QUANTILES)


def test_one_identity_with_nearly_all() -> None:
    found = identity_spread([10**12, *[1] * 99])
    assert found.gini == pytest.approx(0.99, abs=1e-8)
    assert found.effective_identities == pytest.approx(1, abs=1e-8)
    assert found.largest_share == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("images", [[], [0, 0]])
def test_no_images(images: list[int]) -> None:
    found = identity_spread(images)
    assert (found.images, found.identities) == (0, 0)
    assert found.gini is found.effective_identities is found.largest_share is None
    assert np.isnan(found.quantiles).all()


def test_quantiles_are_order_statistics() -> None:
    rng = np.random.default_rng(2)
    for size in (1, 2, 7, 100, 101):
        x = np.sort(rng.integers(1, 1000, size))
        for level in (0.0, 0.3, 0.5, 0.9, 1.0):
            parts = np.arange(1, size + 1) >= level * size - 1e-9
            assert image_quantiles(x, level) == x[parts][0]


def test_groups_against_counting_images() -> None:
    rng = np.random.default_rng(9)
    identity = rng.integers(0, 40, 500)
    group = np.where(rng.random(500) < 0.9, identity % 4, 4)
    group[identity == 3] = rng.integers(0, 2, (identity == 3).sum())
    group[group == 2] = 4
    found = spread_by_group(identity, group, 4)
    assert len(found) == 4
    assert found[2].images == 0
    for g in (0, 1, 3):
        images = [int((identity[group == g] == i).sum()) for i in range(40)]
        expected = identity_spread(images)
        assert (found[g].images, found[g].identities) == (sum(images), sum(n > 0 for n in images))
        assert found[g].gini == pytest.approx(expected.gini)
        assert found[g].largest_share == max(images) / sum(images)
        np.testing.assert_array_equal(found[g].quantiles, expected.quantiles)
    assert spread_by_group([], [], 2)[1].identities == 0


def test_wrong_counts_are_refused() -> None:
    with pytest.raises(ConfigError, match="negative"):
        identity_spread([1, -2])
    with pytest.raises(ConfigError, match="out of range"):
        spread_by_group([0, 1], [0, 3], 2)
