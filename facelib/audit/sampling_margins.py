"""Shares of the combinations of categories when only the shares of each attribute are declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from facelib.audit.sampling_weights import EXACT, ceilings, filling_level, target_shares
from facelib.errors import ConfigError

Float64 = npt.NDArray[np.float64]
_FEASIBLE = 1e-7
"""Precision of the linear programme."""
_VAIN = 100
"""Passes after which an infeasible problem is left."""


@dataclass(frozen=True)
class MarginFit:
    """Shares of all cells that have the margins asked for, or come near them.

    `shares`: float64 of the shape of the counts, adding up to 1 (NaN when no image lies in a cell with a
    positive target). `margins`: their sums per axis. `status`: `converged`; `slow`, the targets can be met
    but `iterations` passes did not do so (typically because the only solutions empty a cell that holds
    images); `infeasible`, no shares with the same empty cells, and below the cap, have these margins.
    `deviation`: largest |margin − target| left. `least_deviation`: the smallest possible Σ |margin − target|
    over all categories; 0 when feasible.
    """

    shares: Float64
    margins: tuple[Float64, ...]
    status: Literal["converged", "slow", "infeasible"]
    iterations: int
    deviation: float
    least_deviation: float


def fit_margins(
    counts: npt.ArrayLike,
    targets: Sequence[npt.ArrayLike],
    cap: float | None = None,
    max_iterations: int = 1000,
) -> MarginFit:
    """Shares of the cells of several attributes when only the shares of each attribute are declared.

    counts: images, one axis per attribute (missing ones left out). targets: per axis the target shares of
    its categories. Iterative proportional fitting: the result has the odds ratios of the counts and, among all
    shares with these margins, the smallest Kullback–Leibler divergence from them. With a cap it is
    min(cap × share in the data, share × one factor per category), the smallest divergence under that cap too; each
    step solves the factors of one axis exactly. Give `shares.ravel()` to `sampling_weights`, with the same cap.

    Stops when every margin is within 1e-9 of its target. A linear programme tells what is `infeasible`; its shares are
    those of the 100th pass: without a cap they fit the last axis and miss the others (the passes end up
    alternating between two tables).

    Raises ConfigError when the shapes do not fit, a target is wrong or the cap is below 1.

    Sources: W. E. Deming and F. F. Stephan, Annals of Mathematical Statistics 11 (1940) 427–444; I. Csiszár,
    Annals of Probability 3 (1975) 146–158 (divergence); F. Pukelsheim, Annals of Operations Research 215
    (2014) 269–283 (when it fails); J.-C. Deville, C.-E. Särndal and O. Sautory, JASA 88 (1993) 1013–1020 (bounds).
    """
    n, wanted = np.asarray(counts, np.float64), [target_shares(t) for t in targets]
    if n.shape != tuple(t.size for t in wanted) or not np.all(np.isfinite(n) & (n >= 0)):
        raise ConfigError("counts must be ≥ 0, with one axis per target and one position per category: match them")
    for axis, t in enumerate(wanted):
        n = n * _along(t > 0, axis, n.ndim)
    ceiling = ceilings(n, n.sum(), cap)
    least = _least_deviation(wanted, ceiling)
    status: Literal["converged", "slow", "infeasible"] = "infeasible" if least > _FEASIBLE else "slow"
    x, iterations = _rake(n, wanted, ceiling, min(max_iterations, _VAIN) if status == "infeasible" else max_iterations)
    total = x.sum()
    shares = x / total if total else np.full(n.shape, np.nan)
    margins = _margins(x / (total or 1))
    deviation = max(float(np.abs(m - t).max()) for m, t in zip(margins, wanted, strict=True))
    return MarginFit(shares, margins, "converged" if deviation <= EXACT else status, iterations, deviation, least)


def _margins(shares: Float64) -> tuple[Float64, ...]:
    axes = range(shares.ndim)
    return tuple(shares.sum(axis=tuple(a for a in axes if a != axis)) for axis in axes)


def _rake(counts: Float64, wanted: Sequence[Float64], ceiling: Float64, passes: int) -> tuple[Float64, int]:
    """Shares and the number of passes. Factors are logarithms: those of targets that cannot be met diverge."""
    seed = np.log(counts, out=np.full(counts.shape, -np.inf), where=counts > 0)
    factors = [np.zeros(t.size) for t in wanted]
    shares, done = np.zeros(counts.shape), 0
    while done < passes:
        done += 1
        for axis, t in enumerate(wanted):
            others = sum((_along(f, a, seed.ndim) for a, f in enumerate(factors) if a != axis), start=seed)
            rows, tops = (np.moveaxis(v, axis, 0).reshape(t.size, -1) for v in (others, ceiling))
            top = rows.max(axis=1)
            peak = np.where(np.isfinite(top), top, 0.0)
            parts = zip(np.exp(rows - peak[:, None]), tops, t, strict=True)
            level = np.array([filling_level(*part) for part in parts])
            factors[axis] = np.log(level, out=np.zeros(t.size), where=level > 0) - peak
        product = sum((_along(f, a, seed.ndim) for a, f in enumerate(factors)), start=seed)
        shares = np.minimum(ceiling, np.exp(product))
        if all(np.abs(m - t).max() <= EXACT / 2 for m, t in zip(_margins(shares), wanted, strict=True)):
            break
    return shares, done


def _along(values: npt.NDArray[Any], axis: int, axes: int) -> npt.NDArray[Any]:
    return values.reshape([-1 if a == axis else 1 for a in range(axes)])


def _least_deviation(wanted: Sequence[Float64], ceiling: Float64) -> float:
    """Smallest Σ |margin − target| of any shares below the ceilings: Σ x + above − below = target, per category."""
    from scipy.optimize import linprog
    from scipy.sparse import coo_array, eye_array, hstack

    places = np.nonzero(ceiling > 0)
    starts = np.cumsum([0, *(t.size for t in wanted)])
    rows = np.concatenate([p + start for p, start in zip(places, starts, strict=False)])
    columns = np.tile(np.arange(places[0].size), ceiling.ndim)
    sums = coo_array((np.ones(rows.size), (rows, columns)), shape=(starts[-1], places[0].size))
    slack = eye_array(starts[-1])
    cost = np.repeat([0.0, 1.0], [places[0].size, 2 * starts[-1]])
    top = np.concatenate([ceiling[places], np.full(2 * starts[-1], np.inf)])
    solved = linprog(
        cost,
        A_eq=hstack([sums, slack, -slack]),
        b_eq=np.concatenate(wanted),
        bounds=np.column_stack([np.zeros(top.size), top]),
    )
    return float(solved.fun)
