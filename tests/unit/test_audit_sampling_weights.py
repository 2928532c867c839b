"""Sampling weights against hand-worked numbers, loops over rows, a general optimiser, and draws made with them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.optimize import minimize

from facelib.audit.sampling_weights import capped_shares, effective_sample_size, sampling_weights, target_shares
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


def random_rows(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells with some missing, identities of geometric sizes that keep to a cell mostly, and a target."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 7))
    cells = rng.choice(np.arange(-1, size), n, p=rng.dirichlet(np.ones(size + 1)))
    identities = np.minimum(rng.geometric(0.1, n), 12) + 20 * cells * (rng.random(n) < 0.9)
    return cells, identities, rng.dirichlet(np.ones(size))


def test_uniform_cells_by_hand() -> None:
    """Ten labelled images in three cells, 6, 3 and 1, so shares 0.6, 0.3, 0.1 against 1/3 each; two without a label."""
    found = sampling_weights([0] * 6 + [1] * 3 + [2] + [-1] * 2, np.full(3, 1 / 3))
    np.testing.assert_allclose(found.weights, [1 / 1.8] * 6 + [1 / 0.9] * 3 + [1 / 0.3] + [1, 1])
    np.testing.assert_array_equal(found.counts, [6, 3, 1])
    np.testing.assert_allclose(found.expected, 1 / 3)
    assert found.status == ("reached",) * 3
    assert found.missing_share == pytest.approx(2 / 12)
    np.testing.assert_allclose(found.effective_by_cell, [6, 3, 1])
    assert found.effective_sample_size == pytest.approx(12**2 / (6 / 3.24 + 3 / 0.81 + 1 / 0.09 + 2))
    assert found.effective_identities is None


def test_identities_share_a_cell_equally_by_hand() -> None:
    """Cell 0: identity 7 has three images and 8 has one; cell 1: identity 7 again, two images."""
    found = sampling_weights([0, 0, 0, 0, 1, 1], [0.5, 0.5], identities=[7, 7, 7, 8, 7, 7])
    np.testing.assert_allclose(found.weights / 6, [1 / 12] * 3 + [1 / 4] + [1 / 4] * 2)
    np.testing.assert_allclose(found.effective_identities, [2, 1])
    np.testing.assert_allclose(found.effective_by_cell, [0.25 / (3 / 144 + 1 / 16), 2])


def test_cap_by_hand() -> None:
    """99 to 1: uniform would weigh the one 50; at most 10 times the mean is a share of 0.1, 0.9 for the others."""
    found = sampling_weights([0] * 99 + [1], [0.5, 0.5], cap=10)
    np.testing.assert_allclose(found.weights, [0.9 / 0.99] * 99 + [10])
    np.testing.assert_allclose(found.expected, [0.9, 0.1])
    assert found.status == ("above", "capped")


def test_within_a_cell_other_identities_take_up_what_the_cap_cuts() -> None:
    """Both cells hold half of 20 images. Cell 0: one identity with 8 images, two with one, which may weigh 2, 0.1 each
    instead of 1/6; the large one takes 0.3. The cell keeps its share."""
    found = sampling_weights([0] * 10 + [1] * 10, [0.5, 0.5], [0] * 8 + [1, 2] + [3] * 10, cap=2)
    np.testing.assert_allclose(found.weights, [0.3 * 20 / 8] * 8 + [2, 2] + [1] * 10)
    np.testing.assert_allclose(found.effective_identities, [0.5**2 / (0.3**2 + 2 * 0.1**2), 1])
    assert found.status == ("reached", "reached")


def loop_weights(cells: np.ndarray, identities: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Target over identities of the cell over images of the identity in the cell, row by row; mean 1."""
    rows = [(c, i) for c, i in zip(cells.tolist(), identities.tolist(), strict=True) if c >= 0]
    size = Counter(rows)
    people = Counter(c for c, _ in size)
    w = np.array(
        [target[c] / people[c] / size[(c, i)] if c >= 0 else 0 for c, i in zip(cells, identities, strict=True)]
    )
    return w / w.sum() * len(rows)


@pytest.mark.parametrize("seed", range(20))
def test_identities_agree_with_a_loop_over_rows(seed: int) -> None:
    cells, identities, target = random_rows(seed)
    found = sampling_weights(cells, target, identities, missing="excluded")
    np.testing.assert_allclose(found.weights, loop_weights(cells, identities, target), rtol=1e-9)
    assert found.missing_share == 0


