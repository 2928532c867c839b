"""Counts of categories against reference shares: of a population, of a target, or all equal.

Counts are those of all declared categories in one order, (S,), zeros included, missing values excluded. Reference
shares are (S,), each in 0–1; they may add up to 1 ± 0.01 and are scaled to 1. A figure is None without units.
Tests take units as independent draws. Images of one identity are not: their p-values come out too small; test
identities, or take the interval of a share over clusters (`facelib.audit.resampling`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, rel_entr

from facelib.audit.diversity import unit_counts
from facelib.audit.sampling_weights import target_shares
from facelib.errors import ConfigError

Float64 = npt.NDArray[np.float64]
SMALL_EXPECTED = 5.0
"""Below this expected count in a cell, a p-value is simulated and not read off the χ² distribution."""
_BLOCK = 1 << 22


def uniform(categories: int) -> Float64:
    """Equal reference shares of S ≥ 1 categories, (S,)."""
    if categories < 1:
        raise ConfigError("equal reference shares need at least one category: declare the categories")
    return np.full(categories, 1 / categories)


def share_ratios(counts: npt.ArrayLike, shares: npt.ArrayLike) -> Float64:
    """Observed over reference share of each category, (S,), ≥ 0; NaN for a reference of 0 and without units."""
    c, q = _both(counts, shares)
    ratio = np.full(q.size, np.nan)
    if c.sum():
        np.divide(c / c.sum(), q, out=ratio, where=q > 0)
    return ratio


def ratio_range(counts: npt.ArrayLike, shares: npt.ArrayLike) -> tuple[float, float] | None:
    """(smallest, largest) of `share_ratios`: 0 … 1 and ≥ 1 when no unit is in a category of reference 0."""
    ratio = share_ratios(counts, shares)
    known = ratio[~np.isnan(ratio)]
    return (float(known.min()), float(known.max())) if known.size else None


def total_variation(counts: npt.ArrayLike, shares: npt.ArrayLike) -> float | None:
    """½ Σ |p − q|, 0 … 1: the share of units that would have to change category to meet the reference."""
    c, q = _both(counts, shares)
    if c.sum() == 0:
        return None
    return min(1.0, float(np.abs(c / c.sum() - q).sum() / 2))


def kullback_leibler(counts: npt.ArrayLike, shares: npt.ArrayLike) -> float | None:
    """Σ p ln(p / q) in nats, ≥ 0, of the observed shares p from the reference q.

    Also None when a category with reference 0 holds units: the divergence is then infinite, and
    `jensen_shannon` is the figure to look at.

    Source: S. Kullback and R. A. Leibler, "On information and sufficiency", Annals of Mathematical
    Statistics 22 (1951) 79–86.
    """
    c, q = _both(counts, shares)
    if c.sum() == 0 or _impossible(c, q):
        return None
    return max(0.0, float(rel_entr(c / c.sum(), q).sum()))


def jensen_shannon(counts: npt.ArrayLike, shares: npt.ArrayLike) -> float | None:
    """½ KL(p, m) + ½ KL(q, m) in nats with m = (p + q) / 2, 0 … ln 2 (no category in common); symmetric.

    Source: J. Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on
    Information Theory 37 (1991) 145–151.
    """
    c, q = _both(counts, shares)
    if c.sum() == 0:
        return None
    p = c / c.sum()
    middle = (p + q) / 2
    return min(max(0.0, float((rel_entr(p, middle) + rel_entr(q, middle)).sum() / 2)), math.log(2))


def jensen_shannon_distance(counts: npt.ArrayLike, shares: npt.ArrayLike) -> float | None:
    """Square root of `jensen_shannon`, 0 … √ln 2 ≈ 0.833: a metric.

    Source: D. M. Endres and J. E. Schindelin, "A new metric for probability distributions", IEEE
    Transactions on Information Theory 49 (2003) 1858–1860.
    """
    divergence = jensen_shannon(counts, shares)
    return None if divergence is None else math.sqrt(divergence)


@dataclass(frozen=True)
class GoodnessOfFit:
    """Tests that units are independent draws from the reference shares.

    chi2: Pearson's Σ (n − e)² / e; g: 2 Σ n ln(n / e); both ≥ 0, with e = N q. df: categories of reference > 0,
    less one. p_chi2, p_g: chance of a statistic as large or larger; None when df is 0. `is_simulated`: because
    `smallest_expected` < 5 they come from draws under the reference, else from χ² with df degrees of freedom.
    cohen_w: √(χ² / N), ≥ 0, does not grow with N.
    """

    n: int
    df: int
    smallest_expected: float
    chi2: float
    g: float
    p_chi2: float | None
    p_g: float | None
    is_simulated: bool
    cohen_w: float


def goodness_of_fit(
    counts: npt.ArrayLike, shares: npt.ArrayLike, replicates: int = 9999, seed: int = 0
) -> GoodnessOfFit | None:
    """Pearson's χ² and the likelihood-ratio G of counts against reference shares, and Cohen's w.

    Categories of reference 0 are left out. None without units, and when a category of reference 0 holds some:
    the reference then rules out what was seen, which is no question of chance. When an expected count is below
    5 (Cochran's rule of thumb), p-values are (1 + draws at least as extreme) / (1 + replicates), of multinomial
    draws of N units; they are multiples of 1 / (1 + replicates) and never 0.

    Sources: K. Pearson, Philosophical Magazine (5) 50 (1900) 157–175; S. S. Wilks, Annals of Mathematical
    Statistics 9 (1938) 60–62 (G); W. G. Cochran, "Some methods for strengthening the common χ² tests",
    Biometrics 10 (1954) 417–451; B. Phipson and G. K. Smyth, "Permutation P-values should never be zero",
    Statistical Applications in Genetics and Molecular Biology 9 (2010) article 39; J. Cohen, Statistical
    Power Analysis for the Behavioral Sciences, 2nd ed. (1988), chapter 7 (w; 0.1, 0.3, 0.5: small, medium, large).
    """
    c, q = _both(counts, shares)
    n = c.sum()
    if n == 0 or _impossible(c, q):
        return None
    c, q = c[q > 0], q[q > 0]
    q = q / q.sum()
    chi2, g = (float(s) for s in _statistics(c, n * q))
    df, smallest = q.size - 1, float((n * q).min())
    cohen_w = math.sqrt(chi2 / n)
    if df == 0:
        return GoodnessOfFit(int(n), df, smallest, chi2, g, None, None, False, cohen_w)
    is_simulated = smallest < SMALL_EXPECTED
    if is_simulated:
        p = _simulated(int(n), q, (chi2, g), replicates, seed)
    else:
        p = float(chdtrc(df, chi2)), float(chdtrc(df, g))
    return GoodnessOfFit(int(n), df, smallest, chi2, g, *p, is_simulated, cohen_w)


def monte_carlo_p(at_least_as_extreme: int, replicates: int) -> float:
    """(1 + b) / (1 + R): p-value when b of R draws under the hypothesis are at least as extreme as what was seen.

    Source: Phipson and Smyth (2010), as in `goodness_of_fit`.
    """
    return (1 + at_least_as_extreme) / (1 + replicates)


def flag(
    share_ratio: npt.ArrayLike,
    ci_low: npt.ArrayLike,
    ci_high: npt.ArrayLike,
    below: float = 0.8,
    above: float = 1.25,
) -> npt.NDArray[np.bool_]:
    """Where a ratio of shares is outside below … above and its interval excludes 1; bool, broadcast shape.

    `ci_low` and `ci_high` are the interval of the share among known units, divided by the reference share as
    `share_ratio` is. Both conditions together: a large deviation that chance does not explain. False where a
    value is NaN: such a ratio is undefined, and the caller tells it from one that is not flagged. Defaults: the
    four-fifths rule of 29 CFR 1607.4 D and its inverse. Raises ConfigError when not 0 ≤ below ≤ 1 ≤ above or an
    interval is upside down.
    """
    if not 0 <= below <= 1 <= above:
        raise ConfigError(f"a ratio is flagged below {below} or above {above}: give values on either side of 1")
    ratio, low, high = (np.asarray(v, np.float64) for v in (share_ratio, ci_low, ci_high))
    if np.any(low > high):
        raise ConfigError("the low end of an interval is above its high end: exchange them")
    outside = (ratio < below) | (ratio > above)
    return np.asarray(outside & ((low > 1) | (high < 1)) & ~np.isnan(low + high))


def _both(counts: npt.ArrayLike, shares: npt.ArrayLike) -> tuple[Float64, Float64]:
    c, q = unit_counts(counts), target_shares(shares).ravel()
    if c.size != q.size:
        raise ConfigError(f"{c.size} counts meet {q.size} reference shares: give one of each for every category")
    return c, q


def _impossible(c: Float64, q: Float64) -> bool:
    return bool((c[q == 0] > 0).any())


def _statistics(c: Float64, expected: Float64) -> tuple[Float64, Float64]:
    """χ² and G over the last axis."""
    chi2 = ((c - expected) ** 2 / expected).sum(axis=-1)
    return chi2, np.maximum(2 * rel_entr(c, expected).sum(axis=-1), 0.0)


def _simulated(n: int, q: Float64, observed: tuple[float, float], replicates: int, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    least = np.array(observed) * (1 - 1e-9)
    extreme = np.zeros(2, np.int64)
    step = max(1, _BLOCK // q.size)
    for start in range(0, replicates, step):
        drawn = rng.multinomial(n, q, size=min(step, replicates - start)).astype(np.float64)
        extreme += (np.stack(_statistics(drawn, n * q)) >= least[:, None]).sum(axis=1)
    return monte_carlo_p(int(extreme[0]), replicates), monte_carlo_p(int(extreme[1]), replicates)
