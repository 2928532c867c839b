"""Clustered counts: patterns against counting, intervals against statsmodels, loops and simulated archives."""

from __future__ import annotations

import math
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.sparse import csr_array

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import coverage

from facelib.audit.diversity import evenness, imbalance_ratio, shannon
from facelib.audit.intervals import wilson
from facelib.audit.resampling import (
    Patterns,
    ShareIntervals,
    cluster_bootstrap,
    cluster_counts,
    patterns,
    percentile_interval,
    row_kinds,
    share_intervals,
)
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


def units(rng: np.random.Generator, clusters: int, categories: int, varies: float) -> tuple[np.ndarray, np.ndarray]:
    """Cluster and category of units; a tenth of them without a category."""
    size = rng.zipf(2, clusters).clip(max=40)
    cluster = np.repeat(rng.permutation(clusters), size)
    category = rng.integers(0, categories, clusters)[cluster]
    changed = rng.random(cluster.size) < varies
    category[changed] = rng.integers(0, categories, changed.sum())
    category[rng.random(cluster.size) < 0.1] = categories
    return cluster, category


def of(rows: list[list[int]], times: list[int] | None = None) -> Patterns:
    return Patterns(csr_array(np.array(rows, np.int64)), np.array(times or [1] * len(rows)))


def test_patterns_are_the_distinct_rows_and_their_numbers() -> None:
    rng = np.random.default_rng(1)
    for varies in (0.0, 0.3, 1.0):
        cluster, category = units(rng, 400, 4, varies)
        by_hand = np.zeros((400, 4), int)
        for c, k in zip(cluster, category, strict=True):
            if k < 4:
                by_hand[c, k] += 1
        counts = cluster_counts(cluster, category, 4)
        np.testing.assert_array_equal(counts.toarray(), by_hand)
        found = patterns(counts)
        rows = Counter(tuple(r) for r in by_hand.tolist() if any(r))
        assert dict(zip(map(tuple, found.counts.toarray().tolist()), found.times.tolist(), strict=True)) == rows
        np.testing.assert_array_equal(found.totals, by_hand.sum(0))
        kinds = row_kinds(counts)
        assert set(kinds.tolist()) == set(range(len({tuple(r) for r in by_hand.tolist()})))
        for a, b in rng.integers(0, 400, (200, 2)):
            assert (kinds[a] == kinds[b]) == (by_hand[a] == by_hand[b]).all()


def test_rows_are_equal_however_they_are_stored() -> None:
    scattered = csr_array((np.array([2, 1, 1, 1, 0, 2]), np.array([1, 0, 0, 1, 2, 0]), np.array([0, 3, 6])), (2, 3))
    np.testing.assert_array_equal(scattered.toarray(), [[2, 2, 0], [2, 1, 0]])
    assert row_kinds(scattered).tolist() == [1, 0]
    assert scattered.nnz == 6
    equal = csr_array((np.array([2, 1, 1, 1, 0, 2]), np.array([1, 0, 0, 1, 2, 0]), np.array([0, 3, 6])), (2, 3))
    equal.data[3] = 2
    assert row_kinds(equal).tolist() == [0, 0]


def test_order_and_names_of_clusters_change_nothing() -> None:
    rng = np.random.default_rng(2)
    cluster, category = units(rng, 200, 3, 0.2)
    renamed = rng.permutation(300)[cluster]
    shuffled = rng.permutation(cluster.size)
    a = patterns(cluster_counts(cluster, category, 3))
    b = patterns(cluster_counts(renamed[shuffled], category[shuffled], 3))
    np.testing.assert_array_equal(a.counts.toarray(), b.counts.toarray())
    np.testing.assert_array_equal(cluster_bootstrap(a, shannon, 20), cluster_bootstrap(b, shannon, 20))


