"""Confidence intervals of shares."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError

Float64 = npt.NDArray[np.float64]


def wilson(n: npt.ArrayLike, of: npt.ArrayLike, confidence: float = 0.95) -> tuple[Float64, Float64]:
    """Wilson score interval of the share n / of, two-sided, without continuity correction.

    `n` and `of` are counts with 0 ≤ n ≤ of and broadcast against each other. Returns (low, high),
    float64 in 0–1 of the broadcast shape; both are NaN where `of` is 0. Low is exactly 0 at n = 0
    and high is exactly 1 at n = of. Raises ConfigError for impossible counts or a confidence
    outside (0, 1).

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22 (1927) 209–212.
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is {confidence}: give a value between 0 and 1, such as 0.95")
    hits, trials = np.broadcast_arrays(np.asarray(n, np.float64), np.asarray(of, np.float64))
    if not np.all((hits >= 0) & (hits <= trials)):
        raise ConfigError("a count n of an interval is outside 0 … of: count both from the same rows")
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    known = trials > 0
    total = np.where(known, trials, 1.0)
    middle = (hits + z2 / 2) / (total + z2)
    half = np.sqrt(z2 * (hits * (total - hits) / total + z2 / 4)) / (total + z2)
    low = np.where(hits == 0, 0.0, np.maximum(middle - half, 0.0))
    high = np.where(hits == total, 1.0, np.minimum(middle + half, 1.0))
    return np.where(known, low, np.nan), np.where(known, high, np.nan)
