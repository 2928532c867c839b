"""Error-versus-discard curves against hand-worked values, a loop over all pairs, and the trapezoid rule of SciPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy.integrate import trapezoid

from facelib.errors import ConfigError
from facelib.reports.error_discard import Comparisons, error_discard_curve, least_quality, mean_error

pytestmark = pytest.mark.unit

Floats = npt.NDArray[np.float64]


def comparisons(*pairs: tuple[float, float]) -> Comparisons:
    similarity, quality = np.array(pairs, np.float64).reshape(-1, 2).T
    return Comparisons(similarity, quality)


MATED = comparisons((0.9, 0.8), (0.5, 0.1), (0.6, 0.9), (0.7, 0.3))
NON_MATED = comparisons((0.1, 0.9), (0.65, 0.2), (0.2, 0.8), (0.7, 0.9), (0.3, 0.05))


def test_curve_by_hand() -> None:
    """Threshold 0.6: a mated similarity of 0.6 is not above it, so 2 of 4 mated and 2 of 5 non-mated err."""
    points = error_discard_curve(MATED, ["a", "a", "b", "b"], NON_MATED, 0.6, [0.0, 0.1, 0.3, 0.85, 1.0])
    assert [p.n_mated for p in points] == [4, 4, 3, 1, 0]
    assert [p.n_non_mated for p in points] == [5, 4, 3, 2, 0]
    assert [p.discarded_share for p in points] == pytest.approx([0, 0, 0.25, 0.75, 1])
    assert [p.fnmr for p in points[:4]] == pytest.approx([2 / 4, 2 / 4, 1 / 3, 1])
    assert [p.change for p in points[:4]] == pytest.approx([0, 0, -1 / 6, 1 / 2])
    assert [p.fmr for p in points[:4]] == pytest.approx([2 / 5, 2 / 4, 1 / 3, 1 / 2])
    assert math.isnan(points[4].fnmr)
    assert math.isnan(points[4].fmr)
    assert all(math.isnan(end) for end in points[4].fnmr_ends)


def faces(seed: int) -> tuple[Floats, npt.NDArray[np.int64], Floats]:
    """Unit vectors of 40 faces of 10 subjects, the subject of each, and a quality that makes vectors noisy."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(10), 4)
    quality = np.round(rng.uniform(0, 1, 40), 1)
    vectors = rng.normal(0, 1, (10, 8))[subject] + rng.normal(0, 1, (40, 8)) * (1.4 - quality)[:, None]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), subject, quality


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_curve_equals_a_loop_over_the_faces_that_are_left(seed: int) -> None:
    unit, subject, quality = faces(seed)
    pairs = list(itertools.combinations(range(40), 2))
    mated = [(i, j) for i, j in pairs if subject[i] == subject[j]]
    non_mated = [(i, j) for i, j in pairs if subject[i] != subject[j]]

    def compared(chosen: list[tuple[int, int]]) -> Comparisons:
        return comparisons(*((float(unit[i] @ unit[j]), min(quality[i], quality[j])) for i, j in chosen))

    limits = [0.0, *least_quality(quality, [0.1, 0.3, 0.6])]
    points = error_discard_curve(
        compared(mated), [subject[i] for i, _ in mated], compared(non_mated), 0.5, limits, resamples=20
    )
    for limit, point in zip(limits, points, strict=True):
        kept = {i for i in range(40) if quality[i] >= limit}
        left = [(i, j) for i, j in mated if {i, j} <= kept]
        others = [(i, j) for i, j in non_mated if {i, j} <= kept]
        assert (point.n_mated, point.n_non_mated) == (len(left), len(others))
        assert point.fnmr == pytest.approx(sum(unit[i] @ unit[j] <= 0.5 for i, j in left) / len(left))
        assert point.fmr == pytest.approx(sum(unit[i] @ unit[j] > 0.5 for i, j in others) / len(others))
        assert point.discarded_share == pytest.approx(1 - len(left) / len(mated))
    assert points[-1].fnmr < points[0].fnmr


