"""How many units every group holds: single attributes, pairs of attributes, and summaries of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from facelib.audit.diversity import effective_categories, evenness, imbalance_ratio, shannon
from facelib.audit.intervals import wilson
from facelib.audit.joint_counts import JointCounts, attribute_sets
from facelib.audit.sampling_weights import TARGET_TOLERANCE
from facelib.errors import ConfigError
from facelib.reports.label_file import category_codes

Reference = Mapping[str, Mapping[str, float]]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

BALANCE_SCHEMA = pa.schema(
    [
        pa.field("unit", pa.string(), nullable=False),
        pa.field("attributes", pa.list_(pa.string()), nullable=False),
        pa.field("groups", pa.list_(pa.string()), nullable=False),
        pa.field("n", pa.int64()),
        pa.field("share", pa.float64()),
        pa.field("ci_low", pa.float64()),
        pa.field("ci_high", pa.float64()),
        pa.field("reference_share", pa.float64()),
        pa.field("ratio", pa.float64()),
        pa.field("is_flagged", pa.bool_()),
        pa.field("is_suppressed", pa.bool_(), nullable=False),
        pa.field("estimator", pa.string(), nullable=False),
    ]
)
SUMMARY_SCHEMA = pa.schema(
    [
        pa.field("unit", pa.string(), nullable=False),
        pa.field("attributes", pa.list_(pa.string()), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("n_missing", pa.int64(), nullable=False),
        pa.field("categories", pa.int64(), nullable=False),
        pa.field("categories_present", pa.int64(), nullable=False),
        pa.field("shannon_nats", pa.float64()),
        pa.field("evenness", pa.float64()),
        pa.field("effective_categories", pa.float64()),
        pa.field("imbalance_ratio", pa.float64()),
    ]
)


@dataclass(frozen=True)
class _Rules:
    categories: Mapping[str, Sequence[str]]
    min_cell: int
    confidence: float
    reference: Reference
    flag_below: float
    flag_above: float


def balance_cells(
    units: Mapping[str, pa.Table | JointCounts],
    attributes: Sequence[str],
    categories: Mapping[str, Sequence[str]],
    min_cell: int = 0,
    confidence: float = 0.95,
    reference: Reference | None = None,
    flag_below: float = 0.8,
    flag_above: float = 1.25,
) -> pa.Table:
    """Count of every cell of every attribute and every pair of attributes, absent cells included.

    units: by name of the unit ("image", "face", "cluster") a table with one row per unit and one
    nullable string column per attribute, or units that are counted already. categories: declared categories per
    attribute, in order.
    min_cell: cells with 0 < n < min_cell are suppressed (n, share, interval, ratio, flag null).
    reference: per attribute the share 0–1 of every category, adding up to 1; single attributes only.
    flag_below, flag_above: a ratio outside these is flagged (defaults: the four-fifths rule of
    29 CFR 1607.4 D and its inverse).

    Returns a table under BALANCE_SCHEMA: for each unit the single attributes, then the pairs, each
    over all combinations of declared categories and the missing cell (a null in `groups`), n = 0
    included. `share` is n over all units, missing ones included, with its Wilson interval at
    `confidence`; null when there are no units. `ratio` is the share among the units with a known
    category over `reference_share`; null, like `is_flagged`, without a reference, for a reference
    share of 0 and without known units.

    Raises ConfigError for a missing column, a value outside the categories or a bad reference.
    """
    rules = _Rules(categories, min_cell, confidence, reference or {}, flag_below, flag_above)
    check_reference(rules.reference, attributes, categories)
    parts = [
        _cell_rows(unit, names, counts, rules)
        for unit, table in units.items()
        for names, counts in count_cells(table, attributes, categories)
    ]
    return pa.concat_tables(parts) if parts else BALANCE_SCHEMA.empty_table()


def balance_summary(
    units: Mapping[str, pa.Table | JointCounts],
    attributes: Sequence[str],
    categories: Mapping[str, Sequence[str]],
    min_cell: int = 0,
) -> pa.Table:
    """One row per unit and attribute or pair of attributes, under SUMMARY_SCHEMA.

    Arguments as for `balance_cells`. `n` counts all units, `n_missing` those without a value for
    an attribute of the set; everything after is over the other units and the declared cells.
    Figures that are undefined are null (see `facelib.audit.diversity`). `imbalance_ratio` is also
    null when the smallest declared cell is suppressed, because it would reveal its count.
    """
    rows = [
        _summary_row(unit, names, counts, min_cell)
        for unit, table in units.items()
        for names, counts in count_cells(table, attributes, categories)
    ]
    return pa.Table.from_pylist(rows, schema=SUMMARY_SCHEMA)


def count_cells(
    units: pa.Table | JointCounts, attributes: Sequence[str], categories: Mapping[str, Sequence[str]]
) -> Iterator[tuple[tuple[str, ...], Int64]]:
    """(attributes, counts) of every attribute, then of every pair.

    `counts` is int64 with one axis per attribute; position i is its i-th category, the last
    position the missing value: shape (S + 1,) or (S₁ + 1, S₂ + 1).
    """
    counted = units if isinstance(units, JointCounts) else joint_counts(units, attributes, categories)
    for names in attribute_sets(attributes):
        yield names, counted.table(*names)


def joint_counts(table: pa.Table, attributes: Sequence[str], categories: Mapping[str, Sequence[str]]) -> JointCounts:
    """The rows of a table with one nullable string column per attribute, each counted by itself."""
    codes: list[Int64] = []
    for a in attributes:
        if a not in table.column_names or a not in categories:
            raise ConfigError(f"attribute {a} has no column or no categories: give both, or leave it out")
        codes.append(category_codes(table.column(a), a, categories[a]))
    declared = {a: categories[a] for a in attributes}
    stacked = np.stack(codes, axis=1) if codes else np.zeros((table.num_rows, 0), np.int64)
    return JointCounts(declared, stacked, np.ones(table.num_rows, np.int64))


def _cell_rows(unit: str, names: tuple[str, ...], counts: Int64, rules: _Rules) -> pa.Table:
    n = counts.ravel()
    total = int(n.sum())
    low, high = wilson(n, total, rules.confidence)
    suppressed = (n > 0) & (n < rules.min_cell)
    withheld = suppressed | (total == 0)
    expected, ratio = _compare(names, n, rules)
    no_ratio = np.isnan(ratio) | suppressed
    flagged = (ratio < rules.flag_below) | (ratio > rules.flag_above)
    return pa.table(
        [
            pa.repeat(unit, n.size),
            _lists(np.tile(np.arange(len(names)), n.size), names, len(names)),
            _groups([rules.categories[a] for a in names], counts.shape),
            pa.array(n, mask=suppressed),
            *(pa.array(values, mask=withheld) for values in (n / max(total, 1), low, high)),
            pa.array(expected, mask=np.isnan(expected)),
            pa.array(ratio, mask=no_ratio),
            pa.array(flagged, mask=no_ratio),
            pa.array(suppressed),
            pa.repeat("count", n.size),
        ],
        schema=BALANCE_SCHEMA,
    )


def _compare(names: tuple[str, ...], n: Int64, rules: _Rules) -> tuple[Float64, Float64]:
    """Reference share and ratio of every cell; NaN where there is none."""
    expected, ratio = np.full(n.size, np.nan), np.full(n.size, np.nan)
    if len(names) == 1 and names[0] in rules.reference:
        shares = rules.reference[names[0]]
        expected[:-1] = [shares[c] for c in rules.categories[names[0]]]
        known = int(n[:-1].sum())
        if known:
            np.divide(n / known, expected, out=ratio, where=expected > 0)
    return expected, ratio


def _groups(categories: Sequence[Sequence[str]], shape: tuple[int, ...]) -> pa.ListArray:
    """The categories of every cell, in the order of the flattened counts."""
    starts = np.cumsum([0, *(len(c) + 1 for c in categories)])
    axes = np.indices(shape).reshape(len(shape), -1) + starts[: len(shape), None]
    words = [word for c in categories for word in (*c, None)]
    return _lists(axes.T.ravel(), words, len(shape))


def _lists(codes: npt.NDArray[Any], words: Sequence[str | None], width: int) -> pa.ListArray:
    """Lists of `width` words each, given by their positions."""
    values = pa.array(words, pa.string()).take(pa.array(codes))
    return pa.ListArray.from_arrays(pa.array(np.arange(0, len(codes) + 1, width), pa.int32()), values)


def _summary_row(unit: str, names: tuple[str, ...], counts: Int64, min_cell: int) -> dict[str, Any]:
    known = counts[(slice(None, -1),) * counts.ndim]
    smallest = int(known.min()) if known.size else 0
    return {
        "unit": unit,
        "attributes": list(names),
        "n": int(counts.sum()),
        "n_missing": int(counts.sum() - known.sum()),
        "categories": known.size,
        "categories_present": int((known > 0).sum()),
        "shannon_nats": shannon(known),
        "evenness": evenness(known, known.size),
        "effective_categories": effective_categories(known),
        "imbalance_ratio": imbalance_ratio(known) if smallest >= min_cell else None,
    }


def check_reference(reference: Reference, attributes: Sequence[str], categories: Mapping[str, Sequence[str]]) -> None:
    """ConfigError when reference shares name no attribute, miss a category, or do not add up to 1."""
    for a, shares in reference.items():
        if a not in attributes or a not in categories:
            raise ConfigError(f"reference shares are given for {a}, which is no attribute: correct the name")
        if set(shares) != set(categories[a]):
            raise ConfigError(f"the reference of {a} must give a share for each of its categories, and no other")
        in_range = all(0 <= share <= 1 for share in shares.values())
        if not in_range or abs(sum(shares.values()) - 1) > TARGET_TOLERANCE:
            raise ConfigError(f"the reference shares of {a} must lie in 0–1 and add up to 1: correct them")
