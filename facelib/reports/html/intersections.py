"""Which combinations of two attributes are there, and which are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from facelib.audit.intervals import wilson
from facelib.reports.html.cells import UNIT_WORDS, Pair
from facelib.reports.html.chapter import Chapter, Finding, ReportInput, Rule
from facelib.reports.html.markup import (
    Html,
    count,
    element,
    estimate_text,
    group_text,
    html,
    paragraph,
    percents,
    side_by_side,
    table,
)
from facelib.reports.html.svg_heat import Cell, heat_chart
from facelib.reports.html.withholding import WITHHELD

ANCHOR = "intersections"
_NAMED = 6
"""Most absent combinations that a finding names."""
_SHOWN = ("image", "cluster")
_HATCHED = "▨"
"""Stands for a withheld cell in tables that may be wide."""


@dataclass(frozen=True)
class _Grid:
    """Rows of `balance` by the groups of two attributes, the one with fewer groups across.

    total: units of all cells. hidden: whether a cell is withheld.
    """

    pair: Pair
    unit: str
    total: int
    groups: tuple[Sequence[str | None], Sequence[str | None]]
    cells: list[list[Any]]
    hidden: list[list[bool]]

    @classmethod
    def of(cls, data: ReportInput, pair: Pair, unit: str) -> _Grid:
        """The grid of a pair, without a row or column of missing labels where none is missing."""
        by_groups, total = data.cells.pairs[pair, unit], int(data.totals[pair, unit]["n"])
        groups = data.cells.groups[pair[0]], data.cells.groups[pair[1]]
        cells = [[by_groups[a, b] for b in groups[1]] for a in groups[0]]
        if len(groups[1]) > len(groups[0]):
            pair, groups = (pair[1], pair[0]), (groups[1], groups[0])
            cells = [list(column) for column in zip(*cells, strict=True)]
        hidden = [[c["is_suppressed"] for c in line] for line in cells]
        rows, columns = (
            [k for k, g in enumerate(names) if g is not None or _n(data, a, unit) != 0]
            for a, names in zip(pair, groups, strict=True)
        )
        kept = [groups[0][i] for i in rows], [groups[1][j] for j in columns]
        cells = [[cells[i][j] for j in columns] for i in rows]
        hidden = [[hidden[i][j] for j in columns] for i in rows]
        return cls(pair, unit, total, kept, cells, hidden)


def chapter(data: ReportInput) -> Chapter | None:
    """The chapter; None without pairs of attributes."""
    pairs = list(dict.fromkeys(pair for pair, _ in data.cells.pairs))
    if not pairs:
        return None
    body = [
        paragraph(
            "Two attributes may each be balanced and yet leave a combination empty. The darker a cell, the more units; "
            "crossed out: none; hatched: withheld. Shares are of all units, with 95 % intervals over identities."
        )
    ]
    grids = {(pair, unit): _Grid.of(data, pair, unit) for pair in pairs for unit in _SHOWN}
    for position, pair in enumerate(pairs):
        body.append(element("h3", " × ".join(pair)))
        body += [_figure(grids[pair, unit], f"pair-{position}-{unit}") for unit in _SHOWN]
    declared = [grids[pair, "image"] for pair in pairs if set(pair) <= set(data.declared)]
    return Chapter(ANCHOR, "Combinations of two attributes", Html("".join(body)), (_rule(data, declared),))


def _n(data: ReportInput, attribute: str, unit: str) -> int | None:
    """Units without a label; None where they are withheld."""
    found: int | None = data.cells.single[attribute, unit][None]["n"]
    return found


def _rule(data: ReportInput, grids: Sequence[_Grid]) -> Rule:
    cells = sum((len(data.cells.groups[a]) - 1) * (len(data.cells.groups[b]) - 1) for a, b in (g.pair for g in grids))
    return Rule(
        30,
        "Combinations without an image",
        "a combination of two declared groups has no image although each of the two has",
        f"{count(cells)} combinations of {len(grids)} pairs of attributes with declared categories",
        tuple(f for grid in grids if (f := _absent(data, grid))),
    )


def _absent(data: ReportInput, grid: _Grid) -> Finding | None:
    there = [
        [k for k, g in enumerate(names) if g is not None and data.cells.single[a, "image"][g]["n"] != 0]
        for a, names in zip(grid.pair, grid.groups, strict=True)
    ]
    possible = [(i, j) for i in there[0] for j in there[1] if not grid.hidden[i][j]]
    absent = [(i, j) for i, j in possible if grid.cells[i][j]["n"] == 0]
    if not absent:
        return None
    names = [f"{group_text(grid.groups[0][i])} with {group_text(grid.groups[1][j])}" for i, j in absent[:_NAMED]]
    more = f"; and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
    of = f"{len(absent)} of {len(possible)} combinations of {' and '.join(grid.pair)}"
    return Finding(
        len(absent) / len(possible),
        f"{of} {'has' if len(absent) == 1 else 'have'} no image: {'; '.join(names)}{more}.",
        f"each n = 0 of {count(grid.total)} images, 95 % interval {percents(0.0, float(wilson(0, grid.total)[1]))}",
        ANCHOR,
    )


def _figure(grid: _Grid, name: str) -> Html:
    units = UNIT_WORDS[grid.unit].capitalize()
    if grid.total == 0:
        return paragraph(f"{units}: there are none.")
    if all(all(line) for line in grid.hidden):
        return paragraph(f"{units}: withheld as a whole, because small counts would follow from the others.")
    together = [list(zip(*lines, strict=True)) for lines in zip(grid.cells, grid.hidden, strict=True)]
    largest = max(cell["n"] for line in together for cell, hidden in line if not hidden) or 1
    rows, columns = ([group_text(g) for g in names] for names in grid.groups)
    drawn = [
        [Cell(WITHHELD, None) if h else Cell(count(cell["n"]), cell["n"] / largest) for cell, h in line]
        for line in together
    ]
    chart = heat_chart(name, f"{units} by {grid.pair[0]} (down) and {grid.pair[1]} (across)", rows, columns, drawn)
    bodies = [(row, [[_cell(cell, h) for cell, h in line]]) for row, line in zip(rows, together, strict=True)]
    empty = percents(0.0, float(wilson(0, grid.total)[1]))
    caption = (
        f"{units} by {grid.pair[0]} and {grid.pair[1]}: n, share of all {count(grid.total)}, 95 % interval; where n is "
        f"0, the interval is {empty}." + (f" {_HATCHED}: {WITHHELD}." if any(map(any, grid.hidden)) else "")
    )
    return side_by_side(chart, table(caption, [grid.pair[0], *columns], bodies, stacked=True), len(columns))


def _cell(cell: Any, is_hidden: bool) -> Html:
    if is_hidden or not cell["share"]:
        return html(_HATCHED if is_hidden else count(cell["n"]))
    return Html(f"{count(cell['n'])} · {estimate_text(cell['share'], cell['ci_low'], cell['ci_high'])}")
