"""A cell of the balance or of the losses before and after, and all of them: what a comparison of two runs says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

ALPHA = 0.05
"""Chance that a family marks anything at all when nothing changed but by chance."""
FAMILIES = ("attributes", "combinations", "losses")
"""Cells that are tested together: shares of single attributes, of combinations, and loss rates; of all units."""


@dataclass
class CellChange:
    """A cell before and after. `where` is a unit, or a stage of `losses`; all figures are null when `is_withheld`.

    n, of: the units of the cell and of all, or the images lost at the stage and those that reached it; share: n / of,
    null where `of` is 0. difference: after − before with its 95 % interval. p_value, p_adjusted: without and with
    Holm's correction over the family. is_change: p_adjusted < ALPHA. All from difference on are null where a run has no
    such units, or where `note` says why; p-values also where none, or all, of the units of both runs are in the cell.
    """

    family: str
    where: str
    attributes: list[str]
    groups: list[str | None]
    is_withheld: bool
    n_before: int | None = None
    of_before: int | None = None
    share_before: float | None = None
    n_after: int | None = None
    of_after: int | None = None
    share_after: float | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    is_change: bool = False
    note: str | None = None

    @property
    def is_equal(self) -> bool:
        """Whether both runs have the same numbers."""
        return (self.n_before, self.of_before) == (self.n_after, self.of_after)


@dataclass(frozen=True)
class UnitChange:
    """Units of one kind: how many before and after, in both, only after and only before."""

    before: int
    after: int
    kept: int
    added: int
    removed: int


@dataclass(frozen=True)
class BalanceDifference:
    """only_before, only_after: attributes that the other run does not have; they are not compared."""

    units: dict[str, UnitChange]
    cells: list[CellChange]
    only_before: list[str]
    only_after: list[str]

    @property
    def is_empty(self) -> bool:
        """Whether both runs have the same units in the same cells, as far as they may be shown."""
        same_units = all(not (u.added or u.removed) for u in self.units.values())
        return same_units and not self.only_before and not self.only_after and all(c.is_equal for c in self.cells)

    def family(self, name: str) -> list[CellChange]:
        """Its cells, the most important first: marked ones, then by the size of the difference, then by p-value."""
        found = [c for c in self.cells if c.family == name]
        return sorted(found, key=lambda c: (not c.is_change, -abs(c.difference or 0.0), c.p_value or 1.0))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "is_empty": self.is_empty,
            "alpha": ALPHA,
            "units": {name: asdict(unit) for name, unit in self.units.items()},
            "attributes_only_before": self.only_before,
            "attributes_only_after": self.only_after,
            **{name: [_as_dict(c) for c in self.family(name)] for name in FAMILIES},
        }


def _as_dict(cell: CellChange) -> dict[str, Any]:
    found = asdict(cell)
    name = "stage" if found.pop("family") == "losses" else "unit"
    return {name: found.pop("where"), **found}
