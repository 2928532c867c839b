"""What changed in the balance and in the losses between two runs, cell by cell, and whether by more than chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from facelib.audit.association import holm
from facelib.audit.balance_change import ABSENT, Change, share_changes
from facelib.reports.cell_changes import ALPHA, FAMILIES, BalanceDifference, CellChange, UnitChange
from facelib.reports.losses import STAGES, attributes_of
from facelib.reports.matched_units import Matched

Int64 = npt.NDArray[np.int64]
Row = Mapping[str, Any]
Names = tuple[str, ...]


def balance_difference(
    before: Sequence[Row],
    after: Sequence[Row],
    losses: tuple[Sequence[Row], Sequence[Row]],
    units: Mapping[str, Matched],
) -> BalanceDifference:
    """Compare two runs by the rows of their tables `balance` and `losses` and by their units side by side.

    Of the rows only the keys, n, n_in, n_out and is_suppressed are used. What a run withholds is withheld here. Of a
    cell nothing is shown but what both tables show, and the inference. Cells that none, or all, of the units of both
    runs are in cannot be marked, so they are no tests of the family (R. E. Tarone, "A modified Bonferroni method for
    discrete data", Biometrics 46 (1990) 515–522).
    """
    attributes = [_attributes(rows) for rows in (before, after)]
    shared = attributes[0] & attributes[1]
    cells = [*_shares(before, after, units, shared), *_losses(losses[0], losses[1], units.get("image"), shared)]
    for family in FAMILIES:
        members = [c for c in cells if c.family == family]
        adjusted = holm([np.nan if c.p_value is None else c.p_value for c in members])
        for cell, p in zip(members, adjusted.tolist(), strict=True):
            cell.p_adjusted = None if np.isnan(p) else p
            cell.is_change = cell.p_adjusted is not None and cell.p_adjusted < ALPHA
    only = [sorted(own - shared) for own in attributes]
    return BalanceDifference({name: _unit_change(unit) for name, unit in units.items()}, cells, only[0], only[1])


def categories_of(rows: Sequence[Sequence[Row]]) -> dict[str, list[str]]:
    """Categories of every attribute in the rows of `balance` of several runs, in the order of the later ones."""
    found: dict[str, dict[str, None]] = {}
    for table in reversed(rows):
        for row in _counted(table):
            if len(row["attributes"]) == 1:
                of_attribute = found.setdefault(row["attributes"][0], {})
                if row["groups"][0] is not None:
                    of_attribute[row["groups"][0]] = None
    return {attribute: list(values) for attribute, values in found.items()}


def _counted(rows: Sequence[Row]) -> Iterator[Row]:
    return (row for row in rows if row.get("estimator", "count") == "count" and row["attributes"])


def _attributes(rows: Sequence[Row]) -> set[str]:
    return {row["attributes"][0] for row in _counted(rows) if len(row["attributes"]) == 1}


def _unit_change(unit: Matched) -> UnitChange:
    before, after = unit.in_before, unit.in_after
    return UnitChange(
        before=int(before.sum()),
        after=int(after.sum()),
        kept=int((before & after).sum()),
        added=int((after & ~before).sum()),
        removed=int((before & ~after).sum()),
    )


def _shares(
    before: Sequence[Row], after: Sequence[Row], units: Mapping[str, Matched], shared: set[str]
) -> Iterator[CellChange]:
    tables = [_by_set(rows, shared) for rows in (before, after)]
    for unit, names in tables[1]:
        matched = units.get(unit)
        if matched is None or (unit, names) not in tables[0]:
            continue
        rows = [table[unit, names] for table in tables]
        old, new = matched.cells(names)
        grid = [[*matched.categories[a], None] for a in names]
        found = share_changes(matched.identity, old, new, int(np.prod([len(g) for g in grid])))
        totals = int(found.n_before.sum()), int(found.n_after.sum())
        for groups in dict.fromkeys((*rows[1], *rows[0])):
            at = int(np.ravel_multi_index(_positions(grid, groups), [len(g) for g in grid]))
            family = "attributes" if len(names) == 1 else "combinations"
            cell = CellChange(family, unit, list(names), list(groups), _is_withheld(rows, groups))
            if not cell.is_withheld:
                shown = [_shown(of_run, groups) for of_run in rows]
                _fill(cell, found, at, shown, totals)
            yield cell


def _by_set(rows: Sequence[Row], shared: set[str]) -> dict[tuple[str, Names], dict[tuple[str | None, ...], Row]]:
    found: dict[tuple[str, Names], dict[tuple[str | None, ...], Row]] = {}
    for row in _counted(rows):
        if shared.issuperset(row["attributes"]):
            found.setdefault((row["unit"], tuple(row["attributes"])), {})[tuple(row["groups"])] = row
    return found


def _positions(grid: Sequence[Sequence[str | None]], groups: Sequence[str | None]) -> list[int]:
    return [values.index(group) for values, group in zip(grid, groups, strict=True)]


def _is_withheld(runs: Sequence[Mapping[tuple[str | None, ...], Row]], groups: tuple[str | None, ...]) -> bool:
    rows = [run[groups] for run in runs if groups in run]
    return any(row["is_suppressed"] or row["n"] is None for row in rows)


def _shown(run: Mapping[tuple[str | None, ...], Row], groups: tuple[str | None, ...]) -> int:
    """Units of a cell as the run's table has them; 0 for a category that the run neither saw nor declared."""
    return int(run[groups]["n"]) if groups in run else 0


def _fill(cell: CellChange, found: Change, at: int, shown: Sequence[int], totals: tuple[int, int]) -> None:
    """The figures of a cell: what the tables show, and the inference where the units counted again agree with that."""
    cell.n_before, cell.n_after = shown
    cell.of_before, cell.of_after = totals
    cell.share_before, cell.share_after = (n / of if of else None for n, of in zip(shown, totals, strict=True))
    if (int(found.n_before[at]), int(found.n_after[at])) != tuple(shown):
        cell.note = "the units of the two runs, counted again, differ from their tables: not tested"
        return
    figures = (found.difference, found.low, found.high, found.p_value)
    cell.difference, cell.ci_low, cell.ci_high, cell.p_value = (
        None if np.isnan(values[at]) else float(values[at]) for values in figures
    )
    if not any(shown) or tuple(shown) == totals:
        cell.p_value = None


def _losses(
    before: Sequence[Row], after: Sequence[Row], images: Matched | None, shared: set[str]
) -> Iterator[CellChange]:
    singles = ([r for r in rows if len(attributes_of(r)) < 2] for rows in (before, after))
    tables = [{(r["stage"], r["attribute"], r["group"]): r for r in rows} for rows in singles]
    if images is None:
        return
    for key in tables[1]:
        stage, attribute, group = key
        if key not in tables[0] or (attribute is not None and attribute not in shared):
            continue
        names, groups = ([], []) if attribute is None else ([attribute], [group])
        rows = [table[key] for table in tables]
        cell = CellChange("losses", stage, names, groups, any(_hides(row) for row in rows))
        if not cell.is_withheld:
            old, new = _lost(images, STAGES.index(stage), attribute, group)
            found = share_changes(images.identity, old, new, 2)
            shown = [int(row["n_in"] - row["n_out"]) for row in rows]
            _fill(cell, found, 1, shown, (int(rows[0]["n_in"]), int(rows[1]["n_in"])))
        yield cell


def _hides(row: Row) -> bool:
    return bool(row.get("is_suppressed")) or row["n_in"] is None or row["n_out"] is None


def _lost(images: Matched, stage: int, attribute: str | None, group: str | None) -> tuple[Int64, Int64]:
    """0 for the images of a group that passed a stage in a run, 1 for those lost at it, ABSENT for all others."""
    found = []
    for passed, codes in ((images.passed_before, images.before), (images.passed_after, images.after)):
        there = passed >= stage
        if attribute is not None:
            of_group = [*images.categories[attribute], None].index(group)
            there = there & (codes[attribute] == of_group)
        found.append(np.where(there, (passed == stage).astype(np.int64), ABSENT))
    return found[0], found[1]
