"""Complementary suppression: the cheapest further cells until every target is shown to be possible."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facelib.audit.suppression_knowledge import opened
from facelib.audit.suppression_lp import TOLERANCE, Knowledge, Targets, cheapest, unmet
from facelib.audit.suppression_system import TableSystem

Bool = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]

MARGIN_COST = 10.0
"""How many times dearer a cell is than one of the same count in a table of one attribute more."""
KEPT_COST = 0.01
"""Cost of a cell that the last publication suppressed too, over what it would cost otherwise."""
BLANK_COST = 1000.0
"""How many times dearer than all units in one cell it is to fill an empty cell or to empty a filled one."""


def protect(new: TableSystem, known: Knowledge, targets: Targets, kept: Bool) -> Bool:
    """The cells to suppress, bool (new cells,): those of the targets and as many more as make every target possible.

    known: from `open_knowledge`. kept: bool (new cells,), suppressed in the last publication. One
    target after the other is met at the least cost; a cell costs ln(1 + n) per unit it moves, times
    the factors above. Empty cells stay published as long as a target can be met without them;
    otherwise the table of an empty cell that must be filled is suppressed as a whole, as is that of
    a cell that must be emptied.
    """
    size = kept.size
    hidden = np.zeros(size, np.bool_)
    hidden[targets.cell[targets.cell < size]] = True
    per_table = MARGIN_COST ** (new.order.max() - new.order)
    blank = np.full(known.open.size, np.inf)
    blank[:size] = BLANK_COST * np.log1p(new.total) * per_table
    cost = np.zeros(known.open.size)
    cost[:size] = np.where(kept, KEPT_COST, 1) * np.log1p(new.counts) * per_table
    cost[:size] = np.where(new.counts > 0, cost[:size], blank[:size])
    pending = unmet(opened(known, new, hidden), targets, np.arange(targets.cell.size))
    while pending.size:
        cost[:size][hidden] = 0
        target = targets.at(pending[:1])
        x = cheapest(opened(known, new, hidden | (new.counts > 0), hidden), cost, np.full_like(cost, np.inf), target)
        if x is None:
            x = cheapest(opened(known, new, np.ones_like(hidden), hidden), cost, blank, target)
        if x is None:
            return np.ones_like(hidden)
        pending = pending[1:][~targets.at(pending[1:]).met(x)]
        grown = hidden | _moved(new, x[:size])
        if (grown != hidden).any():
            hidden = grown
            pending = unmet(opened(known, new, hidden), targets, pending)
    return hidden


def _moved(new: TableSystem, x: Float64) -> Bool:
    """Cells that differ in x; all cells of a table in which x fills an empty cell or empties a filled one."""
    moved: Bool = np.abs(x - new.counts) > TOLERANCE
    is_other_pattern = moved & ((new.counts == 0) | (x < 1 - TOLERANCE))
    for _, cells in new.slices():
        if is_other_pattern[cells].any():
            moved[cells] = True
    return moved
