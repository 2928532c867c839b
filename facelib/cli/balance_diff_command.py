"""`facelib balance diff`: what changed in the balance between two runs, and whether by more than chance."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facelib.reports.cell_changes import BalanceDifference, CellChange

_UNITS = {"image": "images", "face": "faces", "cluster": "clusters", "subject": "people"}
_HEADINGS = {"attributes": "shares", "combinations": "shares of combinations", "losses": "losses"}


def command(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code, 0 whether or not something changed."""
    from facelib.spark.pipeline_config import resolve_config
    from facelib.spark.two_runs import compare_balance

    config = resolve_config(arguments.config, arguments.assignments)
    found = compare_balance(arguments.output, arguments.run_a, arguments.run_b, config.storage)
    if arguments.format == "json":
        runs = {"run_a": arguments.run_a, "run_b": arguments.run_b}
        text = json.dumps(runs | found.as_dict(), indent=2, ensure_ascii=False)
    else:
        text = "\n".join(as_lines(found, arguments.run_a, arguments.run_b, arguments.limit))
    sys.stdout.write(f"{text}\n")
    return 0


def as_lines(found: BalanceDifference, run_a: str, run_b: str, limit: int) -> Iterator[str]:
    """The difference as lines for a reader, at most `limit` cells of a kind; one line when nothing changed."""
    cells = [c for c in found.cells if not c.is_withheld]
    if found.is_empty:
        counts = ", ".join(f"{unit.after:,} {_UNITS[name]}" for name, unit in found.units.items())
        yield f"{run_a} → {run_b}: nothing changed, {counts} in {len(cells):,} cells"
        return
    yield f"{run_a} → {run_b}"
    for name, unit in found.units.items():
        yield (
            f"{_UNITS[name]:9} {unit.before:,} → {unit.after:,}: {unit.kept:,} in both, "
            f"{unit.removed:,} only before, {unit.added:,} only after"
        )
    for family in _HEADINGS:
        yield from _family(found, family, limit)
    withheld = len(found.cells) - len(cells)
    if withheld:
        yield f"withheld  {withheld:,} cells that one of the runs withholds"
    if notes := sum(c.note is not None for c in cells):
        yield f"untested  {notes:,} cells whose units, counted again, differ from the tables of the runs"
    for names, when in ((found.only_before, "before"), (found.only_after, "after")):
        if names:
            yield f"not compared: {', '.join(names)}, only {when}"


def _family(found: BalanceDifference, family: str, limit: int) -> Iterator[str]:
    cells = [c for c in found.family(family) if c.p_value is not None]
    changed = [c for c in cells if c.is_change]
    heading = _HEADINGS[family]
    if not cells:
        if any(not c.is_withheld and not c.note for c in found.family(family)):
            yield f"{heading}: nothing to test"
        return
    if not changed:
        largest = "" if cells[0].difference == 0 else f"; largest: {_change(cells[0])}"
        yield f"{heading}: none of {len(cells):,} changed by more than chance{largest}"
        return
    groups = _together(changed)
    shown = f", largest {min(limit, len(groups)):,} of {len(groups):,} groups" if limit < len(groups) else ""
    yield f"{heading}: {len(changed):,} of {len(cells):,} changed by more than chance (Holm's correction, 5 %){shown}"
    for first, *others in groups[:limit]:
        also = f"; {' and '.join(_UNITS[c.where] for c in others)} too" if others else ""
        n = f"n {first.n_before:,} of {first.of_before:,} → {first.n_after:,} of {first.of_after:,}"
        yield f"  {_change(first)}, {n}, p {_chance(first)}{also}"


def _together(cells: list[CellChange]) -> list[list[CellChange]]:
    """Cells of one group that changed in one direction as several units, the largest change first; losses are apart."""
    found: dict[tuple[object, ...], list[CellChange]] = {}
    for cell in cells:
        stage = cell.where if cell.family == "losses" else ""
        key = (stage, *cell.attributes, *cell.groups, (cell.difference or 0.0) > 0)
        found.setdefault(key, []).append(cell)
    return list(found.values())


def _change(cell: CellChange) -> str:
    pairs = zip(cell.attributes, cell.groups, strict=True)
    group = " and ".join(f"{a} = {'no label' if g is None else g}" for a, g in pairs) or "all images"
    what = f"lost at {cell.where}" if cell.family == "losses" else f"of {_UNITS[cell.where]}"
    return f"{group}: {_percent(cell.share_before)} → {_percent(cell.share_after)} {what}, {_points(cell)}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.{_decimals(share)}f} %"


def _points(cell: CellChange) -> str:
    """+4.2 points (+2.9 … +5.6), all with the decimals of the difference."""
    values = (cell.difference or 0.0, cell.ci_low or 0.0, cell.ci_high or 0.0)
    decimals = _decimals(min(abs(v) for v in values if v) if any(values) else 1.0)
    change, low, high = (f"{100 * v:+.{decimals}f}".replace("-", "−") for v in values)
    return f"{change} points ({low} … {high})"


def _decimals(share: float) -> int:
    """Decimals of per cent that leave a digit of a small share."""
    return 1 if abs(share) >= 0.001 or share == 0 else 2 if abs(share) >= 0.0001 else 4


def _chance(cell: CellChange) -> str:
    p = cell.p_adjusted or 0.0
    return f"{p:.2g}" if p >= 1e-12 else "< 1e-12"
