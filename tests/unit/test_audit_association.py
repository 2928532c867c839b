"""Association and independence: against SciPy, statsmodels and pandas, loops, and enumeration of all tables."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from scipy.stats import chi2_contingency, hypergeom
from scipy.stats.contingency import association
from statsmodels.stats.multitest import multipletests

from facelib.audit.association import (
    LARGEST_SIMULATED,
    bin_codes,
    cluster_permutation,
    cramers_v,
    holm,
    independence,
    quantile_codes,
    quantile_edges,
)
from facelib.audit.resampling import cluster_counts
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


def bergsma(table: np.ndarray) -> float:
    """The corrected coefficient from SciPy's χ²."""
    n = table.sum()
    r, c = table.shape
    phi2 = chi2_contingency(table, correction=False).statistic / n
    phi2_plus = max(0.0, phi2 - (r - 1) * (c - 1) / (n - 1))
    return math.sqrt(phi2_plus / min(r - (r - 1) ** 2 / (n - 1) - 1, c - (c - 1) ** 2 / (n - 1) - 1))


def test_hand_worked() -> None:
    """30, 10 / 10, 30: all expected 20, χ² = 4 · 100/20 = 20, φ² = ¼; V² = (¼ − 1/79) / (1 − 1/79) = 75/4/78."""
    table = [[30, 10], [10, 30]]
    assert cramers_v(table) == pytest.approx(math.sqrt(75 / 4 / 78))
    found = independence(table)
    assert found is not None
    assert (found.n, found.df, found.smallest_expected, found.chi2) == (80, 1, 20.0, 20.0)
    assert found.g == pytest.approx(2 * (60 * math.log(1.5) + 20 * math.log(0.5)))


def test_random_tables_agree_with_scipy() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        table = rng.poisson(rng.uniform(15, 300, (int(rng.integers(2, 7)), int(rng.integers(2, 7)))))
        found = independence(table)
        assert found is not None
        assert not found.is_simulated
        chi2 = chi2_contingency(table, correction=False)
        g = chi2_contingency(table, correction=False, lambda_="log-likelihood")
        assert (found.chi2, found.df, found.p_chi2) == pytest.approx((chi2.statistic, chi2.dof, chi2.pvalue), rel=1e-9)
        assert (found.g, found.p_g) == pytest.approx((g.statistic, g.pvalue), rel=1e-9)
        assert found.smallest_expected == pytest.approx(chi2.expected_freq.min())
        assert cramers_v(table) == pytest.approx(bergsma(table), abs=1e-9)
        assert cramers_v(table * 10**9) == pytest.approx(association(table, method="cramer"), abs=1e-6)


def test_correction_takes_away_what_chance_adds() -> None:
    rng = np.random.default_rng(2)
    tables = [np.bincount(rng.integers(0, 25, 150), minlength=25).reshape(5, 5) for _ in range(300)]
    assert np.mean([association(t, method="cramer") for t in tables]) > 0.15
    assert np.mean([cramers_v(t) or 0.0 for t in tables]) < 0.06


@pytest.mark.parametrize("n", [2, 50, 10**12])
def test_one_value_that_gives_the_other_has_association_one(n: int) -> None:
    assert cramers_v(np.diag([n, n, n])) == pytest.approx(1)
    assert cramers_v([[n, 0], [0, n], [0, n]]) <= 1


def test_empty_rows_and_columns_are_left_out() -> None:
    table = np.array([[30, 0, 12, 0], [0, 0, 0, 0], [11, 0, 25, 0]])
    inner = table[[0, 2]][:, [0, 2]]
    assert cramers_v(table) == cramers_v(inner)
    assert independence(table) == independence(inner)


@pytest.mark.parametrize("table", [[[3, 4]], [[3], [4]], [[0, 0], [0, 0]], [[3, 0], [4, 0]], np.zeros((0, 3))])
def test_without_two_rows_and_columns_nothing_is_defined(table: list[list[int]]) -> None:
    assert cramers_v(table) is None
    assert independence(table) is None