@pytest.mark.parametrize("seed", range(40))
def test_properties(seed: int) -> None:
    cells, identities, target = random_rows(seed)
    cap = float(np.random.default_rng(seed).choice([1, 1.2, 2, 5, 1e6]))
    people = identities if seed % 2 else None
    found = sampling_weights(cells, target, people, cap)
    labelled = cells >= 0
    assert found.weights[labelled].mean() == pytest.approx(1)
    assert found.weights.max() <= cap * (1 + 1e-9)
    np.testing.assert_array_equal(found.weights[~labelled], 1)
    sums = np.bincount(cells[labelled], found.weights[labelled], target.size)
    np.testing.assert_allclose(sums / sums.sum(), found.expected, atol=1e-12)
    for status, count, given, wanted in zip(found.status, found.counts, found.expected, target, strict=True):
        assert (status == "empty") == (count == 0)
        assert (status == "capped") == (count > 0 and given < wanted - 1e-9)
        assert (status == "above") == (given > wanted + 1e-9)
        if status == "capped":
            assert given == pytest.approx(cap * count / labelled.sum())
    if cap == 1:
        np.testing.assert_allclose(found.weights, 1)
    order = np.random.default_rng(1).permutation(cells.size)
    again = sampling_weights(cells[order], target, None if people is None else people[order], cap)
    np.testing.assert_allclose(again.weights, found.weights[order], rtol=1e-9)


@pytest.mark.parametrize("seed", range(15))
def test_identities_below_the_cap_share_equally_and_no_capped_one_has_more(seed: int) -> None:
    cells, identities, target = random_rows(seed)
    found = sampling_weights(cells, target, identities, cap=1.5)
    for cell in range(target.size):
        inside = cells == cell
        shares = [found.weights[inside & (identities == i)].sum() for i in np.unique(identities[inside])]
        capped = [found.weights[inside & (identities == i)].max() > 1.5 - 1e-9 for i in np.unique(identities[inside])]
        free = [s for s, c in zip(shares, capped, strict=True) if not c]
        if free:
            np.testing.assert_allclose(free, free[0])
            assert max(shares) <= free[0] * (1 + 1e-9)
        elif shares:
            assert found.expected[cell] == pytest.approx(1.5 * inside.sum() / (cells >= 0).sum())


def naive_capped(target: np.ndarray, ceiling: np.ndarray) -> np.ndarray:
    """Cut what is above its ceiling and scale the rest up, until nothing is above."""
    x = target.astype(float)
    cut = np.zeros(x.size, bool)
    while (x > ceiling * (1 + 1e-12)).any():
        cut |= x > ceiling
        x[cut] = ceiling[cut]
        x[~cut] = target[~cut] * (1 - ceiling[cut].sum()) / target[~cut].sum()
    return x


@pytest.mark.parametrize("seed", range(30))
def test_capped_shares_agree_with_cutting_and_scaling_and_are_the_nearest_to_the_target(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 7))
    target, data = rng.dirichlet(np.ones(size)), rng.dirichlet(np.ones(size))
    ceiling = rng.uniform(1, 4) * data
    found = capped_shares(target, ceiling)
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, naive_capped(target, ceiling), rtol=1e-9)
    start = np.minimum(np.maximum(data, 1e-9), ceiling)
    best = minimize(
        lambda x: float((x * np.log(x / target)).sum()),
        start,
        jac=lambda x: np.log(x / target) + 1,
        bounds=[(1e-12, c) for c in ceiling],
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1, "jac": lambda x: np.ones(size)},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    np.testing.assert_allclose(found, best.x, atol=1e-4)
    assert (found * np.log(found / target)).sum() <= best.fun + 1e-9


def test_ceilings_that_leave_too_little_are_all_reached() -> None:
    np.testing.assert_allclose(capped_shares(np.array([0.5, 0.5, 0]), np.array([0.1, 0.3, 9])), [0.1, 0.3, 0])


