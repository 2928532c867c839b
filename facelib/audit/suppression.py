"""Which cells of published count tables must be withheld so that no small count can be worked out.

What is protected, against whom, and what is not: DISCLOSURE.md beside this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from facelib.audit.suppression_knowledge import Publication, Run, as_run, open_knowledge
from facelib.audit.suppression_protect import protect
from facelib.audit.suppression_system import Names, TableSystem, check_sums, table_system
from facelib.audit.suppression_targets import protection_targets
from facelib.errors import ConfigError

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


def suppress(
    tables: Mapping[Names, Int64],
    min_cell: int,
    previous: Sequence[Publication] = (),
    min_change: int | None = None,
    whole: Publication | None = None,
    protect_missing: bool = True,
) -> dict[Names, Bool]:
    """Cells to withhold, True, of all tables of one unit; keys and shapes as in `tables`.

    tables: counts ≥ 0 of all cells of single attributes, pairs and triples, keyed by the
    attributes' names, one axis per attribute, its last position the missing value; with a pair or
    triple all its margins. The total N is taken to be published. min_cell: least count that may be
    published beside 0; below 2 none is withheld for being small. previous: earlier publications of
    the same unit and categories, oldest first. min_change: least change since one of them that may
    be seen; None is min_cell, and below 2 none is withheld for that. whole: the publication, in
    the same run, of units of which these are a part, as faces are of images: in every cell with a
    value for an attribute there are no more of these than of those. protect_missing: False when a cell
    with a missing value may be published however small it is.

    Withheld are the primary cells, 0 < n < min_cell, and as many complementary cells as it takes
    that all published figures together leave at least min_cell values possible for every primary
    cell, from 1 upwards, as linear programming shows; from more than 1 only where it shows from
    the empty cells alone that the cell is at least that. Empty cells are published; where so few
    units are left that nothing else helps, all cells of a table are True, the empty ones too.
    With 0 < N < min_cell all cells of all tables are True.

    Against earlier publications: a cell published then that has changed by 0 < |d| < min_change is
    primary too, and d is protected as a count is. What was withheld then, or is of `whole`, is
    protected like primary cells. All cells are True when units were only added, or only removed,
    since an earlier publication, but fewer than min_change.

    The answer depends on nothing but the arguments and the version of SciPy. Raises ConfigError for
    tables that do not add up, lack a margin or hold anything but counts, for a negative min_cell or
    min_change, and for publications of other tables or of a whole that is less than its part.
    """
    least_change = min_cell if min_change is None else min_change
    if min_cell < 0 or least_change < 0:
        raise ConfigError("min_cell or min_change is negative: give 0 or the least count that may be published")
    new = table_system(tables)
    check_sums(new)
    runs = [as_run(publication, new) for publication in previous]
    candidates = np.ones(new.counts.size, np.bool_) if protect_missing else new.is_known()
    part_of = None if whole is None else as_run(whole, new)
    hidden = _hidden(new, min_cell, runs, least_change, part_of, candidates)
    return {names: hidden[cells].reshape(new.shapes[names]) for names, cells in new.slices()}


def _hidden(
    new: TableSystem, min_cell: int, runs: Sequence[Run], min_change: int, whole: Run | None, candidates: Bool
) -> Bool:
    none = np.zeros(new.counts.size, np.bool_)
    if new.total == 0:
        return none
    added = [abs(new.total - run.system.total) for run in runs if run.direction(Run(new, ~none)) != 0]
    if 0 < new.total < min_cell or any(0 < units < min_change for units in added):
        return ~none
    if max(min_cell, min_change) < 2:
        return none
    known = open_knowledge(new, runs, whole)
    targets = protection_targets(new, runs, known, min_cell, min_change, candidates)
    kept = np.logical_or.reduce([none, *(~run.published for run in (*runs[-1:], whole) if run is not None)])
    return protect(new, known, targets, kept)
