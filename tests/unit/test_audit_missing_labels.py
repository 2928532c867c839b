"""Bounds of shares against all ways to fill in missing labels, and label rates against SciPy and statsmodels."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import chi2_contingency
from statsmodels.stats.proportion import proportion_confint

from facelib.audit.missing_labels import label_rates, label_rates_by_measure, worst_case_bounds
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("counts", [[3, 1, 0], [1, 1, 2], [0, 0, 0]])
def test_bounds_are_the_extremes_of_all_completions(counts: list[int]) -> None:
    missing = 4
    filled = [np.bincount(labels, minlength=3) + counts for labels in product(range(3), repeat=missing)]
    shares = np.array(filled) / (sum(counts) + missing)
    low, high = worst_case_bounds(counts, missing)
    np.testing.assert_allclose(low, shares.min(axis=0))
    np.testing.assert_allclose(high, shares.max(axis=0))


def test_bounds_hand_worked_at_any_size() -> None:
    """30 and 20 of 50 labelled, 50 missing: 0.3 … 0.8 and 0.2 … 0.7."""
    for scale in (1, 10**11):
        low, high = worst_case_bounds([30 * scale, 20 * scale, 0], 50 * scale)
        np.testing.assert_allclose(low, [0.3, 0.2, 0])
        np.testing.assert_allclose(high, [0.8, 0.7, 0.5])


def test_bounds_meet_when_nothing_is_missing_and_say_nothing_when_all_is() -> None:
    low, high = worst_case_bounds([3, 1], 0)
    np.testing.assert_array_equal([low, high], [[0.75, 0.25]] * 2)
    low, high = worst_case_bounds([0, 0], 9)
    np.testing.assert_array_equal([low, high], [[0, 0], [1, 1]])
    assert np.isnan(worst_case_bounds([0, 0], 0)).all()


def test_rates_agree_with_scipy_and_statsmodels() -> None:
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 4, 5000)
    labelled = rng.random(5000) < np.array([0.1, 0.2, 0.2, 0.4])[groups]
    found = label_rates(groups, labelled, 4)
    table = np.array([[np.sum((groups == g) & (labelled == value)) for value in (True, False)] for g in range(4)])
    np.testing.assert_array_equal(found.n, table.sum(axis=1))
    np.testing.assert_array_equal(found.n_labelled, table[:, 0])
    low, high = proportion_confint(table[:, 0], table.sum(axis=1), method="wilson")
    np.testing.assert_allclose([found.low, found.high], [low, high])
    expected = chi2_contingency(table, correction=False)
    assert found.test is not None
    assert found.test.chi2 == pytest.approx(expected.statistic)
    assert found.test.p_chi2 == pytest.approx(expected.pvalue)
    phi2 = expected.statistic / 5000
    # Bergsma 2013 by hand: (φ² − 3/4999) / min(3 − 9/4999, 1 − 1/4999) with three and one degrees.
    assert found.cramers_v == pytest.approx(np.sqrt((phi2 - 3 / 4999) / (1 - 1 / 4999)))


def test_labels_missing_by_sharpness_are_seen_and_at_random_are_not() -> None:
    rng = np.random.default_rng(4)
    sharpness = rng.lognormal(0, 1, 20_000)
    sharpness[:500] = np.nan
    blind, _ = label_rates_by_measure(sharpness, rng.random(20_000) < 0.3)
    assert blind.test is not None
    assert blind.test.p_chi2 is not None
    assert blind.cramers_v is not None
    assert blind.test.p_chi2 > 0.001
    assert blind.cramers_v < 0.03
    keen, edges = label_rates_by_measure(sharpness, rng.random(20_000) < np.where(sharpness > 2, 0.6, 0.2))
    np.testing.assert_allclose(edges, np.nanquantile(sharpness, [0.2, 0.4, 0.6, 0.8]), rtol=0.01)
    np.testing.assert_array_equal(keen.n, [3900] * 5 + [500])
    np.testing.assert_allclose(keen.share[[0, 1, 2, 5]], 0.2, atol=0.06)
    assert keen.low[4] > 0.4
    assert keen.cramers_v is not None
    assert keen.cramers_v > 0.25


def test_empty_bins_and_tables_without_a_choice_are_undefined() -> None:
    found, _ = label_rates_by_measure(np.ones(10), np.arange(10) < 4, bins=3)
    assert found.n.tolist() == [10, 0, 0, 0]
    assert found.share[0] == 0.4
    assert np.isnan(found.share[1:]).all()
    assert found.test is None
    assert found.cramers_v is None
    assert label_rates([0, 1, 1], np.ones(3, np.bool_), 2).test is None


@pytest.mark.parametrize(
    ("groups", "labelled", "message"),
    [
        ([0, 1], [True], "do not fit"),
        ([0, 1], [1, 0], "do not fit"),
        ([0, 2], [True, False], "outside 0 … 1"),
        ([0.0, 1.0], [True, False], "outside 0 … 1"),
    ],
)
def test_wrong_input_is_refused(groups: list[int], labelled: list[bool], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        label_rates(groups, labelled, 2)


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ConfigError, match="-1 labels are missing"):
        worst_case_bounds([1, 2], -1)
    with pytest.raises(ConfigError, match="negative"):
        worst_case_bounds([1, -2], 1)
