"""Fitted margins against a Poisson log-linear model, plain proportional fitting, and a general optimiser."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize

from facelib.audit.sampling_margins import fit_margins
from facelib.audit.sampling_weights import sampling_weights
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


def random_table(seed: int, axes: int = 2) -> tuple[np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    shape = rng.integers(2, 5, axes)
    return rng.integers(1, 500, shape), [rng.dirichlet(np.full(size, 3.0)) for size in shape]


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_a_log_linear_model(seed: int) -> None:
    """Fitted values of a Poisson model with row and column effects have the margins of the data and, with ln(counts)
    as offset, the odds ratios of the counts."""
    counts, (rows, columns) = random_table(seed)
    i, j = (index.ravel() for index in np.indices(counts.shape))
    effects = np.column_stack([np.eye(rows.size)[i], np.eye(columns.size)[j][:, 1:]])
    model = sm.GLM(
        1000 * np.outer(rows, columns).ravel(), effects, family=sm.families.Poisson(), offset=np.log(counts).ravel()
    )
    found = fit_margins(counts, [rows, columns])
    np.testing.assert_allclose(found.shares.ravel(), model.fit(tol=1e-12).fittedvalues / 1000, atol=1e-7)
    assert found.status == "converged"


@pytest.mark.parametrize("seed", range(5))
def test_three_attributes_agree_with_plain_proportional_fitting(seed: int) -> None:
    counts, targets = random_table(seed, axes=3)
    x = counts / counts.sum()
    for _ in range(500):
        x = x * (targets[0] / x.sum(axis=(1, 2)))[:, None, None]
        x = x * (targets[1] / x.sum(axis=(0, 2)))[None, :, None]
        x = x * (targets[2] / x.sum(axis=(0, 1)))[None, None, :]
    found = fit_margins(counts, targets)
    np.testing.assert_allclose(found.shares, x, atol=1e-8)
    for margin, target in zip(found.margins, targets, strict=True):
        np.testing.assert_allclose(margin, target, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_under_a_cap_no_table_with_these_margins_is_nearer(seed: int) -> None:
    counts, (rows, columns) = random_table(seed)
    data = counts / counts.sum()
    cap = 1.02 * float((fit_margins(counts, [rows, columns]).shares / data).max()) ** 0.8
    found = fit_margins(counts, [rows, columns], cap)
    i, j = (index.ravel() for index in np.indices(counts.shape))
    sums = np.vstack([i == k for k in range(rows.size)] + [j == k for k in range(columns.size - 1)]).astype(float)
    wanted, seed_shares = np.concatenate([rows, columns[:-1]]), data.ravel()
    best = minimize(
        lambda x: float((x * np.log(x / seed_shares)).sum()),
        seed_shares,
        jac=lambda x: np.log(x / seed_shares) + 1,
        bounds=[(1e-9, cap * s) for s in seed_shares],
        constraints={"type": "eq", "fun": lambda x: sums @ x - wanted, "jac": lambda x: sums},
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 1000},
    )
    if found.status == "converged":
        assert (found.shares <= cap * data * (1 + 1e-6)).all()
        np.testing.assert_allclose(found.shares.ravel(), best.x, atol=1e-4)
    else:
        assert found.status == "infeasible"
        assert not best.success
        assert found.least_deviation > 1e-6


def test_caps_bind_in_the_cases_above() -> None:
    statuses = set()
    for seed in range(6):
        counts, targets = random_table(seed)
        free = fit_margins(counts, targets).shares / (counts / counts.sum())
        capped = fit_margins(counts, targets, 1.02 * float(free.max()) ** 0.8)
        statuses.add(capped.status)
    assert statuses == {"converged", "infeasible"}


def test_weights_made_from_it_draw_the_margins_below_the_cap() -> None:
    rng = np.random.default_rng(8)
    a = rng.choice(3, 3000, p=[0.8, 0.15, 0.05])
    b = np.where(rng.random(3000) < 0.7, a % 2, 1 - a % 2)
    counts = np.bincount(2 * a + b, minlength=6).reshape(3, 2)
    fit = fit_margins(counts, [[0.4, 0.3, 0.3], [0.5, 0.5]], cap=8)
    assert fit.status == "converged"
    found = sampling_weights(2 * a + b, fit.shares.ravel(), cap=8)
    assert found.weights.max() == pytest.approx(8)
    sums = found.weights / found.weights.sum()
    np.testing.assert_allclose(np.bincount(a, sums), [0.4, 0.3, 0.3], atol=1e-6)
    np.testing.assert_allclose(np.bincount(b, sums), [0.5, 0.5], atol=1e-6)


def test_targets_that_zeros_make_impossible() -> None:
    """Category 0 of axis 0 has images in category 0 of axis 1 only, so 0.7 cannot fit into 0.5. The best leaves 0.2 too
    few there and as much too many elsewhere."""
    found = fit_margins([[10, 0], [5, 5]], [[0.7, 0.3], [0.5, 0.5]])
    assert found.status == "infeasible"
    assert found.least_deviation == pytest.approx(0.4)
    np.testing.assert_allclose(found.margins[1], [0.5, 0.5], atol=1e-9)
    assert found.deviation == pytest.approx(0.2, abs=1e-6)


def test_a_category_without_images_cannot_be_drawn() -> None:
    found = fit_margins([[10, 20], [0, 0]], [[0.5, 0.5], [0.5, 0.5]])
    assert found.status == "infeasible"
    np.testing.assert_allclose(found.margins[0], [1, 0])
    nobody = fit_margins(np.zeros((2, 2), int), [[0.5, 0.5], [0.5, 0.5]])
    assert nobody.status == "infeasible"
    assert np.isnan(nobody.shares).all()


def test_targets_that_only_an_emptied_cell_meets_are_approached_slowly() -> None:
    """Axis 0 wants 0.5 from the one cell that then fills category 0 of axis 1: the cell below must vanish."""
    found = fit_margins([[10, 0], [5, 5]], [[0.5, 0.5], [0.5, 0.5]])
    assert found.status == "slow"
    assert found.least_deviation < 1e-7
    assert found.deviation < 1e-3


def test_a_cap_makes_targets_impossible() -> None:
    """The second categories hold 5 + 1 of 100 images: at 6 times the mean no more than 0.36 of the draws."""
    found = fit_margins([[90, 5], [4, 1]], [[0.5, 0.5], [0.5, 0.5]], cap=6)
    assert found.status == "infeasible"
    assert fit_margins([[90, 5], [4, 1]], [[0.5, 0.5], [0.5, 0.5]], cap=10).status == "converged"


def test_a_category_with_target_zero_is_left_out() -> None:
    found = fit_margins([[10, 20, 5], [30, 10, 5]], [[0.5, 0.5], [0.5, 0.5, 0]])
    assert found.status == "converged"
    np.testing.assert_array_equal(found.shares[:, 2], 0)
    np.testing.assert_allclose(found.shares.sum(axis=1), 0.5)


def test_huge_counts_and_targets_already_met() -> None:
    counts = np.array([[10**12, 1], [1, 10**12]])
    found = fit_margins(counts, [[0.5, 0.5], [0.5, 0.5]])
    assert found.iterations == 1
    np.testing.assert_allclose(found.shares, counts / counts.sum(), rtol=1e-9)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="one axis per target"):
        fit_margins([[1, 2, 3], [4, 5, 6]], [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(ConfigError, match="≥ 0"):
        fit_margins([[1, -2], [4, 5]], [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(ConfigError, match="cap"):
        fit_margins([[1, 2], [4, 5]], [[0.5, 0.5], [0.5, 0.5]], cap=0.5)
    with pytest.raises(ConfigError, match="add up to 1"):
        fit_margins([[1, 2], [4, 5]], [[0.5, 0.7], [0.5, 0.5]])