def test_interval_is_that_of_a_bootstrap_which_draws_subjects() -> None:
    """30 subjects who err always or never: drawn as wholes, the share's deviation is √(p(1 − p) / 30)."""
    rng = np.random.default_rng(5)
    wrong = np.arange(30) < 9
    subjects = np.repeat(np.arange(30), 20)
    mated = Comparisons(np.where(wrong, 0.1, 0.9)[subjects], rng.uniform(0.2, 1, 600))
    (point,) = error_discard_curve(mated, subjects, NON_MATED, 0.5, [0.0], resamples=4000)
    half = 1.96 * math.sqrt(0.3 * 0.7 / 30)
    assert point.fnmr_ends == pytest.approx((0.3 - half, 0.3 + half), abs=0.03)
    assert point.change_ends == (0, 0)


def test_change_is_paired_so_its_interval_can_leave_out_zero() -> None:
    """Each subject has one error, of low quality, in ten: discarding it is an improvement in every draw."""
    subjects = np.repeat(np.arange(20), 10)
    bad = np.tile(np.arange(10) == 0, 20)
    mated = Comparisons(np.where(bad, 0.1, 0.9), np.where(bad, 0.2, 0.8))
    start, after = error_discard_curve(mated, subjects, NON_MATED, 0.5, [0.0, 0.5])
    assert start.fnmr_ends == pytest.approx((0.1, 0.1))
    assert after.fnmr == 0
    assert after.change_ends == pytest.approx((-0.1, -0.1))


def test_same_seed_same_intervals() -> None:
    one, two, other = (
        error_discard_curve(MATED, [1, 2, 3, 4], NON_MATED, 0.6, [0.0], resamples=9, seed=s)[0] for s in (4, 4, 5)
    )
    assert one == two
    assert (one.fnmr, one.fmr) == (other.fnmr, other.fmr)


def test_least_quality_keeps_ties_together_and_never_discards_more_than_the_share() -> None:
    quality = np.array([0.1, 0.2, 0.2, 0.2, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert least_quality(quality, [0, 0.1, 0.2, 0.39, 0.4, 0.99]) == [0.1, 0.2, 0.2, 0.2, 0.5, 1.0]
    rng = np.random.default_rng(1)
    for _ in range(200):
        values = rng.integers(0, 20, rng.integers(1, 60)) / 20
        share = float(rng.integers(0, 100)) / 100
        (limit,) = least_quality(values, [share])
        assert (values < limit).mean() <= share + 1e-12
        larger = values[values > limit]
        assert not len(larger) or (values < larger.min()).mean() > share - 1e-12


def test_mean_error_is_the_area_over_the_width() -> None:
    shares, fnmr = [0.0, 0.1, 0.3, 0.5], [0.4, 0.2, 0.1, 0.1]
    assert mean_error(shares, fnmr, 0.3) == pytest.approx((0.03 + 0.03) / 0.3)
    assert mean_error(shares, fnmr, 0.5) == pytest.approx(trapezoid(fnmr, shares) / 0.5)
    assert mean_error(shares, fnmr, 0.2) == pytest.approx((0.03 + 0.0175) / 0.2)
    assert mean_error([0, 1], [0.25, 0.25], 0.7) == pytest.approx(0.25)


def test_unusable_input_is_refused() -> None:
    with pytest.raises(ConfigError, match="similarities"):
        Comparisons(np.zeros(3), np.zeros(2))
    with pytest.raises(ConfigError, match="subject"):
        error_discard_curve(MATED, ["a"], NON_MATED, 0.5, [0.0])
    with pytest.raises(ConfigError, match="limit"):
        error_discard_curve(MATED, list("abcd"), NON_MATED, 0.5, [])
    with pytest.raises(ConfigError, match="mated"):
        error_discard_curve(comparisons(), [], NON_MATED, 0.5, [0.0])
    with pytest.raises(ConfigError, match="share"):
        least_quality([0.5], [1.0])
    with pytest.raises(ConfigError, match="face"):
        least_quality([], [0.1])
    for shares, up_to in (([0.1, 0.2], 0.2), ([0.0, 0.2], 0.3), ([0.0, 0.2, 0.1], 0.1), ([], 0.1)):
        with pytest.raises(ConfigError, match="share"):
            mean_error(shares, [0.1] * len(shares), up_to)