def test_one_unit_in_each_cluster_has_the_interval_of_independent_units() -> None:
    rng = np.random.default_rng(3)
    category = rng.choice(4, 500, p=[0.6, 0.3, 0.09, 0.01])
    found = share_intervals(patterns(cluster_counts(np.arange(500), category, 4)))
    np.testing.assert_allclose(found.design_effect, 1)
    np.testing.assert_allclose((found.low, found.high), wilson(np.bincount(category, minlength=4), 500), atol=1e-12)


@pytest.mark.parametrize("copies", [7, 10**12])
def test_copies_of_units_add_nothing(copies: int) -> None:
    found = share_intervals(of([[copies, 0, 0], [0, copies, 0]], [30, 10]))
    np.testing.assert_allclose(found.design_effect, copies)
    np.testing.assert_allclose((found.low, found.high), wilson([30, 10, 0], 40), atol=1e-9)
    assert found.clusters.tolist() == [30, 10, 0]


def test_design_effect_against_pairs_counted_one_by_one_and_statsmodels() -> None:
    """Kish's by loops over pairs of units; the linearised variance is the cluster-robust one of a mean."""
    rng = np.random.default_rng(4)
    for varies in (0.0, 0.2, 0.6):
        cluster, category = units(rng, 60, 3, varies)
        cluster, category = cluster[category < 3], category[category < 3]
        n = category.size
        same, pairs = 0, 0
        for a in range(n):
            for b in range(n):
                if a != b and cluster[a] == cluster[b]:
                    pairs += 1
                    same += category[a] == category[b]
        share = np.bincount(category, minlength=3) / n
        chance = (share**2).sum()
        rho = max(0, (same / pairs - chance) / (1 - chance))
        kish = 1 + rho * ((np.bincount(cluster) ** 2).sum() / n - 1)
        own = []
        for k in range(3):
            fit = sm.OLS((category == k).astype(float), np.ones(n)).fit(
                cov_type="cluster", cov_kwds={"groups": cluster, "use_correction": False}
            )
            own.append(fit.cov_params()[0, 0] * n / (share[k] * (1 - share[k])))
        found = share_intervals(patterns(cluster_counts(cluster, category, 3)))
        np.testing.assert_allclose(found.design_effect, np.maximum(kish, own), rtol=1e-9)
        np.testing.assert_allclose(found.share, share)
        expected = wilson(share * n / found.design_effect, n / found.design_effect)
        np.testing.assert_allclose((found.low, found.high), expected)


def test_categories_without_units_and_with_all() -> None:
    found = share_intervals(of([[3, 0], [1, 0], [8, 0]]))
    assert found.share.tolist() == [1, 0]
    assert (found.low[1], found.high[0]) == (0, 1)
    np.testing.assert_allclose(found.high[1], wilson(0, 144 / 74)[1])
    assert found.clusters.tolist() == [3, 0]


def test_no_known_units() -> None:
    found = share_intervals(patterns(cluster_counts([0, 0, 2], [2, 2, 2], 2)))
    assert isinstance(found, ShareIntervals)
    assert np.isnan([found.share, found.low, found.high, found.design_effect]).all()
    assert found.clusters.tolist() == [0, 0]
    assert patterns(cluster_counts([], [], 2)).totals.tolist() == [0, 0]


def test_bootstrap_totals_have_the_moments_of_draws_of_clusters() -> None:
    """Over draws of C clusters with replacement, totals have mean C · mean row and covariance C · cov of rows."""
    rows, times = np.array([[3, 0], [0, 2], [1, 1], [0, 9]]), np.array([20, 15, 10, 1])
    drawn = cluster_bootstrap(of(rows.tolist(), times.tolist()), lambda t: t, 40_000, seed=5)
    each = np.repeat(rows, times, axis=0)
    np.testing.assert_allclose(drawn.mean(0), each.sum(0), rtol=0.01)
    np.testing.assert_allclose(np.cov(drawn.T), 46 * np.cov(each.T, ddof=0), rtol=0.05)


