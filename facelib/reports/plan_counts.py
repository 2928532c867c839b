"""The counts that a plan starts from: those that `balance` publishes, and nothing else.

A plan that is a function of published figures tells nothing that they do not tell. Of a withheld cell it is known how
much it can hold at most, what is left of its row, column and the total; where a single figure is needed, withheld cells
are given what is left of the total in equal parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Names = tuple[str, ...]
UNITS = ("image", "cluster")
MOST_WITHHELD = 0.05
"""Largest part of the units that may lie in withheld cells for single figures to be made."""


@dataclass(frozen=True)
class CellCounts:
    """n: units of each of the S declared cells, int64 (S,); of the cells in `hidden`, bool (S,), a stand-in.

    most: the same, but of hidden cells the most they can hold by what is published. is_known: whether withheld cells
    hold at most MOST_WITHHELD of all units.
    """

    n: Int64
    most: Int64
    hidden: Bool
    is_known: bool

    @property
    def is_whole(self) -> bool:
        """Whether no cell is withheld."""
        return not self.hidden.any()


@dataclass(frozen=True)
class PlannedSet:
    """The declared cells of an attribute or pair, categories in declared order, last attribute fastest."""

    attributes: Names
    categories: tuple[tuple[str, ...], ...]
    images: CellCounts
    identities: CellCounts

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """The categories of each cell."""
        return list(product(*self.categories))


def planned_sets(balance: Iterable[Mapping[str, Any]], totals: Mapping[str, int]) -> list[PlannedSet]:
    """The single attributes and pairs of the rows of `balance` (unit, attributes, groups, n), in their order.

    totals: units of each kind, of `balance_summary`. A null n is withheld. Attributes without categories are left out.
    """
    found: dict[Names, dict[str, dict[tuple[str | None, ...], int | None]]] = {}
    for row in balance:
        names = tuple(row["attributes"])
        if row["unit"] in UNITS and 1 <= len(names) <= 2:
            of_unit = found.setdefault(names, {unit: {} for unit in UNITS})
            of_unit[row["unit"]][tuple(row["groups"])] = row["n"]
    declared = {
        names[0]: tuple(g[0] for g in cells["image"] if g[0] is not None)
        for names, cells in found.items()
        if len(names) == 1
    }
    most: dict[tuple[str, str], Int64] = {}
    sets = []
    for names, cells in sorted(found.items(), key=lambda item: len(item[0])):
        if all(declared.get(a) for a in names):
            categories = tuple(declared[a] for a in names)
            counts = []
            for unit in UNITS:
                table = _Table.of(categories, cells[unit], totals.get(unit, 0))
                bounds = table.most([most[a, unit] for a in names] if len(names) > 1 else [])
                if len(names) == 1:
                    most[names[0], unit] = bounds
                counts.append(table.declared(bounds))
            sets.append(PlannedSet(names, categories, *counts))
    return sets


@dataclass(frozen=True)
class _Table:
    """n: all cells of a set, one axis per attribute, the missing value last, 0 where `hidden`. total: of all cells."""

    n: Int64
    hidden: Bool
    total: int

    @classmethod
    def of(
        cls,
        categories: Sequence[Sequence[str]],
        cells: Mapping[tuple[str | None, ...], int | None],
        total: int,
    ) -> _Table:
        words = product(*([*c, None] for c in categories))
        published = [cells.get(groups, 0) for groups in words]
        shape = tuple(len(c) + 1 for c in categories)
        n = np.array([n or 0 for n in published], np.int64).reshape(shape)
        hidden = np.array([n is None for n in published], np.bool_).reshape(shape)
        return cls(n, hidden, total)

    @property
    def rest(self) -> int:
        """Units in withheld cells."""
        return max(0, self.total - int(self.n.sum())) if self.hidden.any() else 0

    def most(self, margins: Sequence[Int64]) -> Int64:
        """The most that each cell can hold. margins: per attribute, that of every category and the missing value."""
        left = np.full(self.n.shape, self.rest)
        for axis, margin in enumerate(margins):
            others = tuple(a for a in range(self.n.ndim) if a != axis)
            in_line = np.maximum(margin - self.n.sum(axis=others), 0)
            left = np.minimum(left, in_line.reshape([-1 if a == axis else 1 for a in range(self.n.ndim)]))
        return np.where(self.hidden, left, self.n)

    def declared(self, most: Int64) -> CellCounts:
        """The declared cells, flattened."""
        inner = (slice(None, -1),) * self.n.ndim
        n, hidden = self.n[inner].ravel().copy(), self.hidden[inner].ravel()
        each, more = divmod(self.rest, max(1, int(self.hidden.sum())))
        n[hidden] = each + (np.arange(hidden.sum()) < more)
        is_known = not hidden.any() or self.rest <= MOST_WITHHELD * self.total
        return CellCounts(n, most[inner].ravel(), hidden, is_known)
