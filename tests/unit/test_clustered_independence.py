"""The test of missing labels against groups: Pearson's without clusters, and of the right size with them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, chi2_contingency

from facelib.audit.clustered_independence import clustered_independence
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


def _table(group: np.ndarray, has: np.ndarray) -> np.ndarray:
    table = np.zeros((group.max() + 1, 2), int)
    np.add.at(table, (group, has.astype(int)), 1)
    return table


@pytest.mark.parametrize("seed", range(4))
def test_without_clusters_it_is_pearsons_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    group, has = rng.integers(0, 5, 900), rng.random(900) < 0.15
    expected = chi2_contingency(_table(group, has), correction=False).pvalue
    assert clustered_independence(group, has, np.arange(900)) == pytest.approx(expected, rel=1e-9)


def test_it_is_the_quadratic_form_of_the_whole_covariance_matrix() -> None:
    """The oracle writes down the covariance of every two images."""
    rng = np.random.default_rng(3)
    cluster = np.repeat(np.arange(40), rng.integers(1, 7, 40))
    group = (rng.integers(0, 3, 40)[cluster] + rng.integers(0, 2, cluster.size)) % 3
    has = rng.random(cluster.size) < rng.beta(1, 1, 40)[cluster]
    e = has - has.mean()
    together = (cluster[:, None] == cluster) & ~np.eye(cluster.size, dtype=bool)
    rho = max(0.0, (np.outer(e, e)[together].sum() / together.sum()) / np.mean(e**2))
    matrix = np.mean(e**2) * (np.eye(cluster.size) + rho * together)
    x = np.eye(3)[group] - np.eye(3)[group].mean(axis=0)
    score = x.T @ e
    statistic = score @ np.linalg.pinv(x.T @ matrix @ x) @ score
    assert rho > 0.1
    assert clustered_independence(group, has, cluster) == pytest.approx(chi2.sf(statistic, 2), rel=1e-6)


@pytest.mark.parametrize("rate", [0.3, 0.03])
def test_it_errs_as_often_as_it_says_where_identities_are_alike(rate: float) -> None:
    rng = np.random.default_rng(7)
    p, pearson = [], []
    for _ in range(400):
        cluster = np.repeat(np.arange(250), rng.integers(1, 12, 250))
        has = rng.random(cluster.size) < rng.beta(rate, 1 - rate, 250)[cluster]
        value = rng.normal(0, 1, 250)[cluster] + rng.normal(0, 0.5, cluster.size)
        group = np.searchsorted(np.quantile(value, [0.2, 0.4, 0.6, 0.8]), value)
        found = clustered_independence(group, has, cluster)
        if found is not None:
            p.append(found)
            pearson.append(chi2_contingency(_table(group, has), correction=False).pvalue)
    assert len(p) > 150
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.085
    assert np.mean(np.array(pearson) < 0.05) > 0.2


def test_dependence_is_seen() -> None:
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(300), 3)
    group = rng.integers(0, 5, 900)
    has = rng.random(900) < np.array([0.1, 0.1, 0.2, 0.3, 0.4])[group]
    p = clustered_independence(group, has, cluster)
    assert p is not None
    assert p < 1e-4


def test_a_rare_group_does_not_decide() -> None:
    """One image of a group, without a label although nearly all have one: Pearson's χ² would be 500."""
    rng = np.random.default_rng(1)
    group, has = rng.integers(0, 2, 1001), np.arange(1001) % 50 == 0
    group[0] = 2
    assert chi2_contingency(_table(group, has), correction=False).pvalue < 1e-6
    p = clustered_independence(group, has, np.arange(1001))
    assert p is not None
    assert p > 0.01


@pytest.mark.parametrize(
    ("group", "has", "cluster"),
    [
        (np.arange(100) % 2, np.zeros(100, bool), np.arange(100)),
        (np.arange(100) % 2, np.ones(100, bool), np.arange(100)),
        (np.zeros(100, int), np.arange(100) % 2 == 0, np.arange(100)),
        (np.arange(100) % 2, np.arange(100) < 9, np.arange(100)),
        (np.arange(100) % 2, np.arange(100) % 3 == 0, np.arange(100) % 9),
        (np.zeros(0, int), np.zeros(0, bool), np.zeros(0, int)),
    ],
    ids=["none has it", "all have it", "one group", "few have it", "few clusters", "no image"],
)
def test_where_nothing_can_be_said(group: np.ndarray, has: np.ndarray, cluster: np.ndarray) -> None:
    assert clustered_independence(group, has, cluster) is None


def test_arrays_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        clustered_independence([0, 1], [True], [0, 1])
    with pytest.raises(ConfigError, match="negative"):
        clustered_independence([0, -1], np.array([True, False]), [0, 1])
