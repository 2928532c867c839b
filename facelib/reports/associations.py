"""How far attributes go together with each other and with what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from facelib.audit.association import bin_codes, cramers_v, holm, independence, quantile_edges
from facelib.audit.unit_counts import UnitCounts
from facelib.reports.audit_units import majority
from facelib.reports.balance_summary import spread_evenly
from facelib.reports.withheld import Masks
from schemas.arrow import arrow_schema
from schemas.audit_tables import ASSOCIATIONS

ASSOCIATIONS_SCHEMA = arrow_schema(ASSOCIATIONS).remove_metadata().remove(0)
BINS = 5
"""Measures are cut into quintiles."""
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Row = dict[str, Any]


def attribute_pairs(units: Mapping[str, UnitCounts], masks: Mapping[str, Masks]) -> Iterator[Row]:
    """A row per pair of attributes, from the counts of images and of clusters and the cells withheld of both."""
    for pair in combinations(units["image"].joint.categories, 2):
        row: Row = {"attribute": pair[0], "other": pair[1], "kind": "attribute"}
        for unit, figures in (("image", _of_images), ("cluster", _of_identities)):
            counts = _shown(units[unit].table(pair), masks[unit][pair])
            if counts is not None:
                row |= figures(counts[:-1, :-1], not masks[unit][pair].any())
        yield row


def measure_pairs(
    measures: Mapping[str, Float64],
    kinds: Mapping[str, Int64],
    codes: Int64,
    categories: Mapping[str, Sequence[str]],
    identity: Int64,
    hidden: Mapping[str, Bool],
) -> Iterator[Row]:
    """A row per attribute and measure, then per attribute and kind, from main faces.

    measures: float64 (faces,) each, NaN where unknown. kinds: what faces are of, as their source, int64 (faces,) each,
    numbered from 0. codes: int64 (faces, attributes), positions among the categories as of `declared.category_codes`.
    identity: int64 (faces,). hidden: by attribute, bool (groups + 1,), groups that are withheld; they are left out. An
    identity has the category and is of the kind that most of its faces have and are of, and has their mean measure.
    """
    _, of = np.unique(identity, return_inverse=True)
    voted = np.stack([majority(of, codes[:, i], len(c))[0] for i, c in enumerate(categories.values())], axis=1)
    size = int(of.max(initial=-1)) + 1
    for name, values in measures.items():
        known = np.isfinite(values)
        bins = bin_codes(values, quantile_edges(values, BINS))
        total, n = np.bincount(of, np.where(known, values, 0.0), size), np.bincount(of, known, size)
        mean = np.divide(total, n, out=np.full(size, np.nan), where=n > 0)
        of_identity = bin_codes(mean, quantile_edges(mean, BINS))
        yield from _crossed(name, (codes, bins), (voted, of_identity), BINS, categories, hidden)
    for name, kind in kinds.items():
        width = int(kind.max(initial=-1)) + 1
        yield from _crossed(name, (codes, kind), (voted, majority(of, kind, width)[0]), width, categories, hidden)


def _crossed(
    name: str,
    faces: tuple[Int64, Int64],
    identities: tuple[Int64, Int64],
    width: int,
    categories: Mapping[str, Sequence[str]],
    hidden: Mapping[str, Bool],
) -> Iterator[Row]:
    """Rows of one measure with codes 0 … width − 1; each pair is codes by attribute, (units, attributes), and of it."""
    for i, (attribute, declared) in enumerate(categories.items()):
        kept = np.flatnonzero(~hidden[attribute][:-1])
        tables = [_cross(of_each[:, i], other, len(declared), width)[kept] for of_each, other in (faces, identities)]
        is_whole = kept.size == len(declared)
        row: Row = {"attribute": attribute, "other": name, "kind": "measure"}
        yield row | _of_images(tables[0], is_whole) | _of_identities(tables[1], is_whole)


def association_rows(rows: Sequence[Row]) -> pa.Table:
    """The rows under ASSOCIATIONS_SCHEMA, p-values corrected for their number."""
    p = np.array([np.nan if row.get("p_value") is None else row["p_value"] for row in rows], np.float64)
    adjusted = [None if np.isnan(v) else float(v) for v in holm(p)]
    return pa.Table.from_pylist(
        [row | {"p_adjusted": v} for row, v in zip(rows, adjusted, strict=True)], schema=ASSOCIATIONS_SCHEMA
    )


def _cross(rows: Int64, columns: Int64, height: int, width: int) -> Int64:
    """Counts (height, width) of units with both known."""
    known = (rows < height) & (columns < width)
    cells = np.bincount(rows[known] * width + columns[known], minlength=height * width)
    return np.asarray(cells.reshape(height, width), np.int64)


def _shown(counts: Int64, hidden: Bool) -> Float64 | None:
    return spread_evenly(counts, hidden) if hidden.any() else counts.astype(np.float64)


def _of_images(table: npt.ArrayLike, is_whole: bool) -> Row:
    counts = np.asarray(table)
    return {"n": int(counts.sum()) if is_whole else None, "cramers_v": cramers_v(counts)}


def _of_identities(table: npt.ArrayLike, is_whole: bool) -> Row:
    counts = np.asarray(table)
    found = independence(np.rint(counts))
    return {
        "identities": int(counts.sum()) if is_whole else None,
        "identity_v": cramers_v(counts),
        "p_value": found.p_g if found else None,
    }