def test_units_with_values_of_their_own_say_nothing() -> None:
    assert cramers_v(np.eye(4)) is None


def _chi2_and_g(table: np.ndarray) -> tuple[float, float]:
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    some = table > 0
    return ((table - expected) ** 2 / expected).sum(), 2 * (table[some] * np.log(table[some] / expected[some])).sum()


def test_simulated_p_values_meet_the_exact_ones() -> None:
    """All 2 × 3 tables with the same totals, with their hypergeometric chances."""
    table = np.array([[5, 1, 1], [1, 2, 4]])
    rows, columns = table.sum(1), table.sum(0)
    firsts = [f for f in product(*(range(c + 1) for c in columns)) if sum(f) == rows[0]]
    all_tables = [np.array([f, columns - f]) for f in firsts]
    chance = np.array([np.prod([math.comb(c, k) for c, k in zip(columns, f, strict=True)]) for f in firsts])
    chance = chance / math.comb(int(table.sum()), int(rows[0]))
    assert chance.sum() == pytest.approx(1)
    statistics = np.array([_chi2_and_g(t) for t in all_tables])
    exact = [chance[statistics[:, i] >= s - 1e-9].sum() for i, s in enumerate(_chi2_and_g(table))]
    found = independence(table, seed=3)
    assert found is not None
    assert found.is_simulated
    assert (found.p_chi2, found.p_g) == pytest.approx(exact, abs=0.015)
    assert found == independence(table, seed=3)


