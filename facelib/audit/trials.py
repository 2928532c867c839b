"""How many independent trials, and identities, an error rate needs.

A trial is a comparison whose outcome is independent of the others. Comparisons that share a subject are not:
multiply the numbers by the design effect of the data at hand (L. Kish, Survey Sampling (1965)).
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Comparison = Literal["mated", "non-mated"]
ROUNDING = 1e-12
"""Relative error of a computation, so that 30.000000000000004 units are 30."""


def trials_for_width(rate: npt.ArrayLike, width: npt.ArrayLike, confidence: float = 0.95) -> Int64:
    """Smallest number of independent trials whose Wilson interval at the observed rate is at most `width` wide.

    rate: expected error rate (FMR, FNMR) or share, 0–1; width: high − low, between 0 and 1; broadcast. Comparisons for
    an error rate, images or identities over all cells for a share. With h = width / 2, q = 1 − p:
    n = z² / 2h² × (pq − 2h² + √(p²q² + h²(1 − 4pq))), the interval of `facelib.audit.intervals.wilson` solved for n;
    near z² pq / h² (the normal approximation) for rates well away from 0 and 1, z² (1 / width − 1) for p = 0. A plan:
    the width obtained varies with the rate that will be observed.

    Source: W. W. Piegorsch, Computational Statistics & Data Analysis 46 (2004) 309–316.
    """
    p, w = np.asarray(rate, np.float64), np.asarray(width, np.float64)
    if not (np.all((p >= 0) & (p <= 1)) and np.all((w > 0) & (w < 1)) and 0 < confidence < 1):
        raise ConfigError("rate must lie in 0–1, width and confidence between 0 and 1: correct them")
    pq, h2 = p * (1 - p), (w / 2) ** 2
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    return _whole(z2 / (2 * h2) * (pq - 2 * h2 + np.sqrt(pq**2 + h2 * (1 - 4 * pq))))


def trials_for_zero_errors(rate: npt.ArrayLike, confidence: float = 0.95) -> Int64:
    """Independent trials that, all without error, show the rate to be below `rate` (one-sided): ln(1 − c) / ln(1 − p).

    About 3 / rate at 95 %, the rule of 3: J. A. Hanley and A. Lippman-Hand, JAMA 249 (1983) 1743–1745.
    """
    p = _rate(rate)
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is {confidence}: give a value between 0 and 1, such as 0.95")
    return _whole(math.log1p(-confidence) / np.log1p(-p))


def trials_for_rule_of_30(rate: npt.ArrayLike) -> Int64:
    """Independent trials in which 30 errors are expected, 30 / rate.

    With 30 errors the true rate is within ± 30 % of the observed one with 90 % confidence (normal approximation;
    the exact probability when 30 are expected is 87 %). Source: G. R. Doddington, M. A. Przybocki, A. F. Martin and
    D. A. Reynolds, Speech Communication 31 (2000) 225–254.
    """
    return _whole(30 / _rate(rate))


def identities_for_trials(trials: npt.ArrayLike, comparison: Comparison) -> tuple[Int64, Int64]:
    """(least, safe) number of identities for that many independent comparisons.

    mated: one comparison per identity, n and n. non-mated: safe is 2n, pairs without a common identity; least has
    m (m − 1) / 2 ≥ n, all pairs, which share identities and are not independent: an interval that takes
    them for so is too narrow, by how much only the data tell.
    """
    n = np.asarray(trials)
    if n.dtype.kind not in "iu" or (n < 0).any():
        raise ConfigError("trials must be whole numbers ≥ 0: correct them")
    if comparison not in ("mated", "non-mated"):
        raise ConfigError(f"comparison is {comparison}: choose mated or non-mated")
    n = n.astype(np.int64)
    if comparison == "mated":
        return n, n
    m = np.ceil((1 + np.sqrt(1 + 8 * n.astype(np.float64))) / 2).astype(np.int64)
    m = np.where((m - 1) * (m - 2) // 2 >= n, m - 1, np.where(m * (m - 1) // 2 < n, m + 1, m))
    return np.where(n > 0, m, 0), 2 * n


def _rate(rate: npt.ArrayLike) -> Float64:
    p = np.asarray(rate, np.float64)
    if not np.all((p > 0) & (p < 1)):
        raise ConfigError("a rate must lie between 0 and 1, both excluded: correct it")
    return p


def _whole(numbers: npt.ArrayLike) -> Int64:
    """Rounded up to whole units, at least 1, a rounding error of the computation aside."""
    whole: Int64 = np.maximum(np.ceil(np.asarray(numbers) * (1 - ROUNDING)), 1).astype(np.int64)
    return whole