def test_bootstrap_of_patterns_is_that_of_single_clusters() -> None:
    rng = np.random.default_rng(6)
    cluster, category = units(rng, 150, 3, 0.1)
    counts = cluster_counts(cluster, category, 3)
    dense = counts.toarray()[np.diff(counts.indptr) > 0]
    single = [shannon(dense[rng.integers(0, len(dense), len(dense))].sum(0)) for _ in range(4000)]
    found = cluster_bootstrap(patterns(counts), shannon, 4000, seed=7)
    levels = [0.025, 0.25, 0.5, 0.75, 0.975]
    np.testing.assert_allclose(np.quantile(found, levels), np.quantile(single, levels), atol=0.006)


def test_bootstrap_depends_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = of([[3, 0], [0, 2], [1, 1]], [20, 15, 10])
    first = cluster_bootstrap(clusters, shannon, 50, seed=1)
    assert first.shape == (50,)
    assert not np.array_equal(first, cluster_bootstrap(clusters, shannon, 50, seed=2))
    monkeypatch.setattr("facelib.audit.resampling._BLOCK", 7)
    np.testing.assert_array_equal(first, cluster_bootstrap(clusters, shannon, 50, seed=1))


def test_percentile_interval_of_one_and_of_several_figures() -> None:
    values = np.stack([np.arange(101.0), np.arange(101.0)[::-1] * 2], axis=1)
    low, high = percentile_interval(values, 0.9)
    np.testing.assert_allclose((low, high), [[5, 10], [95, 190]])
    assert percentile_interval(values[:, 0], 0.9)[0] == pytest.approx(5)
    values[3, 1] = np.nan
    assert np.isnan(percentile_interval(values)[1]).tolist() == [False, True]
    clusters = of([[9, 0], [0, 1]], [50, 1])
    assert np.isnan(percentile_interval(cluster_bootstrap(clusters, imbalance_ratio))).all()
    low, high = percentile_interval(cluster_bootstrap(clusters, lambda t: evenness(t, 2)))
    assert 0 <= low < high < 0.2


def test_intervals_cover_where_those_over_images_do_not() -> None:
    """250 archives of 300 identities with power-law sizes; categories of 60 %, 10 % and 1 % of the identities."""
    source = coverage.SOURCES[3]
    rng = np.random.default_rng(8)
    held = []
    for _ in range(250):
        clusters = patterns(source.draw(rng))
        ours = share_intervals(clusters)
        images = wilson(clusters.totals, clusters.totals.sum())
        held.append([(low <= source.shares) & (source.shares <= high) for low, high in ((ours.low, ours.high), images)])
    ours_held, images_held = np.mean(held, axis=0)
    np.testing.assert_allclose(source.shares, coverage.IDENTITIES)
    assert (ours_held > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 250)).all()
    assert (images_held < 0.7).all()


def test_sources_of_the_benchmark_have_the_shares_they_say() -> None:
    rng = np.random.default_rng(9)
    for source in (coverage.SOURCES[6], coverage.SOURCES[8]):
        totals = sum(patterns(source.draw(rng)).totals for _ in range(300))
        np.testing.assert_allclose(totals / totals.sum(), source.shares, rtol=0.12)


def test_the_benchmark_runs() -> None:
    found = coverage.run(None, quick=True)
    assert len(found) == 4
    for table in found:
        assert table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)


@pytest.mark.parametrize(
    ("cluster", "category", "message"),
    [([0, 1], [0], "one of each per unit"), ([-1], [0], "out of range"), ([0], [3], "out of range")],
)
def test_wrong_codes_are_refused(cluster: list[int], category: list[int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cluster_counts(cluster, category, 2)


def test_nothing_to_draw_from_and_wrong_confidence_are_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to draw"):
        cluster_bootstrap(patterns(cluster_counts([], [], 2)), shannon)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        percentile_interval([1.0, 2.0], 95)
