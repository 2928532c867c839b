"""How published count tables hang together: each adds up to its margins, single tables to the total."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from facelib.errors import ConfigError

Names = tuple[str, ...]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TableSystem:
    """The tables of one unit as one vector of cells: table after table, each flattened in C order.

    shapes: shape of every table, in the order of the vector. counts: int64 (cells,). order: number
    of attributes of each cell's table, int64 (cells,). total: the units, N. `relations` (sparse,
    relations × cells, entries ±1) and `sums` (relations,) hold for every possible set of tables:
    relations @ cells = sums.
    """

    shapes: Mapping[Names, tuple[int, ...]]
    counts: Int64
    order: Int64
    total: int
    relations: Any
    sums: Int64

    def slices(self) -> Iterator[tuple[Names, slice]]:
        """Where the cells of each table lie."""
        start = 0
        for names, shape in self.shapes.items():
            stop = start + int(np.prod(shape))
            yield names, slice(start, stop)
            start = stop

    def blank(self, published: Bool) -> Bool:
        """Cells of those tables of which no cell is published; `published` and the answer: (cells,)."""
        return np.concatenate([np.full(s.stop - s.start, not published[s].any()) for _, s in self.slices()])

    def is_known(self) -> Bool:
        """Cells with a value for each of their attributes, (cells,)."""
        known = np.ones(self.counts.size, np.bool_)
        for names, cells in self.slices():
            inner = np.zeros(self.shapes[names], np.bool_)
            inner[(slice(None, -1),) * inner.ndim] = True
            known[cells] = inner.ravel()
        return known

    def is_labelled(self) -> Int64:
        """1 for a cell with a value for at least one of its attributes, 0 for the last cell of each table."""
        labelled = np.ones(self.counts.size, np.int64)
        labelled[[cells.stop - 1 for _, cells in self.slices()]] = 0
        return labelled

    def least(self) -> Int64:
        """Least value of each cell that shows from the empty cells alone, int64 (cells,); 0 for an empty cell.

        A cell is at least the number of its non-empty cells in any table of more attributes.
        """
        least = (self.counts > 0).astype(np.int64)
        places = dict(self.slices())
        for names, place in places.items():
            filled = (self.counts[place] > 0).reshape(self.shapes[names])
            for margin in (m for m in places if set(m) < set(names)):
                summed = tuple(axis for axis, name in enumerate(names) if name not in margin)
                inside = places[margin]
                least[inside] = np.maximum(least[inside], filled.sum(axis=summed).ravel())
        return least


def table_system(tables: Mapping[Names, Int64], total: int | None = None) -> TableSystem:
    """The system of tables keyed by their attributes (1 to 3 names), one axis per attribute.

    total: N; None takes it from the first table. Raises ConfigError when a table is not counts of
    its attributes, a margin of a table is missing, or shapes disagree. Whether the counts add up
    is the business of `check_sums`.
    """
    if not tables:
        raise ConfigError("there are no tables: give at least one table of counts")
    for names, table in tables.items():
        _check_table(names, table, tables)
    shapes = {names: table.shape for names, table in tables.items()}
    first = next(iter(tables.values()))
    n = int(first.sum()) if total is None else total
    relations, sums = _relations(shapes, n)
    return TableSystem(
        shapes,
        np.concatenate([table.ravel() for table in tables.values()]).astype(np.int64),
        np.repeat([len(names) for names in shapes], [table.size for table in tables.values()]),
        n,
        relations,
        sums,
    )


def check_sums(system: TableSystem) -> None:
    """ConfigError when a count is negative or a table does not add up to its margin."""
    if (system.counts < 0).any():
        raise ConfigError("a count is negative: give counts of units")
    if (system.relations @ system.counts != system.sums).any():
        raise ConfigError("a table does not add up to its margins or the total: count all tables from the same units")


def _check_table(names: Names, table: Int64, tables: Mapping[Names, Int64]) -> None:
    words = " × ".join(names)
    if not 1 <= len(names) <= 3 or len(set(names)) != len(names):
        raise ConfigError(f"a table of ({words}) cannot be protected: give one to three different attributes")
    if table.ndim != len(names) or not np.issubdtype(table.dtype, np.integer) or table.size == 0:
        raise ConfigError(f"the table {words} must hold integers with one axis of at least one cell per attribute")
    for axis in range(len(names) if len(names) > 1 else 0):
        margin = _without(names, axis)
        if margin not in tables:
            raise ConfigError(f"the table {words} is given without its margin {' × '.join(margin)}: give both")
        if tables[margin].shape != _without(table.shape, axis):
            raise ConfigError(f"the tables {words} and {' × '.join(margin)} differ in their categories: use the same")


def _without(items: tuple[Any, ...], position: int) -> tuple[Any, ...]:
    return items[:position] + items[position + 1 :]


def _relations(shapes: Mapping[Names, tuple[int, ...]], total: int) -> tuple[Any, Int64]:
    """For each table and axis: the sum over the axis minus the cell of the margin is 0 (or the sum is N)."""
    cells = {}
    start = 0
    for names, shape in shapes.items():
        size = int(np.prod(shape))
        cells[names] = np.arange(start, start + size).reshape(shape)
        start += size
    rows: list[Int64] = []
    columns: list[Int64] = []
    signs: list[Int64] = []
    sums: list[Int64] = []
    done = 0
    for names, index in cells.items():
        for axis in range(len(names)):
            lines = np.moveaxis(index, axis, -1).reshape(-1, index.shape[axis])
            numbers = np.arange(done, done + len(lines))
            rows.append(np.repeat(numbers, index.shape[axis]))
            columns.append(lines.ravel())
            signs.append(np.ones(lines.size, np.int64))
            if len(names) > 1:
                rows.append(numbers)
                columns.append(cells[_without(names, axis)].ravel())
                signs.append(np.full(len(lines), -1, np.int64))
            sums.append(np.full(len(lines), 0 if len(names) > 1 else total, np.int64))
            done += len(lines)
    matrix = (np.concatenate(signs), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_array(matrix, shape=(done, start)), np.concatenate(sums)