@pytest.mark.parametrize("cap", [None, 3.0])
def test_draws_hit_the_expected_shares(cap: float | None) -> None:
    rng = np.random.default_rng(11)
    cells = rng.choice(np.arange(-1, 4), 5000, p=[0.1, 0.7, 0.15, 0.04, 0.01])
    found = sampling_weights(cells, [0.4, 0.3, 0.2, 0.1], rng.integers(0, 500, 5000), cap)
    n = 200_000
    drawn = cells[rng.choice(5000, n, p=found.weights / found.weights.sum())]
    shares = np.bincount(drawn[drawn >= 0], minlength=4) / (drawn >= 0).sum()
    np.testing.assert_allclose(shares, found.expected, atol=5 * np.sqrt(0.25 / n))
    assert (drawn < 0).mean() == pytest.approx(found.missing_share, abs=5 * np.sqrt(0.25 / n))
    assert ("capped" in found.status) == (cap is not None)


def test_effective_sample_size_is_that_of_the_variance_of_a_weighted_mean() -> None:
    """Kish: the variance of Σwy / Σw over independent y is σ² / n_eff."""
    rng = np.random.default_rng(2)
    w = rng.exponential(size=50)
    means = (rng.normal(size=(40_000, 50)) * w).sum(axis=1) / w.sum()
    assert 1 / means.var() == pytest.approx(effective_sample_size(w), rel=0.03)
    assert effective_sample_size([1, 1, 4]) == pytest.approx(2)
    assert effective_sample_size(1000 * w) == pytest.approx(effective_sample_size(w))
    assert effective_sample_size([]) is None
    assert effective_sample_size([0, 0]) is None


def test_empty_cells_are_told_and_their_share_goes_to_the_others() -> None:
    found = sampling_weights([0, 0, 2], [0.4, 0.4, 0.2])
    assert found.status == ("above", "empty", "above")
    np.testing.assert_allclose(found.expected, [2 / 3, 0, 1 / 3])
    assert np.isnan(found.effective_by_cell[1])


def test_a_cell_with_target_zero_is_not_drawn_and_not_in_the_mean() -> None:
    found = sampling_weights([0, 0, 1, 1, 1, 2], [0.5, 0, 0.5], cap=1.2)
    np.testing.assert_allclose(found.weights, [0.9, 0.9, 0, 0, 0, 1.2])
    assert found.status == ("above", "reached", "capped")


def test_nothing_to_draw() -> None:
    for cells in ([-1, -1], [1, 1]):
        found = sampling_weights(cells, [1, 0], missing="excluded")
        np.testing.assert_array_equal(found.weights, 0)
        assert np.isnan(found.expected).all()
        assert found.effective_sample_size is None
        assert found.missing_share is None
    found = sampling_weights(np.empty(0, np.int64), [0.5, 0.5], identities=np.empty(0, np.int64))
    assert found.weights.shape == (0,)
    assert found.status == ("empty", "empty")
    only = sampling_weights([-1, -1], [1, 0])
    np.testing.assert_array_equal(only.weights, 1)
    assert only.missing_share == 1


def test_identity_codes_may_be_any_64_bit_numbers() -> None:
    rng = np.random.default_rng(4)
    cells, small = rng.integers(0, 3, 1000), rng.integers(0, 40, 1000)
    large = rng.integers(-(2**63), 2**63 - 1, 40)[small]
    expected = sampling_weights(cells, [0.2, 0.3, 0.5], small, cap=2).weights
    np.testing.assert_allclose(sampling_weights(cells, [0.2, 0.3, 0.5], large, cap=2).weights, expected)


def test_rounded_published_shares_are_scaled() -> None:
    np.testing.assert_allclose(target_shares([0.3, 0.3, 0.395]), np.array([0.3, 0.3, 0.395]) / 0.995)
    for wrong in ([0.5, 0.3], [1.2, -0.2], [np.nan, 1], []):
        with pytest.raises(ConfigError, match="add up to 1"):
            target_shares(wrong)


def test_wrong_arguments_are_refused() -> None:
    for cells in ([-2], [0.5], [[0]]):
        with pytest.raises(ConfigError, match="whole numbers"):
            sampling_weights(cells, [1.0])
    with pytest.raises(ConfigError, match="declare them all"):
        sampling_weights([0, 2], [0.5, 0.5])
    for cap in (0.5, np.nan):
        with pytest.raises(ConfigError, match="cap"):
            sampling_weights([0], [1.0], cap=cap)
    with pytest.raises(ConfigError, match="excluded or neutral"):
        sampling_weights([0], [1.0], missing="dropped")  # type: ignore[arg-type]
    for identities in ([1, 2], [0.5]):
        with pytest.raises(ConfigError, match="one for each image"):
            sampling_weights([0], [1.0], identities=identities)
    with pytest.raises(ConfigError, match="negative"):
        effective_sample_size([-1, 2])
