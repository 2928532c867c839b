"""Which figures must not be shown, because a small count would follow from them.

`balance` withholds counts below `audit.min_cell`. Other tables hold them, and a withheld count that is alone in a line
of counts with a known total follows by subtraction. So in each line (the groups of an attribute, as images, faces and
identities, and at each stage) the smallest other group that could stand in for it is withheld too. In tables of two
attributes each row and column with a withheld cell gets a second one, until no small cell follows from the lines
together; groups that are withheld by themselves are withheld there as a whole. Where nothing serves, the whole line
or table is withheld. What `balance` withholds already for such reasons counts as a second one.

What one reader knows beside the report, and what follows from many tables together, is beyond this
(A. Hundepool et al., Statistical Disclosure Control, 2012, chapter 4). A `min_cell` below 3 protects nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.reports.html.cells import UNITS, Cells, Row
from facelib.reports.html.pinned import pinned_cells
from facelib.reports.losses import STAGES

Bool = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]
Group = str | None
WITHHELD = "withheld"
REACHED = {stage: f"reached {stage}" for stage in STAGES}
PASSED = {stage: f"reached {after}" for stage, after in zip(STAGES, (*STAGES[1:], "the end"), strict=True)}
"""By stage of `losses`, the level of its n_in and of its n_out."""
_LEVELS = {
    "image": ("image", REACHED["decode"]),
    "face": ("face", REACHED["quality"]),
    "cluster": ("cluster",),
    REACHED["detect"]: (REACHED["detect"],),
    REACHED["cluster"]: (REACHED["cluster"],),
    PASSED["cluster"]: (PASSED["cluster"],),
}
"""Lines of counts that hold the same numbers are withheld together: images listed, images with a face."""
_LEVEL_OF = {line: level for level, lines in _LEVELS.items() for line in lines}


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
    """groups: by attribute and level (a unit, or a value of REACHED or PASSED), those that must not be shown."""

    min_cell: int
    groups: Mapping[tuple[str, str], frozenset[Group]]

    @classmethod
    def of(cls, cells: Cells, totals: Mapping[str, int], losses: Sequence[Row], min_cell: int) -> Withheld:
        """From `balance` (by cell), the number of units of each kind, and the rows of `losses`."""
        found = {}
        for attribute, groups in cells.groups.items():
            lines = _lines(attribute, groups, cells, totals, losses, min_cell)
            images = np.argsort(lines["image"].counts[:-1], kind="stable").tolist()
            for level, names in _LEVELS.items():
                together = [lines[name] for name in names if name in lines]
                if together:
                    hidden = protected(together, [*images, len(groups) - 1], min_cell)
                    found[attribute, level] = frozenset(g for g, h in zip(groups, hidden, strict=True) if h)
        return cls(min_cell, found)

    def hides(self, attribute: str, level: str, group: Group) -> bool:
        """Whether a group's figures at a level must not be shown."""
        return group in self.groups.get((attribute, _LEVEL_OF[level]), ())

    def of_line(self, attribute: str, level: str, groups: Sequence[Group], counts: Sequence[int | None]) -> set[Group]:
        """Groups that must not be shown in another line of counts, of units that are nearly those of the level."""
        found = {group for group in groups if self.hides(attribute, level, group)}
        line = Line.of(counts, float(sum(c or 0 for c in counts)), self.min_cell)
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


def protected_grid(n: Float64, small: Bool, totals: tuple[Float64, Float64], total: float, min_cell: int) -> Bool:
    """The cells to withhold of a table of two attributes, (r, c), so that those in `small` do not follow.

    n: counts, NaN where the table withholds them. totals: of the rows, (r,), and of the columns, (c,); NaN where they
    are withheld, and then the whole line is. total: of all cells.
    """
    is_open = ~np.isnan(totals[0]), ~np.isnan(totals[1])
    hidden: Bool = small | ~is_open[0][:, None] | ~is_open[1][None, :]
    if min_cell < 3:
        return hidden
    lines = [(n[i], small[i], hidden[i], totals[0][i]) for i in np.flatnonzero(is_open[0])]
    lines += [(n[:, j], small[:, j], hidden[:, j], totals[1][j]) for j in np.flatnonzero(is_open[1])]
    while any(_tells(*line, min_cell) and _hide_another(line[2], line[0], min_cell) for line in lines):
        pass
    while (pinned := pinned_cells(n, small, hidden, totals, total, min_cell)).any():
        i, j = np.argwhere(pinned)[0]
        if not _hide_another(hidden[i], n[i], min_cell) | _hide_another(hidden[:, j], n[:, j], min_cell):
            return np.ones_like(hidden)
    return hidden


def _hide_another(hidden: Bool, counts: Float64, min_cell: int) -> bool:
    """Withhold the cell of a line that serves best; whether there was one."""
    candidates = np.flatnonzero((counts > 0) & ~hidden).tolist()
    if candidates:
        tier = _tier(counts, min_cell)
        hidden[min(candidates, key=lambda k: (tier[k], counts[k]))] = True
    return bool(candidates)


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


def _lines(
    attribute: str,
    groups: Sequence[Group],
    cells: Cells,
    totals: Mapping[str, int],
    losses: Sequence[Row],
    min_cell: int,
) -> dict[str, Line]:
    """The lines of counts of an attribute: by unit, by stage, and what passed."""
    lines = {}
    for unit in UNITS:
        found = cells.single[attribute, unit]
        lines[unit] = Line.of([found[g]["n"] for g in groups], totals[unit], min_cell)
    by_stage: dict[str, dict[Group, Row]] = {}
    overall = {row["stage"]: row for row in losses if row["attribute"] is None}
    for row in losses:
        if row["attribute"] == attribute:
            by_stage.setdefault(row["stage"], {})[row["group"]] = row
    for stage, rows in by_stage.items():
        for level, column in ((REACHED[stage], "n_in"), (PASSED[stage], "n_out")):
            lines[level] = Line.of([rows[g][column] for g in groups], overall[stage][column], min_cell)
    return lines
