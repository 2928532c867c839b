"""Counts against reference shares: against SciPy and statsmodels, and simulated p-values against full enumeration."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chisquare, entropy, power_divergence
from statsmodels.stats.gof import chisquare_effectsize

from facelib.audit.reference import (
    flag,
    goodness_of_fit,
    jensen_shannon,
    jensen_shannon_distance,
    kullback_leibler,
    monte_carlo_p,
    ratio_range,
    share_ratios,
    total_variation,
    uniform,
)
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit

FIGURES = (total_variation, kullback_leibler, jensen_shannon, jensen_shannon_distance, ratio_range, goodness_of_fit)


def test_hand_worked() -> None:
    """p = 0.8, 0.2 against ½, ½: TV = ½ (0.3 + 0.3); KL = 0.8 ln 1.6 + 0.2 ln 0.4; w = √(0.09/0.5 · 2) = 0.6."""
    counts, shares = [8, 2], [0.5, 0.5]
    assert total_variation(counts, shares) == pytest.approx(0.3)
    assert kullback_leibler(counts, shares) == pytest.approx(0.8 * math.log(1.6) + 0.2 * math.log(0.4))
    np.testing.assert_allclose(share_ratios(counts, shares), [1.6, 0.4])
    assert ratio_range(counts, shares) == pytest.approx((0.4, 1.6))
    fit = goodness_of_fit(counts, shares)
    assert fit is not None
    assert (fit.n, fit.df, fit.smallest_expected, fit.is_simulated) == (10, 1, 5.0, False)
    assert fit.chi2 == pytest.approx(2 * 3**2 / 5)
    assert fit.cohen_w == pytest.approx(0.6)


def test_random_counts_agree_with_scipy_and_statsmodels() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        size = int(rng.integers(2, 12))
        shares = rng.dirichlet(np.full(size, 5.0))
        counts = rng.multinomial(int(rng.integers(2000, 10**6)), rng.dirichlet(np.full(size, 5.0)))
        p = counts / counts.sum()
        assert total_variation(counts, shares) == pytest.approx(np.maximum(p - shares, 0).sum(), abs=1e-12)
        assert kullback_leibler(counts, shares) == pytest.approx(entropy(p, shares), abs=1e-12)
        assert jensen_shannon_distance(counts, shares) == pytest.approx(jensenshannon(p, shares), abs=1e-9)
        assert jensen_shannon(counts, shares) == pytest.approx(jensenshannon(p, shares) ** 2, abs=1e-12)
        fit = goodness_of_fit(counts, shares)
        assert fit is not None
        if not fit.is_simulated:
            expected = shares / shares.sum() * counts.sum()
            chi2, g = chisquare(counts, expected), power_divergence(counts, expected, lambda_="log-likelihood")
            assert (fit.chi2, fit.p_chi2) == pytest.approx((chi2.statistic, chi2.pvalue), rel=1e-9)
            assert (fit.g, fit.p_g) == pytest.approx((g.statistic, g.pvalue), rel=1e-9)
        assert fit.cohen_w == pytest.approx(chisquare_effectsize(shares, p), rel=1e-9)


@pytest.mark.parametrize("shares", [[0.5, 0.3, 0.2], [0.05, 0.15, 0.8]])
def test_simulated_p_values_meet_the_exact_ones(shares: list[float]) -> None:
    """All 21 outcomes of 5 units in 3 categories, with their multinomial chances."""
    n, q = 5, np.array(shares)
    outcomes = np.array([o for o in product(range(n + 1), repeat=3) if sum(o) == n])
    chance = np.array([math.factorial(n) * np.prod(q**o / [math.factorial(k) for k in o]) for o in outcomes])
    expected = n * q
    chi2 = ((outcomes - expected) ** 2 / expected).sum(axis=1)
    g = np.array([2 * sum(k * math.log(k / e) for k, e in zip(o, expected, strict=True) if k) for o in outcomes])
    assert chance.sum() == pytest.approx(1)
    for i in range(0, len(outcomes), 3):
        fit = goodness_of_fit(outcomes[i], shares, seed=i)
        assert fit is not None
        assert fit.is_simulated
        assert fit.p_chi2 == pytest.approx(chance[chi2 >= chi2[i] - 1e-9].sum(), abs=0.02)
        assert fit.p_g == pytest.approx(chance[g >= g[i] - 1e-9].sum(), abs=0.02)
        assert fit == goodness_of_fit(outcomes[i], shares, seed=i)


def test_simulated_p_values_are_no_smaller_than_they_say() -> None:
    rng = np.random.default_rng(8)
    shares = [0.6, 0.3, 0.09, 0.01]
    fits = [goodness_of_fit(c, shares, replicates=199, seed=i) for i, c in enumerate(rng.multinomial(40, shares, 600))]
    p = np.array([f.p_chi2 for f in fits if f is not None])
    assert np.mean(p <= 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 600)
    assert np.mean(p <= 0.5) > 0.35


def test_a_p_value_is_never_zero() -> None:
    fit = goodness_of_fit([0, 0, 30], [0.49, 0.49, 0.02], replicates=99)
    assert fit is not None
    assert fit.p_chi2 == fit.p_g == 0.01
    assert monte_carlo_p(0, 999) == 0.001
    assert monte_carlo_p(999, 999) == 1.0


def test_counts_as_the_reference_has_them() -> None:
    shares = [0.1, 0.2, 0.7]
    for n in (10, 10**12):
        counts = [n // 10, n // 5, n * 7 // 10]
        for figure in (total_variation, kullback_leibler, jensen_shannon):
            assert figure(counts, shares) == pytest.approx(0, abs=1e-15)
        assert ratio_range(counts, shares) == pytest.approx((1, 1))
        fit = goodness_of_fit(counts, shares)
        assert fit is not None
        assert fit.chi2 == pytest.approx(0, abs=1e-3)
        assert fit.p_chi2 is not None
        assert fit.p_chi2 > 0.99


def test_nothing_in_common_reaches_the_upper_bounds() -> None:
    counts, shares = [0, 0, 9], [0.4, 0.6, 0.0]
    assert total_variation(counts, shares) == 1.0
    assert jensen_shannon(counts, shares) == pytest.approx(math.log(2))
    assert jensen_shannon_distance(counts, shares) == pytest.approx(0.8326, abs=1e-4)
    assert kullback_leibler(counts, shares) is None
    assert goodness_of_fit(counts, shares) is None
    np.testing.assert_array_equal(share_ratios(counts, shares), [0, 0, np.nan])


def test_a_category_of_reference_zero_without_units_changes_nothing() -> None:
    with_it, without = ([30, 70, 0], [0.4, 0.6, 0.0]), ([30, 70], [0.4, 0.6])
    for figure in FIGURES:
        assert figure(*with_it) == figure(*without)


def test_one_category_leaves_nothing_to_test() -> None:
    fit = goodness_of_fit([7], [1.0])
    assert fit is not None
    assert (fit.df, fit.chi2, fit.p_chi2, fit.p_g, fit.is_simulated) == (0, 0.0, None, None, False)


def test_published_shares_are_scaled_to_one() -> None:
    assert total_variation([33, 66], [0.332, 0.664]) == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(uniform(4), 0.25)


def test_no_units_leave_everything_undefined() -> None:
    for figure in FIGURES:
        assert figure([0, 0], [0.5, 0.5]) is None
    assert np.isnan(share_ratios([0, 0], [0.5, 0.5])).all()


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="one of each for every category"):
        total_variation([1, 2, 3], [0.5, 0.5])
    with pytest.raises(ConfigError, match="add up to 1"):
        kullback_leibler([1, 2], [0.5, 0.4])
    with pytest.raises(ConfigError, match="negative"):
        jensen_shannon([-1, 2], [0.5, 0.5])
    with pytest.raises(ConfigError, match="at least one category"):
        uniform(0)


@pytest.mark.parametrize(
    ("ratio", "low", "high", "flagged"),
    [
        (0.7, 0.6, 0.9, True),
        (0.7, 0.4, 1.2, False),  # chance explains it
        (0.85, 0.82, 0.88, False),  # certain but small
        (0.8, 0.75, 0.85, False),  # at the limit is not beyond it
        (1.3, 1.1, 1.5, True),
        (1.3, 1.0, 1.6, False),
        (2.0, 0.9, 3.0, False),
        (0.0, 0.0, 0.4, True),
        (np.nan, np.nan, np.nan, False),
    ],
)
def test_flagged_only_when_large_and_certain(ratio: float, low: float, high: float, flagged: bool) -> None:
    assert bool(flag(ratio, low, high)) is flagged


def test_flags_of_arrays_and_other_limits() -> None:
    found = flag([0.85, 1.15, 1.0], [0.8, 1.1, 0.9], [0.9, 1.2, 1.1], below=0.9, above=1.1)
    assert found.dtype == np.bool_
    assert found.tolist() == [True, True, False]
    with pytest.raises(ConfigError, match="either side of 1"):
        flag(1, 1, 1, below=1.1)
    with pytest.raises(ConfigError, match="exchange"):
        flag(1, 1.2, 0.8)
