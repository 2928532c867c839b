"""Diversity figures against SciPy, sums written out by hand, and their defining properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import entropy

from facelib.audit.diversity import (
    effective_categories,
    evenness,
    hill,
    imbalance_ratio,
    miller_madow,
    shannon,
    simpson,
)
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


def test_hand_worked() -> None:
    """p = ½, ¼, ⅛, ⅛: H = (½·1 + ¼·2 + ⅛·3 + ⅛·3) ln 2 = 1.75 ln 2; Σp² = 16/64 + 4/64 + 2/64 = 22/64."""
    counts = [8, 4, 2, 2]
    assert shannon(counts) == pytest.approx(1.75 * math.log(2))
    assert evenness(counts, 4) == pytest.approx(1.75 / 2)
    assert evenness([*counts, 0, 0, 0, 0], 8) == pytest.approx(1.75 / 3)
    assert effective_categories(counts) == pytest.approx(64 / 22)
    assert imbalance_ratio(counts) == 4.0


def test_hand_worked_chances_of_two_different_units() -> None:
    """16 units as 8, 4, 2, 2: pairs of one category 28 + 6 + 1 + 1 = 36 of 120; with replacement 88 of 256."""
    counts = [8, 4, 2, 2]
    assert simpson(counts) == pytest.approx(1 - 88 / 256)
    assert simpson(counts, replacement=False) == pytest.approx(1 - 36 / 120)
    assert miller_madow([*counts, 0]) == pytest.approx(1.75 * math.log(2) + 3 / 32)


def test_simpson_without_replacement_is_right_on_average_and_with_replacement_too_small() -> None:
    rng = np.random.default_rng(5)
    p = np.array([0.5, 0.3, 0.15, 0.05])
    draws = rng.multinomial(6, p, 8_000)
    assert np.mean([simpson(d, replacement=False) for d in draws]) == pytest.approx(1 - (p**2).sum(), abs=0.008)
    assert np.mean([simpson(d) for d in draws]) == pytest.approx((1 - (p**2).sum()) * 5 / 6, abs=0.008)


def test_miller_madow_is_nearer_the_entropy_of_the_source() -> None:
    rng = np.random.default_rng(6)
    p = np.array([0.4, 0.3, 0.2, 0.1])
    draws = rng.multinomial(30, p, 3_000)
    plain, corrected = (np.mean([f(d) for d in draws]) - entropy(p) for f in (shannon, miller_madow))
    assert plain < -0.04
    assert abs(corrected) < 0.01


def test_diversity_numbers_of_every_order() -> None:
    rng = np.random.default_rng(12)
    for _ in range(100):
        counts = rng.integers(0, 30, 8)
        counts[0] += 1
        p = counts[counts > 0] / counts.sum()
        assert hill(counts, 0) == pytest.approx(p.size)
        assert hill(counts, 1) == pytest.approx(math.exp(entropy(p)))
        assert hill(counts, 2) == pytest.approx(effective_categories(counts))
        assert hill(counts, math.inf) == pytest.approx(1 / p.max())
        assert hill(counts, 0.5) == pytest.approx(np.sqrt(p).sum() ** 2)
        assert hill(counts, 1 + 1e-6) == pytest.approx(hill(counts, 1), rel=1e-4)
        assert hill(counts, 5000) == pytest.approx(1 / p.max(), rel=1e-2)
        falling = [hill(counts, q) or 0.0 for q in (0, 0.5, 1, 1.5, 2, 3, 10, math.inf)]
        assert np.all(np.diff(falling) <= 1e-9)


def test_random_counts_agree_with_scipy_and_loops() -> None:
    rng = np.random.default_rng(11)
    for _ in range(200):
        counts = rng.integers(0, 50, rng.integers(2, 12))
        counts[0] += 1
        total = int(counts.sum())
        assert shannon(counts) == pytest.approx(entropy(counts), abs=1e-12)
        assert evenness(counts, counts.size) == pytest.approx(entropy(counts, base=counts.size), abs=1e-12)
        simpson = sum((c / total) ** 2 for c in counts.tolist())
        assert effective_categories(counts) == pytest.approx(1 / simpson)


@pytest.mark.parametrize("s", range(2, 60))
def test_equal_counts_reach_the_upper_bounds_and_no_more(s: int) -> None:
    even = evenness([7] * s, s)
    assert even is not None
    assert 1 - 1e-12 < even <= 1
    assert effective_categories([7] * s) == pytest.approx(s)
    assert imbalance_ratio([7] * s) == 1.0


def test_one_occupied_category_has_no_diversity() -> None:
    assert shannon([0, 9, 0]) == 0.0
    assert math.copysign(1, shannon([9]) or 0.0) == 1
    assert evenness([0, 9, 0], 3) == 0.0
    assert effective_categories([0, 9, 0]) == 1.0


def test_declared_but_absent_category_lowers_evenness_and_voids_the_ratio() -> None:
    assert evenness([5, 5], 2) == 1.0
    assert evenness([5, 5, 0], 3) == pytest.approx(math.log(2) / math.log(3))
    assert imbalance_ratio([5, 5, 0]) is None


@pytest.mark.parametrize("counts", [[], [0], [0, 0, 0]])
def test_no_units_leave_everything_undefined(counts: list[int]) -> None:
    assert shannon(counts) is None
    assert evenness(counts, 3) is None
    assert effective_categories(counts) is None
    assert imbalance_ratio(counts) is None
    assert miller_madow(counts) is None
    assert simpson(counts) is None
    assert simpson(counts, replacement=False) is None
    assert hill(counts, 1) is None


def test_one_unit_forms_no_pair() -> None:
    assert simpson([1, 0]) == 0.0
    assert simpson([1, 0], replacement=False) is None
    assert simpson([1, 1], replacement=False) == 1.0
    assert simpson([2, 0], replacement=False) == 0.0


def test_evenness_needs_two_declared_categories() -> None:
    assert evenness([4], 1) is None
    assert evenness([4], 2) == 0.0


def test_counts_of_any_shape_and_size() -> None:
    pair = np.array([[10**9, 2 * 10**9], [3 * 10**9, 4 * 10**9]], np.int64)
    assert shannon(pair) == pytest.approx(entropy([1, 2, 3, 4]))
    assert effective_categories(pair) == pytest.approx(100 / 30)
    assert simpson(pair * 1000) == pytest.approx(0.7)
    assert simpson(pair * 1000, replacement=False) == pytest.approx(0.7)
    assert hill(pair * 1000, 3) == pytest.approx((1 + 8 + 27 + 64) ** -0.5 * 10**1.5)


def test_wrong_counts_are_refused() -> None:
    with pytest.raises(ConfigError, match="negative"):
        shannon([3, -1])
    with pytest.raises(ConfigError, match="not a number"):
        imbalance_ratio([3, math.nan])
    with pytest.raises(ConfigError, match="only 2 are declared"):
        evenness([1, 1, 1], 2)
    with pytest.raises(ConfigError, match="0 or more"):
        hill([1, 1], -1)
