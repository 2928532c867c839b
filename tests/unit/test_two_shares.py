"""Two shares at whole and at effective numbers of units: against Fisher's exact test and draws from the Betas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from facelib.audit.two_shares import compare_shares
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


def random_tables(n: int, seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    m, of = rng.integers(1, 60, n), rng.integers(1, 4000, n)
    return rng.binomial(m, rng.random(n)), m, rng.binomial(of, 0.4 * rng.random(n)), of


def test_whole_numbers_give_twice_the_smaller_one_sided_p_of_fisher() -> None:
    x, m, y, n = random_tables(200, 1)
    found = compare_shares(x, m, y, n).p_value
    for p, a, b, c, d in zip(found, x, m, y, n, strict=True):
        table = [[a, b - a], [c, d - c]]
        one_sided = [stats.fisher_exact(table, alternative=side)[1] for side in ("greater", "less")]
        assert p == pytest.approx(min(1.0, 2 * min(one_sided)), rel=2e-3)


def test_the_interval_excludes_0_where_p_is_small_and_only_there() -> None:
    x, m, y, n = random_tables(300, 2)
    found = compare_shares(x, m, y, n)
    assert np.array_equal((found.low > 0) | (found.high < 0), found.p_value < 0.05)
    estimate = x / m - y / n
    assert np.all((found.low <= estimate) & (estimate <= found.high))


@pytest.mark.parametrize(("x", "m", "y", "n"), [(3, 20, 10, 400), (18.5, 20.25, 0.5, 7.75), (200.5, 900.0, 100, 2000)])
def test_the_interval_is_that_of_the_two_betas(x: float, m: float, y: float, n: float) -> None:
    rng, draws = np.random.default_rng(3), 400_000
    low = rng.beta(x, m - x + 1, draws) - rng.beta(y + 1, n - y, draws)
    high = rng.beta(x + 1, m - x, draws) - rng.beta(y, n - y + 1, draws)
    found = compare_shares(x, m, y, n)
    scale = found.high[0] - found.low[0]
    assert found.low[0] == pytest.approx(np.quantile(low, 0.025), abs=0.01 * scale)
    assert found.high[0] == pytest.approx(np.quantile(high, 0.975), abs=0.01 * scale)


def test_many_units_give_the_normal_interval() -> None:
    x, m, y, n = 5e7, 1e8, 3.5e7, 7e7
    found = compare_shares(x, m, y, n)
    half = 1.959964 * np.sqrt(0.25 / m + 0.25 / n)
    assert found.high[0] == pytest.approx(half, rel=1e-3)
    assert found.low[0] == pytest.approx(-half, rel=1e-3)


def test_ends_of_the_range() -> None:
    found = compare_shares([0, 10, 0, 1], [10, 10, 10, 1], [10, 0, 0, 1], [10, 10, 10, 1])
    assert (found.low[0], found.high[1]) == (-1.0, 1.0)
    assert found.high[0] < -0.5
    assert found.low[1] > 0.5
    assert np.array_equal(found.p_value[2:], [1.0, 1.0])
    assert np.all((found.low >= -1) & (found.high <= 1))


def test_exchanging_the_shares_exchanges_the_ends() -> None:
    x, m, y, n = random_tables(100, 4)
    there, back = compare_shares(x, m, y, n), compare_shares(y, n, x, m)
    assert there.p_value == pytest.approx(back.p_value, rel=2e-3)
    assert there.low == pytest.approx(-back.high, abs=1e-5)


def test_more_confidence_is_a_wider_interval() -> None:
    wide, narrow = (compare_shares(5, 40, 30, 500, c) for c in (0.99, 0.8))
    assert wide.low[0] < narrow.low[0] < narrow.high[0] < wide.high[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 2, 1, 5), "outside 0 … units"),
        ((-1, 2, 1, 5), "outside 0 … units"),
        ((0, 0, 1, 5), "no units"),
        ((1, 2, 1, 5, 1.0), "confidence is 1.0"),
    ],
)
def test_impossible_counts_are_refused(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compare_shares(*arguments)
