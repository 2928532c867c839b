"""Linear programmes over the cells that published tables leave open."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]

TOLERANCE = 1e-6
"""Units by which a solution may differ from what it is taken for; the solver's own tolerance is 1e-7."""
WORTHWHILE = 0.1
"""After a programme that met no more than this share of its targets, the rest are taken one by one."""


@dataclass(frozen=True)
class Knowledge:
    """What an attacker knows of the cells x: equal @ x = sums, ordered @ x ≥ 0, and x ≥ low or x = low.

    equal, ordered: sparse csc, one column per cell. open: bool (cells,), the cells not published.
    low: float64 (cells,), the least value of an open cell, the value of any other. near: float64
    (cells,), where the programmes measure from, so that huge counts lose no digits: the true
    count where it is at hand, else any value.
    """

    equal: Any
    sums: Float64
    ordered: Any
    open: Bool
    low: Float64
    near: Float64


@dataclass(frozen=True)
class Targets:
    """What must be possible: that x[cell] is as high as level (sign +1) or as low as level (sign −1).

    cell int64, sign int64, level float64, each (targets,); a pair of cell and sign occurs once.
    """

    cell: Int64
    sign: Int64
    level: Float64

    def met(self, x: Float64) -> Bool:
        """Which targets the cells x show to be possible."""
        return self.sign * (x[self.cell] - self.level) >= -TOLERANCE

    def at(self, chosen: Int64 | Bool) -> Targets:
        """The targets at the chosen positions."""
        return Targets(self.cell[chosen], self.sign[chosen], self.level[chosen])


NO_TARGETS = Targets(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def reach(known: Knowledge, targets: Targets) -> Float64 | None:
    """Cells x that fit what is known and together come as near to the targets as they can; None if nothing fits.

    The targets are open cells. With d_k the way from `near` to target k, x maximises
    Σ min(way gone, d_k) / max(d_k, 1). With a single target, x shows how near it can be come to.
    """
    is_aim = np.zeros(known.open.size, np.bool_)
    is_aim[targets.cell] = True
    others = np.flatnonzero(known.open & ~is_aim)
    start = np.where(known.open, known.near, known.low)
    room = (known.low - start)[targets.cell]
    way = targets.sign * (targets.level - start[targets.cell])
    # a cell aimed at moves by two steps: one as far as the target, which counts, and one beyond, which does not
    back = np.where(targets.sign > 0, room, -np.inf)
    beyond = np.where(targets.sign > 0, np.inf, -room - way)
    return _minimise(
        known,
        start,
        cell=np.concatenate([others, targets.cell, targets.cell]),
        direction=np.concatenate([np.ones(others.size), targets.sign, targets.sign]),
        low=np.concatenate([(known.low - start)[others], back, np.zeros(way.size)]),
        high=np.concatenate([np.full(others.size, np.inf), way, beyond]),
        cost=np.concatenate([np.zeros(others.size), -1 / np.maximum(way, 1), np.zeros(way.size)]),
    )


def cheapest(known: Knowledge, cost: Float64, below: Float64, target: Targets) -> Float64 | None:
    """Cells x that meet one target and move from `near` at the least cost; None if none can.

    cost: float64 (cells,), what an open cell pays per unit it moves: 0 if it is suppressed already,
    as the target's cell is. below: float64 (cells,), what an open cell pays more per unit it goes
    below `low`, towards 0; inf where it must not. Cells that moved and pay are those whose
    suppression makes the target possible: the linear relaxation of a fixed charge for every
    suppressed cell (Kelly, Golden and Assad 1992).
    """
    free = np.flatnonzero(known.open & (cost == 0))
    paid = np.flatnonzero(known.open & (cost > 0))
    deep = np.flatnonzero(known.open & (known.low > 0) & np.isfinite(below))
    deep = deep[deep != target.cell[0]]
    start = np.where(known.open, known.near, known.low)
    room = start - known.low
    cell = np.concatenate([free, paid, paid, deep])
    low = np.concatenate([-room[free], np.zeros(2 * paid.size + deep.size)])
    high = np.concatenate([np.full(free.size + paid.size, np.inf), room[paid], known.low[deep]])
    position = np.searchsorted(free, target.cell[0])
    aim = target.level[0] - start[target.cell[0]]
    if target.sign[0] > 0:
        low[position] = max(low[position], aim)
    else:
        high[position] = max(low[position], aim)
    return _minimise(
        known,
        start,
        cell,
        direction=np.repeat([1.0, 1.0, -1.0, -1.0], [free.size, paid.size, paid.size, deep.size]),
        low=low,
        high=high,
        cost=np.concatenate([cost[free], cost[paid], cost[paid], (cost + below)[deep]]),
    )


def unmet(known: Knowledge, targets: Targets, pending: Int64) -> Int64:
    """Those of the pending targets that a few programmes did not meet; some may be possible nevertheless."""
    left = []
    for sign in (1, -1):
        rest = pending[targets.sign[pending] == sign]
        is_worthwhile = True
        while rest.size and is_worthwhile:
            x = reach(known, targets.at(rest))
            met = np.zeros(rest.size, np.bool_) if x is None else targets.at(rest).met(x)
            rest, is_worthwhile = rest[~met], met.mean() > WORTHWHILE
        left.append(rest)
    return np.sort(np.concatenate(left))


def within_reach(known: Knowledge, targets: Targets) -> Targets:
    """The targets, each that is impossible reduced to the nearest value that is possible."""
    level = targets.level.copy()
    for k in unmet(known, targets, np.arange(level.size)):
        x = reach(known, targets.at(np.array([k])))
        if x is not None:
            sign = targets.sign[k]
            level[k] = sign * min(sign * level[k], sign * x[targets.cell[k]])
    return replace(targets, level=level)


def _minimise(
    known: Knowledge, start: Float64, cell: Int64, direction: Float64, low: Float64, high: Float64, cost: Float64
) -> Float64 | None:
    """x = start + steps, step j being direction[j] · z[j] of cell[j], of least cost @ z with low ≤ z ≤ high."""
    held, sums = known.equal[:, cell] * direction, known.sums - known.equal @ start
    constraints = [LinearConstraint(held, sums, sums)]
    if known.ordered.shape[0]:
        constraints.append(LinearConstraint(known.ordered[:, cell] * direction, -(known.ordered @ start), np.inf))
    answer = milp(cost, bounds=Bounds(low, high), constraints=constraints)  # no variable is an integer
    if answer.status != 0:
        return None
    x = start.copy()
    np.add.at(x, cell, direction * answer.x)
    return x
