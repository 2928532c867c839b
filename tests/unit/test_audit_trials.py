"""Test sizes against the intervals and probabilities they promise, from statsmodels and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint, samplesize_confint_proportion

from facelib.audit.trials import (
    identities_for_trials,
    trials_for_rule_of_30,
    trials_for_width,
    trials_for_zero_errors,
)
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_interval_is_as_narrow_as_asked_and_one_trial_fewer_is_too_few(confidence: float) -> None:
    rng = np.random.default_rng(5)
    rate = np.concatenate([[0, 1, 0.5], 10 ** rng.uniform(-6, 0, 300)])
    width = 10 ** rng.uniform(-5, -0.1, rate.size)
    n = trials_for_width(rate, width, confidence)

    def obtained(trials: np.ndarray) -> np.ndarray:
        low, high = proportion_confint(rate * trials, trials, alpha=1 - confidence, method="wilson")
        return np.asarray(high - low)

    assert (obtained(n) <= width * (1 + 1e-9)).all()
    more = n > 1
    assert more.sum() > 250
    assert (obtained(np.maximum(n - 1, 1))[more] > width[more] * (1 - 1e-9)).all()


def test_large_tests_need_what_the_normal_approximation_says() -> None:
    rate = np.array([0.5, 0.1, 0.01])
    expected = samplesize_confint_proportion(rate, rate / 100)
    np.testing.assert_allclose(trials_for_width(rate, rate / 50), expected, rtol=1e-3)


def test_width_by_hand() -> None:
    """z² = 3.8415: p = 0 gives 3.8415 × 99 = 380.3; p = 0.5 gives z² (1/w² − 1) = 3.8415 × 99 for w = 0.1."""
    np.testing.assert_array_equal(trials_for_width([0, 0.5], [0.01, 0.1]), [381, 381])


@pytest.mark.parametrize("rate", [0.3, 0.01, 0.001, 1e-6])
def test_zero_errors(rate: float) -> None:
    n = int(trials_for_zero_errors(rate))
    assert binom.pmf(0, n, rate) <= 0.05 < binom.pmf(0, n - 1, rate)
    upper = proportion_confint(0, n, alpha=0.1, method="beta")[1]
    assert upper <= rate
    if rate < 0.01:
        assert n == pytest.approx(3 / rate, rel=2e-3)


@pytest.mark.parametrize("rate", [0.01, 0.001])
def test_with_30_errors_the_rate_is_known_to_30_percent(rate: float) -> None:
    """Exactly 0.87 when 30 are expected; with 30 observed, the normal interval at 90 % is ± 1.645 / √30 = 30 %."""
    n = int(trials_for_rule_of_30(rate))
    assert n == round(30 / rate)
    errors = np.arange(1, 200)
    near = np.abs(errors / n - rate) <= 0.3 * errors / n
    assert binom.pmf(errors, n, rate)[near].sum() == pytest.approx(0.87, abs=0.005)


def test_identities_for_trials() -> None:
    least, safe = identities_for_trials(np.arange(1, 3000), "non-mated")
    assert (least * (least - 1) // 2 >= np.arange(1, 3000)).all()
    assert ((least - 1) * (least - 2) // 2 < np.arange(1, 3000)).all()
    np.testing.assert_array_equal(safe, 2 * np.arange(1, 3000))
    assert identities_for_trials(10**12, "non-mated") == (1_414_215, 2 * 10**12)
    assert identities_for_trials(0, "non-mated") == (0, 0)
    assert identities_for_trials(7, "mated") == (7, 7)


def test_impossible_arguments_are_refused() -> None:
    for rate, width in ((-0.1, 0.1), (1.1, 0.1), (np.nan, 0.1), (0.1, 0), (0.1, 1)):
        with pytest.raises(ConfigError, match="rate must lie"):
            trials_for_width(rate, width)
    for rate in (0, 1):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            trials_for_zero_errors(rate)
        with pytest.raises(ConfigError, match="between 0 and 1"):
            trials_for_rule_of_30(rate)
    with pytest.raises(ConfigError, match="confidence"):
        trials_for_zero_errors(0.1, 95)
    with pytest.raises(ConfigError, match="mated or non-mated"):
        identities_for_trials(1, "genuine")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="whole numbers"):
        identities_for_trials(-1, "mated")
