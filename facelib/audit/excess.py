"""Rates of groups that are too high for chance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc


def excess_p(n: npt.ArrayLike, of: npt.ArrayLike, expected: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Exact two-sided p-value, 0–1, of n or more out of `of` where each has the chance `expected`.

    Counts with 0 ≤ n ≤ of and chances 0–1 broadcast against each other. Twice the upper binomial tail
    P(X ≥ n), at most 1; 1 where `of` is 0. The chance counts as known.

    Source: C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits", Biometrika 26 (1934)
    404–413, whose interval at confidence 1 − α lies above `expected` exactly when the value is below α.
    """
    hits, trials, chance = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (n, of, expected)))
    tail = np.where(hits > 0, bdtrc(np.maximum(hits - 1, 0), np.maximum(trials, 1).astype(np.int64), chance), 1.0)
    return np.minimum(1.0, 2.0 * tail)
