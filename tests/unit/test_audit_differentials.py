"""Differentials against numbers worked by hand, against SciPy and pair by pair, and at their limits."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import gmean

from facelib.audit import differentials as d
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit

NAN = float("nan")


def test_ratios_of_a_case_worked_by_hand() -> None:
    """Rates 1, 4 and 2 in a thousand: 4 / 1; the geometric mean is the cube root of 8, which is 2, and 4 / 2 = 2."""
    assert d.max_min_ratio([0.001, 0.004, 0.002]) == pytest.approx(4)
    assert d.max_geometric_mean_ratio([0.001, 0.004, 0.002]) == pytest.approx(2)


def test_gini_of_cases_worked_by_hand() -> None:
    """Three groups, 1, 2 and 3 %: |differences| over ordered pairs 2 · (1 + 2 + 1) = 8 %; 8 / (2 · 9 · 2) = 2 / 9.

    With the factor 3 / 2 it is 1 / 3. Two groups, 1 and 3 %: 4 / (2 · 4 · 2) = 1 / 4, with the factor 2 it is 1 / 2.
    """
    assert d.gini([0.01, 0.02, 0.03]) == pytest.approx(1 / 3)
    assert d.gini([0.01, 0.03]) == pytest.approx(1 / 2)


def test_figures_of_both_rates_worked_by_hand() -> None:
    """FMR 0.001 and 0.004, FNMR 0.1 and 0.2 of two groups, weight 1 / 4 on the FMR.

    A = 0.003, B = 0.1: FDR = 1 − (0.00075 + 0.075) = 0.92425.
    A = 4, B = 2: IR = 4^(1/4) · 2^(3/4) = 2^(5/4).
    G(FMR) = 2 · 0.006 / (2 · 4 · 0.0025) = 0.6, G(FNMR) = 2 · 0.2 / (2 · 4 · 0.15) = 1 / 3: GARBE = 0.15 + 0.25 = 0.4.
    """
    fmr, fnmr = [0.001, 0.004], [0.1, 0.2]
    assert d.fairness_discrepancy_rate(fmr, fnmr, 0.25) == pytest.approx(0.92425)
    assert d.inequity_rate(fmr, fnmr, 0.25) == pytest.approx(2**1.25)
    assert d.garbe(fmr, fnmr, 0.25) == pytest.approx(0.4)


def test_against_sums_written_out_for_many_rates() -> None:
    rng = np.random.default_rng(1)
    for n in (2, 3, 7, 14):
        fmr, fnmr = 10 ** rng.uniform(-6, -1, n), rng.uniform(0.001, 0.6, n)
        alpha = rng.uniform(0.05, 0.95)
        ginis = [
            n / (n - 1) * sum(abs(a - b) for a, b in product(x, x)) / (2 * n * n * (sum(x) / n)) for x in (fmr, fnmr)
        ]
        assert d.gini(fmr) == pytest.approx(ginis[0])
        assert d.garbe(fmr, fnmr, alpha) == pytest.approx(alpha * ginis[0] + (1 - alpha) * ginis[1])
        assert d.max_geometric_mean_ratio(fmr) == pytest.approx(max(fmr) / gmean(fmr))
        spreads = [max(abs(a - b) for a, b in product(x, x)) for x in (fmr, fnmr)]
        expected = 1 - (alpha * spreads[0] + (1 - alpha) * spreads[1])
        assert d.fairness_discrepancy_rate(fmr, fnmr, alpha) == pytest.approx(expected)
        ratios = [max(a / b for a, b in product(x, x)) for x in (fmr, fnmr)]
        assert d.inequity_rate(fmr, fnmr, alpha) == pytest.approx(ratios[0] ** alpha * ratios[1] ** (1 - alpha))


@pytest.mark.parametrize("rate", [1e-9, 0.1, 1.0])
@pytest.mark.parametrize("groups", [2, 3, 11])
def test_equal_groups(rate: float, groups: int) -> None:
    rates = [rate] * groups
    assert d.max_min_ratio(rates) == 1
    assert d.max_geometric_mean_ratio(rates) == pytest.approx(1)
    assert d.gini(rates) == 0
    assert d.fairness_discrepancy_rate(rates, rates) == 1
    assert d.inequity_rate(rates, rates) == 1
    assert d.garbe(rates, rates) == 0


@pytest.mark.parametrize("groups", [2, 3, 11])
def test_one_group_with_all_errors(groups: int) -> None:
    """The Gini coefficient is 1 whatever the number of groups; ratios to a rate of 0 are undefined."""
    rates = [0.0] * (groups - 1) + [0.3]
    assert d.gini(rates) == pytest.approx(1)
    assert d.garbe(rates, rates) == pytest.approx(1)
    assert d.max_min_ratio(rates) is d.max_geometric_mean_ratio(rates) is d.inequity_rate(rates, rates) is None
    assert d.fairness_discrepancy_rate(rates, rates) == pytest.approx(0.7)


def test_no_errors_at_all() -> None:
    """0 / 0 is undefined; differences of zeros are 0."""
    zeros, rates = [0.0, 0.0], [0.1, 0.2]
    assert d.max_min_ratio(zeros) is d.max_geometric_mean_ratio(zeros) is d.gini(zeros) is None
    assert d.garbe(zeros, rates) is d.garbe(rates, zeros) is d.inequity_rate(zeros, rates) is None
    assert d.fairness_discrepancy_rate(zeros, rates) == pytest.approx(0.95)


@pytest.mark.parametrize("rates", [[], [0.1], [0.1, NAN], [NAN, NAN]])
def test_fewer_than_two_groups(rates: list[float]) -> None:
    assert d.max_min_ratio(rates) is d.max_geometric_mean_ratio(rates) is d.gini(rates) is None
    assert d.fairness_discrepancy_rate(rates, rates) is d.inequity_rate(rates, rates) is d.garbe(rates, rates) is None


def test_groups_without_a_rate_are_left_out() -> None:
    """Of one rate: those without it. Of both: those that lack either."""
    assert d.gini([0.01, NAN, 0.02, 0.03]) == d.gini([0.01, 0.02, 0.03])
    fmr, fnmr = [0.01, 0.02, NAN, 0.05], [0.1, 0.2, 0.9, NAN]
    for figure in (d.fairness_discrepancy_rate, d.inequity_rate, d.garbe):
        assert figure(fmr, fnmr) == figure(fmr[:2], fnmr[:2])


def test_scale_order_and_bounds() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        rates = rng.uniform(0.001, 0.1, rng.integers(2, 9))
        shuffled = rng.permutation(rates)
        for figure in (d.max_min_ratio, d.max_geometric_mean_ratio, d.gini):
            assert figure(shuffled) == pytest.approx(figure(rates))
            assert figure(rates * 10) == pytest.approx(figure(rates))
        assert (
            0 <= (d.gini(rates) or 0) <= 1 <= (d.max_geometric_mean_ratio(rates) or 0) <= (d.max_min_ratio(rates) or 0)
        )


def test_many_sets_of_rates_at_once_equal_each_by_itself() -> None:
    rng = np.random.default_rng(3)
    fmr, fnmr = rng.uniform(0.01, 0.1, (20, 5)), rng.uniform(0.01, 0.5, (20, 5))
    fmr[3, 1] = fnmr[4, :] = 0.0
    fmr[5, 0] = np.nan
    for_fmr, for_fnmr = np.array([1, 1, 1, 1, 0], bool), np.array([0, 1, 1, 1, 1], bool)
    found = d.all_differentials(fmr, fnmr, for_fmr, for_fnmr, 0.3)
    for i in range(20):
        a, b = fmr[i, :4], fnmr[i, 1:]
        both = fmr[i, 1:4], fnmr[i, 1:4], 0.3
        expected = {
            "fmr_max_min_ratio": d.max_min_ratio(a),
            "fmr_max_geometric_mean_ratio": d.max_geometric_mean_ratio(a),
            "fmr_gini": d.gini(a),
            "fnmr_max_min_ratio": d.max_min_ratio(b),
            "fnmr_max_geometric_mean_ratio": d.max_geometric_mean_ratio(b),
            "fnmr_gini": d.gini(b),
            "fairness_discrepancy_rate": d.fairness_discrepancy_rate(*both),
            "inequity_rate": d.inequity_rate(*both),
            "garbe": d.garbe(*both),
        }
        assert list(found) == list(expected)
        for name, value in expected.items():
            if i == 5 and name.startswith("fmr"):  # a group that counts has no rate in this set
                assert np.isnan(found[name][i])
            else:
                assert d.defined(found[name][i]) == (None if value is None else pytest.approx(value))
    assert found["fmr_max_min_ratio"][3] == found["inequity_rate"][3] == np.inf
    assert np.isnan(found["fnmr_max_min_ratio"][4])


@pytest.mark.parametrize("rates", [[0.1, -0.01], [0.1, 1.01], [0.1, float("inf")]])
def test_rates_out_of_range_are_refused(rates: list[float]) -> None:
    with pytest.raises(ConfigError, match="divided by comparisons"):
        d.gini(rates)
    with pytest.raises(ConfigError, match="divided by comparisons"):
        d.garbe([0.1, 0.1], rates)


def test_other_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="give both per group"):
        d.garbe([0.1, 0.1], [0.1])
    for alpha in (0.0, 1.0, -1.0):
        with pytest.raises(ConfigError, match="alpha"):
            d.inequity_rate([0.1, 0.1], [0.1, 0.2], alpha)