def test_simulation_of_many_units_beside_a_rare_group() -> None:
    """Three of 10⁹ units, all in the smaller half: the exact chance of 3 of 3, and of the like table 0 of 3."""
    n = LARGEST_SIMULATED
    table = np.array([[n // 2 - 2, n // 2 - 1], [3, 0]])
    found = independence(table, replicates=4999)
    assert found is not None
    exact = hypergeom(n, 3, n // 2 + 1).pmf([0, 3])
    assert found.p_chi2 == pytest.approx(exact[exact <= exact[1] * (1 + 1e-6)].sum(), abs=0.02)


def test_too_many_units_to_simulate_leave_the_p_value_open() -> None:
    found = independence([[10**12, 10**12], [1, 2]])
    assert found is not None
    assert found.p_chi2 is found.p_g is None
    assert not found.is_simulated
    large = independence([[10**12, 10**12], [10**12, 2 * 10**12]])
    assert large is not None
    assert large.p_chi2 == 0


def _clustered(rng: np.random.Generator, clusters: int) -> tuple[np.ndarray, csr_array]:
    """Groups that have nothing to do with the bins, which agree within clusters."""
    size = rng.zipf(2, clusters).clip(max=30)
    cluster = np.repeat(np.arange(clusters), size)
    usual = rng.integers(0, 3, clusters)
    bins = np.where(rng.random(cluster.size) < 0.7, usual[cluster], rng.integers(0, 3, cluster.size))
    return rng.integers(0, 3, clusters), cluster_counts(cluster, bins, 3)


def test_permutation_of_clusters_keeps_its_level_where_the_test_of_units_does_not() -> None:
    rng = np.random.default_rng(6)
    by_cluster, by_unit = [], []
    for i in range(200):
        group, counts = _clustered(rng, 80)
        by_cluster.append(cluster_permutation(group, 3, counts, replicates=99, seed=i))
        table = np.array([counts.toarray()[group == g].sum(0) for g in range(3)])
        by_unit.append(chi2_contingency(table, correction=False).pvalue)
    assert 0.01 <= np.mean(np.array(by_cluster) <= 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)
    assert np.mean(np.array(by_unit) <= 0.05) > 0.4


def test_permutation_of_clusters_agrees_with_shuffling_groups() -> None:
    rng = np.random.default_rng(7)
    group, counts = _clustered(rng, 60)
    group[:5] = 3
    dense, known = counts.toarray()[5:], group[5:]

    def chi2(g: np.ndarray) -> float:
        return _chi2_and_g(np.array([dense[g == i].sum(0) for i in range(3)]))[0]

    at_least = [chi2(rng.permutation(known)) >= chi2(known) * (1 - 1e-9) for _ in range(2000)]
    found = cluster_permutation(group, 3, counts, replicates=4000, seed=1)
    assert found == pytest.approx(np.mean(at_least), abs=0.04)
    assert found == cluster_permutation(group, 3, counts, replicates=4000, seed=1)


def test_permutation_of_clusters_of_one_unit_is_the_permutation_of_units() -> None:
    table = np.array([[5, 1, 1], [1, 2, 4]])
    group, bins = (np.repeat(axis.ravel(), table.ravel()) for axis in np.indices(table.shape))
    found = cluster_permutation(group, 2, cluster_counts(np.arange(14), bins, 3), replicates=9999, seed=4)
    units = independence(table)
    assert units is not None
    assert found == pytest.approx(units.p_chi2, abs=0.02)


def test_permutation_needs_two_groups_and_two_categories() -> None:
    counts = cluster_counts([0, 1, 2, 3], [0, 1, 0, 2], 2)
    assert cluster_permutation([0, 0, 0, 1], 2, counts) is None
    assert cluster_permutation([0, 2, 1, 1], 2, counts) is None
    assert cluster_permutation([0, 1, 0, 1], 2, counts, replicates=19) is not None
    assert cluster_permutation([2, 2, 2, 2], 2, counts) is None


def test_edges_and_codes_against_pandas() -> None:
    rng = np.random.default_rng(5)
    for bins in (2, 4, 5):
        values = rng.normal(size=bins * 31)
        codes = quantile_codes(values, bins)
        np.testing.assert_array_equal(codes, pd.qcut(values, bins, labels=False))
        assert np.bincount(codes).tolist() == [31] * bins


def test_edges_by_their_definition_and_equal_values_together() -> None:
    rng = np.random.default_rng(15)
    for size in (1, 3, 10, 57):
        values = rng.integers(0, 6, size).astype(float)
        edges = quantile_edges(values, 4)
        for i, edge in enumerate(edges, start=1):
            below = [v for v in np.unique(values) if (values <= v).sum() * 4 >= i * size]
            assert edge == below[0]
        codes = bin_codes(values, edges)
        assert [int((edges < v).sum()) for v in values] == codes.tolist()
    assert quantile_codes(np.full(9, 2.5), 3).tolist() == [0] * 9


def test_missing_and_infinite_values() -> None:
    codes = quantile_codes([1.0, np.nan, 2.0, np.inf, -np.inf], 2)
    assert codes.tolist() == [0, 2, 1, 1, 0]
    assert codes.dtype == np.int64
    assert quantile_codes([np.nan, np.nan], 3).tolist() == [3, 3]
    assert bin_codes([[0.1, 5.0], [np.nan, 1.0]], [1.0, 3.0]).tolist() == [[0, 2], [3, 0]]


def test_holm_agrees_with_statsmodels() -> None:
    rng = np.random.default_rng(10)
    for size in (1, 2, 9, 40):
        p = rng.random(size) ** 3
        p[: size // 3] = p[0]
        np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-12)
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])
    assert holm([]).size == 0


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="axes"):
        cramers_v([1, 2])
    with pytest.raises(ConfigError, match="negative"):
        independence([[1, -2], [3, 4]])
    with pytest.raises(ConfigError, match="two or more"):
        quantile_edges([1.0], 1)
    with pytest.raises(ConfigError, match="descend"):
        bin_codes([1.0], [2.0, 1.0])
    with pytest.raises(ConfigError, match="outside 0–1"):
        holm([0.1, 1.2])
    counts = cluster_counts([0, 1], [0, 1], 2)
    with pytest.raises(ConfigError, match="group of every cluster"):
        cluster_permutation([0], 2, counts)
    with pytest.raises(ConfigError, match="out of range"):
        cluster_permutation([0, -1], 2, counts)
