"""The categories of every attribute, and what becomes of values: positions among them, bins, or errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from facelib.errors import ConfigError

MAX_CATEGORIES = 500
"""More distinct values of an attribute without declaration are taken for an identifier or a measurement."""
MAX_UNDECLARED = 50
"""More distinct values outside a declaration are taken for the wrong column."""


def declared_categories(
    present: pa.Table,
    declared: Mapping[str, Sequence[str]] | None = None,
    edges: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Categories of every attribute, in the order in which reports list them.

    `present` holds one string column per attribute and nothing else, with `cut` applied. An attribute in `declared` has
    exactly its declared categories, in their order, whether or not they occur, one in `edges` its bins; any other
    attribute has its distinct values, sorted by code point.

    Raises ConfigError for a declaration that is empty, repeats a category or names an attribute that is not there, for
    more than MAX_UNDECLARED values outside a declaration, and for more than MAX_CATEGORIES without one.
    """
    given = {a: tuple(c) for a, c in (declared or {}).items()}
    given |= {a: edge_categories(e) for a, e in (edges or {}).items()}
    for attribute, categories in given.items():
        if attribute not in present.column_names:
            raise ConfigError(
                f"categories are declared for {attribute}, which is none of the attributes "
                f"({', '.join(present.column_names)}): correct the name"
            )
        if not categories or len(set(categories)) < len(categories):
            raise ConfigError(f"the categories declared for {attribute} are empty or repeat one: list each once")
    found: dict[str, tuple[str, ...]] = {}
    for attribute in present.column_names:
        column = present.column(attribute)
        if attribute in given:
            found[attribute] = given[attribute]
            outside = len(undeclared_values(column, found[attribute]))
            if outside > MAX_UNDECLARED:
                raise ConfigError(
                    f"attribute {attribute} has {outside} values that are none of its {len(found[attribute])} "
                    "categories: name the right column, or correct its categories or labels"
                )
        else:
            found[attribute] = _distinct(column, attribute)
    return found


def category_codes(column: Any, categories: Sequence[str]) -> npt.NDArray[np.int64]:
    """Position of every value in `categories`, or len(categories) for a missing or undeclared one: int64, one per row.

    `column` is an Arrow array of strings (plain, large or dictionary-encoded).
    """
    codes = pc.index_in(column.cast(pa.string()), value_set=pa.array(categories, pa.string()))
    filled = codes.fill_null(len(categories)).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return np.asarray(filled, np.int64)


def undeclared_counts(
    values: Mapping[str, Mapping[str, int]], categories: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, int]]:
    """By attribute, of the images counted by value those with each value that is none of its categories."""
    found = {a: {v: n for v, n in values.get(a, {}).items() if v not in of} for a, of in categories.items()}
    return {attribute: outside for attribute, outside in found.items() if outside}


def undeclared_values(column: Any, categories: Sequence[str]) -> dict[str, int]:
    """Values of the Arrow array of strings that are none of the categories, and their rows; nulls aside."""
    texts = column.cast(pa.string()).drop_null()
    outside = texts.filter(pc.invert(pc.is_in(texts, value_set=pa.array(categories, pa.string()))))
    counted = pc.value_counts(outside)
    return dict(sorted(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)))


def edge_categories(edges: Sequence[float]) -> tuple[str, ...]:
    """Names of the bins of ascending inner edges: below the first, [first, second), …, at or above the last."""
    texts = [f"{edge:g}" for edge in edges]
    between = (f"[{low}, {high})" for low, high in pairwise(texts))
    return (f"<{texts[0]}", *between, f"≥{texts[-1]}")


def cut(values: pa.Table, edges: Mapping[str, Sequence[float]]) -> pa.Table:
    """The table with the numbers of each column in `edges` replaced by the names of their bins.

    Columns are of strings; a value that is no finite number stays as it is, and so is reported as undeclared.
    """
    for attribute in [a for a in edges if a in values.column_names]:
        names = edge_categories(edges[attribute])
        column = values.column(attribute)
        distinct = [v for v in column.unique().to_pylist() if v is not None]
        bins = {v: _bin(v, edges[attribute], names) for v in distinct}
        renamed = pa.array([None if v is None else bins[v] for v in column.to_pylist()], pa.string())
        values = values.set_column(values.column_names.index(attribute), attribute, renamed)
    return values


def _bin(text: str, edges: Sequence[float], names: Sequence[str]) -> str:
    try:
        value = float(text)
    except ValueError:
        return text
    return names[int(np.searchsorted(edges, value, side="right"))] if math.isfinite(value) else text


def _distinct(column: Any, attribute: str) -> tuple[str, ...]:
    values = column.cast(pa.string()).unique().drop_null()
    if len(values) > MAX_CATEGORIES:
        raise ConfigError(
            f"attribute {attribute} has {len(values)} distinct values, more than {MAX_CATEGORIES}: "
            "declare its categories or edges, or leave it out if it is an identifier"
        )
    return tuple(sorted(values.to_pylist()))
