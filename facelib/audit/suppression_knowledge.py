"""What an attacker knows of the counts: the tables of a run, and those of earlier runs of the same archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse

from facelib.audit.suppression_lp import NO_TARGETS, Knowledge, reach
from facelib.audit.suppression_system import Names, TableSystem, table_system
from facelib.errors import ConfigError

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Publication:
    """Tables as they were published: counts, what of them was suppressed, and the total N.

    tables and suppressed have the same keys and shapes; counts under a True are never read.
    """

    tables: Mapping[Names, Int64]
    suppressed: Mapping[Names, Bool]
    total: int


@dataclass(frozen=True)
class Run:
    """A publication as a vector of cells; `published` is bool (cells,)."""

    system: TableSystem
    published: Bool

    def direction(self, later: Run) -> int:
        """+1 if, by all that both runs published, the archive only grew until the later one; −1 if it only shrank.

        0 if neither; +1 if nothing changed.
        """
        both = self.published & later.published
        change = np.append((later.system.counts - self.system.counts)[both], later.system.total - self.system.total)
        if (change >= 0).all():
            return 1
        return -1 if (change <= 0).all() else 0

    def small_changes(self, later: Run, min_cell: int) -> Int64:
        """Cells published here whose count in the later run is not 0 and differs by 0 < |d| < min_cell."""
        change = np.abs(later.system.counts - self.system.counts)
        return np.flatnonzero(self.published & (later.system.counts > 0) & (change > 0) & (change < min_cell))


Link = tuple[int, int, Int64]
"""(i, j, sign): sign · (cell of run i − same cell of run j) ≥ 0, with a sign 1, 0 or −1 for each cell."""


def as_run(publication: Publication, new: TableSystem) -> Run:
    """The publication, cells in the order of `new`. ConfigError when it is not of the same tables."""
    tables, masks = publication.tables, publication.suppressed
    shapes = {names: table.shape for names, table in tables.items()}
    if shapes != new.shapes or shapes != {names: mask.shape for names, mask in masks.items()}:
        raise ConfigError(
            "another publication has other attributes or categories than these tables: declare the same for both"
        )
    system = table_system({names: tables[names] for names in new.shapes}, publication.total)
    return Run(system, ~np.concatenate([masks[names].ravel() for names in new.shapes]))


def open_knowledge(new: TableSystem, runs: Sequence[Run], whole: Run | None) -> Knowledge:
    """What is known when nothing of the new tables is published but their total.

    The cells of the new tables come first, then those of `whole`, of which the new units are a part,
    then those of the earlier runs, latest first, as far back as each run seems only to have grown
    (or only shrunk) into the next: then no cell of the later run is below (above) the same cell
    of the earlier. An attacker who does not believe that knows less. Runs before a change of
    another kind say nothing about the new cells. A suppressed cell is at least 1, because empty
    cells are published, unless its table is blank. Raises ConfigError when `whole` cannot be.
    """
    blocks, links = [Run(new, np.zeros(new.counts.size, np.bool_))], list[Link]()
    known = _side_by_side(blocks, links)
    if whole is not None:
        blocks, links = [*blocks, whole], [(0, 1, -new.is_labelled())]
        known = _side_by_side(blocks, links)
        is_part = new.counts <= whole.system.counts
        if not is_part[whole.published & (new.is_labelled() > 0)].all() or not _is_possible(known, new):
            raise ConfigError("a cell holds more units than the whole they are a part of: count both in the same run")
    later, at = Run(new, np.ones(new.counts.size, np.bool_)), 0
    for run in reversed(runs):
        sign = run.direction(later)
        links = [*links, (at, len(blocks), np.full(new.counts.size, sign))]
        blocks = [*blocks, run]
        longer = _side_by_side(blocks, links)
        if sign == 0 or not _is_possible(longer, new):
            break
        known, later, at = longer, run, len(blocks) - 1
    return known


def _is_possible(known: Knowledge, new: TableSystem) -> bool:
    return reach(opened(known, new, new.counts > 0), NO_TARGETS) is not None


def opened(known: Knowledge, new: TableSystem, candidates: Bool, hidden: Bool | None = None) -> Knowledge:
    """What is known when the new cells of `candidates` are open and all others published.

    hidden: bool (new cells,), default `candidates`; a table is blank only if all its cells are in it.
    """
    blank = new.blank(~(candidates if hidden is None else hidden))
    low = np.where(candidates, (new.counts > 0) & ~blank, new.counts)
    return replace(
        known,
        open=np.concatenate([candidates, known.open[candidates.size :]]),
        low=np.concatenate([low, known.low[candidates.size :]]),
    )


def _side_by_side(blocks: Sequence[Run], links: Sequence[Link]) -> Knowledge:
    size = blocks[0].system.counts.size
    published = np.concatenate([run.published for run in blocks])
    counts = np.concatenate([run.system.counts for run in blocks])
    filled = np.concatenate([~run.system.blank(run.published) for run in blocks])
    low = np.where(published, counts, filled).astype(np.float64)
    ordered = sparse.csc_array((0, published.size))
    for i, j, sign in links:
        sides = np.zeros((1, len(blocks)))
        sides[0, [i, j]] = 1, -1
        ordered = sparse.vstack(
            [ordered, sparse.kron(sides, sparse.diags_array(sign.astype(np.float64)))], format="csc"
        )
    return Knowledge(
        equal=sparse.block_diag([run.system.relations for run in blocks], format="csc").astype(np.float64),
        sums=np.concatenate([run.system.sums for run in blocks]).astype(np.float64),
        ordered=ordered,
        open=~published,
        low=low,
        near=np.concatenate([counts[:size], low[size:]]),
    )
