"""An attacker on published count tables: by linear programming, what each withheld cell can be.

It reads nothing but what is published: for every table the counts, WITHHELD where there is none,
and the total. It knows that tables add up to their margins, that no count is negative, and that
empty cells are published, so that a withheld cell is at least 1 unless its table publishes nothing.
Every cell of every table is a variable; nothing is shared with the code under attack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

Names = tuple[str, ...]
Cell = tuple[int, Names, tuple[int, ...]]
"""(run, table, position)"""
Published = Mapping[Names, npt.NDArray[np.int64]]

WITHHELD = -1


def published(tables: Published, masks: Mapping[Names, npt.NDArray[np.bool_]]) -> dict[Names, npt.NDArray[np.int64]]:
    """The tables as a reader sees them."""
    return {names: np.where(masks[names], WITHHELD, table) for names, table in tables.items()}


class Attack:
    """runs: published tables and total of each, oldest first; signs: how each run became the next.

    +1: units were only added, −1: only removed, 0: neither is known. labelled_only: that holds only
    for cells with a value for an attribute, which the last cell of a table has not. as_joint: the
    attacker also uses that all tables of a run count the same units, so that they are margins of
    one table of all attributes without negative counts. no_empty: he knows that no withheld cell of
    the last run is empty, even where a table publishes nothing.
    """

    def __init__(
        self,
        runs: Sequence[tuple[Published, int]],
        signs: Sequence[int] = (),
        labelled_only: bool = False,
        as_joint: bool = False,
        no_empty: bool = False,
    ) -> None:
        self.runs = runs
        self.number: dict[Cell, int] = {}
        self.bounds: list[tuple[float, float]] = []
        self.equal: list[tuple[dict[int, int], int]] = []
        for r, (tables, _) in enumerate(runs):
            self._add_tables(r, tables, no_empty and r == len(runs) - 1)
        at_least = []
        for r, sign in enumerate(signs):
            for names, table in runs[r][0].items():
                for place in list(np.ndindex(table.shape))[: -1 if labelled_only else None]:
                    at_least.append({self.number[r + 1, names, place]: sign, self.number[r, names, place]: -sign})
        if as_joint:
            for r in range(len(runs)):
                self._add_joint(r)
        sums = [value for _, value in self.equal]
        self.relations = [LinearConstraint(self._matrix([terms for terms, _ in self.equal]), sums, sums)]
        if at_least:
            self.relations.append(LinearConstraint(self._matrix(at_least), 0, np.inf))

    def _add_tables(self, r: int, tables: Published, no_empty: bool) -> None:
        for names, table in tables.items():
            least = int(no_empty or (table != WITHHELD).any())
            for place in np.ndindex(table.shape):
                n = int(table[place])
                self._new((r, names, place), (least, np.inf) if n == WITHHELD else (n, n))
        for names, table in tables.items():
            for axis, size in enumerate(table.shape):
                rest = [range(s) for a, s in enumerate(table.shape) if a != axis]
                for other in product(*rest):
                    line = [(*other[:axis], k, *other[axis:]) for k in range(size)]
                    terms = {self.number[r, names, place]: 1 for place in line}
                    if other:
                        terms[self.number[r, names[:axis] + names[axis + 1 :], other]] = -1
                    self.equal.append((terms, 0 if other else self.runs[r][1]))

    def _add_joint(self, r: int) -> None:
        tables = self.runs[r][0]
        attributes = [names[0] for names in tables if len(names) == 1]
        shape = [tables[(a,)].shape[0] for a in attributes]
        cells = [(r, ("joint", *attributes), place) for place in np.ndindex(*shape)]
        sums: dict[Cell, dict[int, int]] = {}
        for cell in cells:
            self._new(cell, (0, np.inf))
            value = dict(zip(attributes, cell[2], strict=True))
            for names in tables:
                inside = (r, names, tuple(value[a] for a in names))
                sums.setdefault(inside, {self.number[inside]: -1})[self.number[cell]] = 1
        self.equal += [(terms, 0) for terms in sums.values()]

    def _new(self, cell: Cell, bounds: tuple[float, float]) -> None:
        self.number[cell] = len(self.bounds)
        self.bounds.append(bounds)

    def extreme(self, run: int, names: Names, place: tuple[int, ...], sign: int) -> float:
        """Greatest (sign +1) or least (−1) value that the cell can have."""
        cost = np.zeros(len(self.bounds))
        cost[self.number[run, names, place]] = -sign
        answer = milp(cost, bounds=Bounds(*np.transpose(self.bounds)), constraints=self.relations)
        assert answer.status == 0, answer.message
        return float(-sign * answer.fun)

    def _matrix(self, rows: Sequence[dict[int, int]]) -> csr_array:
        entries = [(i, j, v) for i, terms in enumerate(rows) for j, v in terms.items()]
        i, j, v = zip(*entries, strict=True)
        return csr_array((v, (i, j)), shape=(len(rows), len(self.bounds)), dtype=float)
