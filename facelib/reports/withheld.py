"""Which cells of the audit's tables are withheld, unit by unit, and against what was published before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from facelib.audit.suppression import suppress
from facelib.audit.suppression_knowledge import Publication
from facelib.audit.unit_counts import Names, UnitCounts
from facelib.errors import ConfigError
from facelib.reports.units_counted import Categories

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Masks = Mapping[Names, Bool]
WHOLE = {"face": "image"}
"""Units of which others are a part."""


@dataclass(frozen=True)
class Withholding:
    """masks: by unit and attribute set, True where a cell is withheld; one axis per attribute, the missing value last.

    incomparable: units whose earlier publication has other attributes or categories, so that it could not be used.
    """

    masks: Mapping[str, Masks]
    incomparable: tuple[str, ...] = ()
    publications: Mapping[str, Publication] = field(default_factory=dict)


def withhold(
    units: Mapping[str, UnitCounts],
    sets: Sequence[Names],
    min_cell: int,
    previous: Mapping[str, Sequence[Publication]] | None = None,
    min_change: int | None = None,
) -> Withholding:
    """The cells to withhold so that no count 0 < n < min_cell of a group follows (`facelib.audit.suppression`).

    How many units lack a label says nothing of anyone's group, and is not protected by itself.

    previous: earlier publications by unit, oldest first. min_change: as of `facelib.audit.suppression.suppress`.
    """
    publications: dict[str, Publication] = {}
    incomparable = []
    for unit, counted in units.items() if sets else ():
        tables = {names: counted.table(names) for names in sets}
        whole = publications.get(WHOLE.get(unit, ""))
        earlier = (previous or {}).get(unit, ())
        try:
            masks = suppress(tables, min_cell, earlier, min_change, whole, protect_missing=False)
        except ConfigError:
            if not earlier:
                raise
            incomparable.append(unit)
            masks = suppress(tables, min_cell, whole=whole, protect_missing=False)
        publications[unit] = Publication(tables, masks, counted.joint.units)
    return Withholding({u: p.suppressed for u, p in publications.items()}, tuple(incomparable), publications)


def published(
    rows: Sequence[Mapping[str, Any]], totals: Mapping[str, int], categories: Categories
) -> dict[str, Publication]:
    """What rows of `balance` published, by unit. totals: units of each kind, of `balance_summary`.

    Empty for a unit whose rows have other categories, or lack a cell of the grid.
    """
    found: dict[str, Publication] = {}
    for unit, total in totals.items():
        tables: dict[Names, Int64] = {}
        masks: dict[Names, Bool] = {}
        seen: dict[Names, int] = {}
        is_same = True
        for row in rows:
            names = tuple(row["attributes"])
            if row["unit"] != unit or row["estimator"] != "count" or not names:
                continue
            cell = _cell(names, row["groups"], categories)
            if cell is None:
                is_same = False
                break
            if names not in tables:
                shape = tuple(len(categories[a]) + 1 for a in names)
                tables[names], masks[names] = np.zeros(shape, np.int64), np.ones(shape, np.bool_)
            seen[names] = seen.get(names, 0) + 1
            if row["n"] is not None:
                tables[names][cell], masks[names][cell] = row["n"], row["is_suppressed"]
        if is_same and tables and all(seen[names] == table.size for names, table in tables.items()):
            found[unit] = Publication(tables, masks, total)
    return found


def _cell(names: Names, groups: Sequence[str | None], categories: Categories) -> tuple[int, ...] | None:
    cell = []
    for a, group in zip(names, groups, strict=True):
        declared = list(categories.get(a, ()))
        if a not in categories or (group is not None and group not in declared):
            return None
        cell.append(len(declared) if group is None else declared.index(group))
    return tuple(cell)
