"""Which withheld cells of a table of two attributes can have one value only, given all that is shown."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog

Bool = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]
_ROUNDS = 4
"""Directions tried for all cells together before each is looked at by itself."""


def pinned_cells(
    n: Float64, small: Bool, hidden: Bool, totals: tuple[Float64, Float64], total: float, min_cell: int
) -> Bool:
    """The cells of `small` that can have one value only, (r, c).

    n: counts, read where not `hidden`. totals: of the rows, (r,), and of the columns, (c,), NaN where they are not
    known; total: of all cells. Known of the hidden cells is that they are 0 or more, and of the small ones that they
    are from 1 to min_cell − 1; the upper end is dropped where the totals deny it, as when the table withholds others
    than small cells. The ends are found by linear programmes: where margins are whole numbers, so are they.
    """
    cells = np.argwhere(hidden)
    is_small, shown = small[hidden], np.where(hidden, 0.0, n)
    known = [(axis, k) for axis in (0, 1) for k in np.flatnonzero(~np.isnan(totals[axis]))]
    relations = np.array([*(cells[:, axis] == k for axis, k in known), np.ones(len(cells))], np.float64)
    sums = [*(totals[axis][k] - shown.sum(axis=1 - axis)[k] for axis, k in known), total - shown.sum()]
    high = np.where(is_small, min_cell - 1.0, np.inf)

    def lowest(weights: Float64, high: Float64) -> Float64 | None:
        bounds = np.column_stack([is_small.astype(np.float64), high])
        found = linprog(weights, A_eq=relations, b_eq=sums, bounds=bounds, method="highs")
        return np.asarray(found.x, np.float64) if found.status == 0 else None

    if is_small.any() and lowest(np.zeros(len(cells)), high) is None:
        high = np.full(len(cells), np.inf)
    least, most = np.full(len(cells), np.inf), np.full(len(cells), -np.inf)

    def widen(weights: Float64) -> None:
        for sign in (1.0, -1.0):
            x = lowest(sign * weights, high)
            if x is not None:
                np.minimum(least, x, out=least)
                np.maximum(most, x, out=most)

    draw = np.random.default_rng(0)
    for _ in range(_ROUNDS if is_small.any() else 0):
        widen(np.where(is_small, draw.uniform(-1.0, 1.0, len(cells)), 0.0))
    for k in np.flatnonzero(is_small & (most - least < 0.5)):
        widen(np.eye(1, len(cells), k)[0])
    pinned = np.zeros_like(hidden)
    pinned[hidden] = is_small & (most - least < 0.5)
    return pinned
