"""Wilson interval against statsmodels and against a published table."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from facelib.audit.intervals import wilson
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_agrees_with_statsmodels(confidence: float) -> None:
    rng = np.random.default_rng(20240501)
    of = np.concatenate([np.arange(1, 40), rng.integers(1, 10**8, 300)])
    n = rng.integers(0, of + 1)
    n[:20], n[20:40] = 0, of[20:40]
    low, high = wilson(n, of, confidence)
    expected_low, expected_high = proportion_confint(n, of, alpha=1 - confidence, method="wilson")
    np.testing.assert_allclose(low, expected_low, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(high, expected_high, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("n", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_published_examples(n: int, of: int, low: float, high: float) -> None:
    """R. G. Newcombe, Statistics in Medicine 17 (1998) 857–872, table I, method 3."""
    np.testing.assert_allclose(wilson(n, of), (low, high), atol=5e-5)


def test_ends_are_exact_and_inside_the_unit_interval() -> None:
    of = np.arange(1, 3000)
    low, _ = wilson(np.zeros_like(of), of)
    _, high = wilson(of, of)
    assert (low == 0).all()
    assert (high == 1).all()
    low, high = wilson(of // 2, of)
    assert ((low >= 0) & (low <= of // 2 / of) & (of // 2 / of <= high) & (high <= 1)).all()


def test_no_trials_give_nan_beside_known_values() -> None:
    low, high = wilson([0, 5], [0, 10])
    assert np.isnan([low[0], high[0]]).all()
    assert not np.isnan([low[1], high[1]]).any()


def test_scalar_denominator_broadcasts() -> None:
    low, high = wilson(np.arange(6).reshape(2, 3), 5)
    assert low.shape == high.shape == (2, 3)
    assert low.dtype == np.float64


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    low, high = wilson(rng.binomial(200, 0.3, 20_000), 200)
    assert np.mean((low <= 0.3) & (high >= 0.3)) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize(("n", "of"), [(-1, 5), (6, 5), (np.nan, 5), (1, 0)])
def test_impossible_counts_are_refused(n: float, of: float) -> None:
    with pytest.raises(ConfigError, match="outside 0 … of"):
        wilson(n, of)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_confidence_is_a_fraction(confidence: float) -> None:
    with pytest.raises(ConfigError, match=r"between 0 and 1"):
        wilson(1, 2, confidence)
