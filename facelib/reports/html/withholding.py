"""Which figures of groups must not be shown, because a small count would follow from them.

`balance` and `losses` say which of their cells are withheld. Other counts by group that the report shows, nearly those
of a unit, are withheld where the unit's are; where one is small and alone in its line, the smallest other group that
could stand in for it is withheld too, and where nothing serves the whole line.

What one reader knows beside the report, and what follows from many tables together, is beyond this
(facelib/audit/DISCLOSURE.md). A `min_cell` below 3 protects nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.reports.html.cells import Cells

Bool = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]
Group = str | None
WITHHELD = "withheld"


@dataclass(frozen=True)
class Line:
    """Counts (k,), NaN where the table withholds them, which of them are small or withheld, and their total."""

    counts: Float64
    small: Bool
    total: float

    @classmethod
    def of(cls, counts: Sequence[float | None], total: float, min_cell: int) -> Line:
        """From counts, None where withheld."""
        n = np.array([np.nan if c is None else c for c in counts], np.float64)
        return cls(n, np.isnan(n) | ((n > 0) & (n < min_cell)), total)


@dataclass(frozen=True)
class Withheld:
    """What is withheld of the groups of single attributes."""

    min_cell: int
    cells: Cells

    def hides(self, attribute: str, unit: str, group: Group) -> bool:
        """Whether a group's figures as a unit must not be shown."""
        return bool(self.cells.single[attribute, unit][group]["is_suppressed"])

    def of_line(self, attribute: str, unit: str, groups: Sequence[Group], counts: Sequence[int | None]) -> set[Group]:
        """Groups that must not be shown in another line of counts, of things that are nearly those of the unit."""
        found = {group for group in groups if self.hides(attribute, unit, group)}
        line = Line.of(counts, float(sum(c or 0 for c in counts)), self.min_cell)
        line.small[[group is None for group in groups]] = False  # how many have no label tells nobody's group
        if not found.issuperset(g for g, s in zip(groups, line.small, strict=True) if s):
            hidden = protected([line], np.argsort(line.counts, kind="stable").tolist(), self.min_cell)
            found.update(g for g, h in zip(groups, hidden, strict=True) if h)
        return found


def protected(lines: Sequence[Line], order: Sequence[int], min_cell: int) -> Bool:
    """The cells to withhold, (k,), of lines that are withheld together. order: positions, the first to be given up."""
    small: Bool = np.logical_or.reduce([line.small for line in lines])
    hidden = small.copy()
    for line in lines if min_cell > 2 else ():
        while _tells(line.counts, small, hidden, line.total, min_cell):
            tier = _tier(line.counts, min_cell)
            candidates = [i for i in order if line.counts[i] > 0 and not hidden[i]]
            if not candidates:
                return np.ones_like(small)
            hidden[min(candidates, key=lambda i: tier[i])] = True
    return hidden


def _tells(counts: Float64, small: Bool, hidden: Bool, total: float, min_cell: int) -> bool:
    """Whether a line's total tells a withheld cell: it is alone, or all are small and at a bound, 1 or min_cell − 1."""
    k = int(hidden.sum())
    if k < 2 or (hidden & ~small).any():
        return k == 1
    rest = total - np.where(hidden, 0.0, counts).sum()
    return bool(rest == k or rest == k * (min_cell - 1))


def _tier(counts: Float64, min_cell: int) -> npt.NDArray[np.int64]:
    """0: the cell could stand in for any small count, 1: for one more or less, 2: perhaps not."""
    known = np.nan_to_num(counts)
    return np.asarray((known < 2 * min_cell - 2).astype(np.int64) + (known < min_cell + 1))
