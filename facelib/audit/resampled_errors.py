"""Error rates with 95 % intervals over subjects.

Comparisons that share a subject depend on each other, so the intervals count subjects, not comparisons. They cover
neither the choice of the threshold, which is held, nor errors of the labels.

**FMR**: percentiles over sets of as many subjects as there are, drawn with replacement (the subsets bootstrap: R. M.
Bolle, N. K. Ratha and S. Pankanti, "Error analysis of pattern recognition systems - the subsets bootstrap", Computer
Vision and Image Understanding 93 (2004) 1–33). A comparison counts as often as the product of its subjects'
multiplicities (the vertex bootstrap: T. A. B. Snijders and S. P. Borgatti, "Non-parametric standard errors and tests
for network statistics", Connections 22 (1999) 161–170). The part of the variance that belongs to single pairs of
subjects, and to neither of the two, is counted three times, so the intervals are rather too wide: they held the true
rate in 97–100 % of generated archives.

**FNMR**: the Wilson score interval at an effective number of comparisons, n / d · (z / t)²: d is the design effect, by
the variance that the jackknife over subjects gives, z the normal quantile and t that of Student with one degree of
freedom less than there are subjects (E. L. Korn and B. I. Graubard, "Confidence intervals for proportions with small
expected number of positive counts estimated from survey data", Survey Methodology 24 (1998) 193–201; for 1:1
comparison R. Fogliato, P. Patil and P. Perona, "Confidence intervals for error rates in 1:1 matching tasks",
International Journal of Computer Vision 132 (2024)). Percentiles over sets of subjects are too narrow here: with 12 to
150 subjects they held the true rate in 78–92 % of generated archives, these intervals in 89–97 %.

**Cells in which no comparison errs, or all do**: the far end is that of Clopper and Pearson ("The use of confidence or
fiducial limits illustrated in the case of the binomial", Biometrika 26 (1934) 404–413), 1 − 0.025^(1/n) without
errors, on an effective number n of comparisons: their number over the design effect of all comparisons, since such a
cell shows none (for the FMR it comes from the sets). n is at least the number of comparisons that share no subject.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from facelib.audit.error_counts import ErrorCounts, Totals
from facelib.audit.intervals import wilson
from facelib.clusters.engine import blocks
from facelib.clusters.space import IntArray

Float64 = npt.NDArray[np.float64]

_TAIL = 0.025
_MOST_UNDEFINED = 0.05
"""Share of the sets of subjects in which a figure may be undefined; with more, it has no interval."""
_CELLS = 1 << 21
"""Multiplicities held at a time."""


@dataclass(frozen=True)
class Rates:
    """Errors among comparisons: int64 counts and float64 rates in 0–1 with the ends of their 95 % interval.

    All are of one shape. Without comparisons the rate is NaN. The ends are NaN then and where there are too few
    subjects: for an FMR, when more than one set of subjects in twenty leaves the cell empty; for an FNMR, with one.
    """

    errors: IntArray
    comparisons: IntArray
    value: Float64
    low: Float64
    high: Float64

    def cells(self, index: int | slice) -> Rates:
        """Some of them, along the first axis."""
        return Rates(self.errors[index], self.comparisons[index], self.value[index], self.low[index], self.high[index])


def drawn_totals(counts: ErrorCounts, threshold: int, resamples: int, seed: int) -> Totals:
    """Totals in `resamples` sets of as many subjects as there are, drawn with replacement."""
    rng = np.random.default_rng(seed)
    n = counts.n_subjects
    even = np.full(n, 1 / n)
    at_a_time = max(1, _CELLS // counts.n_nodes)
    parts = [
        counts.totals(threshold, rng.multinomial(n, even, end - begin).T) for begin, end in blocks(resamples, at_a_time)
    ]
    return Totals(*(np.concatenate(same, axis=-1) for same in zip(*parts, strict=True)))


def share(part: npt.ArrayLike, whole: npt.ArrayLike) -> Float64:
    """part / whole, NaN where the whole is 0."""
    parts, wholes = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(parts, wholes, out=np.full(wholes.shape, np.nan), where=wholes > 0)


def design_effect(errors: int, comparisons: int, variance: float) -> float:
    """`variance` of a rate over that of independent comparisons; at least 1. NaN where the rate is 0, 1 or unknown."""
    if not 0 < errors < comparisons:
        return float("nan")
    rate = errors / comparisons
    return max(1.0, variance * comparisons / (rate * (1 - rate)))


def non_mated_rates(
    errors: IntArray, comparisons: IntArray, drawn: Float64, effect: float, unrelated: IntArray
) -> Rates:
    """FMR of the counts (…), with intervals from the rates `drawn` (…, R).

    Where all comparisons err or none does, the interval is that of `effect`, a design effect or NaN, and of
    `unrelated` (…), how many comparisons share no subject.
    """
    low, high = known_quantile(drawn, _TAIL), known_quantile(drawn, 1 - _TAIL)
    return _rates(errors, comparisons, low, high, effect, unrelated)


def mated_rates(errors: IntArray, comparisons: IntArray, effect: float) -> Rates:
    """FNMR of groups from their counts by subject, (groups, subjects) each; `effect` is a design effect or NaN."""
    totals, subjects = errors.sum(axis=1), np.count_nonzero(comparisons, axis=1)
    known = comparisons.sum(axis=1)
    own = np.array([mated_effect(e, c) for e, c in zip(errors, comparisons, strict=True)])
    student = t.ppf(1 - _TAIL, np.maximum(subjects - 1, 1))
    effective = known / own * (norm.ppf(1 - _TAIL) / student) ** 2
    has_own = np.isfinite(own)
    effective = np.where(has_own, effective, 0.0)
    low, high = wilson(np.where(has_own, share(totals, known), 0.0) * effective, effective)
    return _rates(totals, known, low, high, effect, subjects)


def mated_effect(errors: IntArray, comparisons: IntArray) -> float:
    """Design effect of an FNMR from the counts by subject, (subjects,): the variance is that of the jackknife.

    NaN where the rate is 0, 1 or unknown, and of one subject alone.
    """
    e, c = errors[comparisons > 0], comparisons[comparisons > 0]
    if len(c) < 2:
        return float("nan")
    without = (e.sum() - e) / (c.sum() - c)
    variance = (len(c) - 1) * float(np.var(without))
    return design_effect(int(e.sum()), int(c.sum()), variance)


def _rates(
    errors: IntArray, comparisons: IntArray, low: Float64, high: Float64, effect: float, unrelated: IntArray
) -> Rates:
    independent = comparisons / effect if np.isfinite(effect) else np.zeros(comparisons.shape)
    effective = np.maximum(independent, np.minimum(unrelated, comparisons))
    limit = _TAIL ** (1 / np.maximum(effective, 1))
    none, every = (comparisons > 0) & (errors == 0), (comparisons > 0) & (errors == comparisons)
    low, high = np.where(none, 0.0, low), np.where(every, 1.0, high)
    low, high = np.where(every, limit, low), np.where(none, 1 - limit, high)
    return Rates(errors, comparisons, share(errors, comparisons), low, high)


def known_quantile(drawn: Float64, quantile: float) -> Float64:
    """Smallest of the values (…, R) that at least this share of them does not exceed, (…).

    Undefined values (NaN) are left out, infinite ones are not. NaN where more than one value in twenty is undefined.
    """
    ordered = np.sort(drawn, axis=-1)  # NaN last
    known = np.count_nonzero(~np.isnan(drawn), axis=-1)
    at = np.maximum(np.ceil(quantile * known - 1e-9).astype(np.int64) - 1, 0)
    found = np.take_along_axis(ordered, at[..., None], axis=-1)[..., 0]
    return np.where(known >= (1 - _MOST_UNDEFINED) * drawn.shape[-1], found, np.nan)
