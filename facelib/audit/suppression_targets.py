"""Which values must remain possible for which cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from facelib.audit.suppression_knowledge import Run, opened
from facelib.audit.suppression_lp import Knowledge, Targets, within_reach
from facelib.audit.suppression_system import TableSystem

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


def protection_targets(
    new: TableSystem, runs: Sequence[Run], known: Knowledge, min_cell: int, min_change: int, candidates: Bool
) -> Targets:
    """The targets of every cell to protect, `known` being the `open_knowledge` of the runs.

    candidates: bool (new cells,), the cells that are protected when their count or its change is small.

    An interval of values must all be possible. Of a primary cell, and of a cell that another
    publication withheld, it holds min_cell values, starts at the least value that shows from the
    empty cells (nearly always 1) and goes up. Of a count that has changed by 0 < |d| < min_change
    since it was published it holds min_change values, starts at a change of 1 and goes the way of
    the change. Ends out of reach even with every cell of the new tables withheld are moved to what
    is in reach.
    """
    size, filled = new.counts.size, new.counts > 0
    primary = np.flatnonzero(candidates & filled & (new.counts < min_cell))
    withheld = size + np.flatnonzero(known.open[size:])
    parts = [_intervals(primary, 1, new.least()[primary], min_cell), _intervals(withheld, 1, 1, min_cell)]
    for run in runs:
        changed = run.small_changes(Run(new, candidates), min_change)
        changed = changed[candidates[changed]]
        old = run.system.counts[changed]
        sign = np.sign(new.counts[changed] - old)
        parts.append(_intervals(changed, sign, old + sign, min_change))
    cell, sign, start, width = np.concatenate(parts, axis=1)

    near = within_reach(opened(known, new, filled, np.zeros_like(filled)), _strictest(cell, -sign, start))
    start = sign * np.maximum(sign * start, sign * _level_of(near, cell, -sign))
    far = _strictest(cell, sign, np.maximum(start + sign * (width - 1), 1))
    if known.open.size > size:
        far = within_reach(known, far)
    else:
        far = Targets(far.cell, far.sign, np.minimum(far.level, new.total))
    return _strictest(
        np.concatenate([near.cell, far.cell]),
        np.concatenate([near.sign, far.sign]),
        np.concatenate([near.level, far.level]),
    )


def _intervals(cell: Int64, sign: Int64 | int, start: Int64 | int, width: int) -> Int64:
    return np.array(np.broadcast_arrays(cell, sign, start, width))


def _strictest(cell: Int64, sign: Int64, level: npt.NDArray[Any]) -> Targets:
    """One target for each cell and sign: the highest level of sign +1, the lowest of sign −1."""
    order = np.lexsort((-sign * level, sign, cell))
    cell, sign, level = cell[order], sign[order], level[order].astype(np.float64)
    is_first = np.ones(cell.size, np.bool_)
    is_first[1:] = (np.diff(cell) != 0) | (np.diff(sign) != 0)
    return Targets(cell[is_first], sign[is_first], level[is_first])


def _level_of(targets: Targets, cell: Int64, sign: Int64) -> npt.NDArray[np.float64]:
    """The level that the targets have for each cell and sign; they are ordered by both."""
    place = np.searchsorted(2 * targets.cell + (targets.sign > 0), 2 * cell + (sign > 0))
    return targets.level[place]
