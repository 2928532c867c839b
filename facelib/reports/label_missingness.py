"""Where labels are missing: their part by fifths of what was measured on the faces, and whether that is chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from facelib.audit.association import bin_codes, cramers_v, holm, quantile_edges
from facelib.audit.clustered_independence import clustered_independence
from facelib.audit.resampling import cluster_counts, patterns, share_intervals
from facelib.audit.suppression import suppress
from facelib.reports.partial_labels import PartialLabels
from schemas.arrow import arrow_schema
from schemas.label_tables import LABEL_MISSINGNESS

BINS = 5
MISSINGNESS_SCHEMA = arrow_schema(LABEL_MISSINGNESS).remove_metadata().remove(0)
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Row = dict[str, Any]


def label_missingness(labels: Sequence[tuple[PartialLabels, bool]], measures: pa.Table, min_cell: int) -> pa.Table:
    """The rows of `label_missingness`, under MISSINGNESS_SCHEMA: per attribute and measure all bins, then each.

    labels: the attributes, all of the same faces, and whether the number of their missing labels must not be shown.
    measures: columns of `facelib.reports.measures_by_group.face_measures`, a row per face. Bins without a face are left
    out. V and p are of the bins that are shown, because others would follow from them. `p_holm` is over all attributes
    and measures.
    """
    rows = []
    for of, is_hidden in labels:
        for name in measures.column_names:
            rows += _measured(of, name, measures.column(name).to_numpy(), min_cell, is_hidden)
    tested = [row for row in rows if row.get("p_value") is not None]
    for row, p in zip(tested, holm([row["p_value"] for row in tested]).tolist(), strict=True):
        row["p_holm"] = p
    return pa.Table.from_pylist(rows, schema=MISSINGNESS_SCHEMA)


def _measured(of: PartialLabels, name: str, values: Float64, min_cell: int, is_hidden: bool) -> list[Row]:
    edges = quantile_edges(values, BINS)
    group, is_missing = bin_codes(values, edges), of.codes < 0
    table = np.zeros((BINS + 1, 2), np.int64)
    np.add.at(table, (group, is_missing.astype(np.int64)), 1)
    hidden_bins, hidden = _hidden(table, min_cell, is_hidden)
    whole: Row = {"attribute": of.attribute, "measure": name, "is_suppressed": is_hidden}
    if not is_hidden:
        is_open = ~hidden.any(axis=1)
        shown = is_open[group]
        whole |= _shares(of.unit, is_missing)
        whole["p_value"] = clustered_independence(group[shown], is_missing[shown], of.unit[shown])
        whole["cramers_v"] = cramers_v(table[is_open])
    limits = [None, *(edges.tolist() if np.isfinite(edges).all() else [None] * (BINS - 1)), None]
    rows = [whole]
    for code in (*range(BINS), BINS):
        if not table[code].any():
            continue
        row: Row = {"attribute": of.attribute, "measure": name, "bin": 0 if code == BINS else code + 1}
        if code < BINS:
            row |= {"value_above": limits[code], "value_up_to": limits[code + 1]}
        row["is_suppressed"] = bool(hidden[code].any())
        own = group == code
        if not row["is_suppressed"]:
            row |= _shares(of.unit[own], is_missing[own])
        elif not hidden_bins[code] and not is_hidden:
            row["n"] = int(table[code].sum())
        rows.append(row)
    return rows


def _hidden(table: Int64, min_cell: int, is_hidden: bool) -> tuple[Bool, Bool]:
    """Bins (BINS + 1,) and cells (BINS + 1, 2) to withhold. The table's last bin and column are the missing ones."""
    if is_hidden:
        return np.ones(BINS + 1, np.bool_), np.ones((BINS + 1, 2), np.bool_)
    bins, labels = ("bin",), ("label",)
    both = (*bins, *labels)
    masks = suppress({bins: table.sum(axis=1), labels: table.sum(axis=0), both: table}, min_cell)
    return masks[bins], masks[both] | masks[bins][:, None] | masks[labels].any()


def _shares(unit: Int64, is_missing: Bool) -> Row:
    codes = np.unique(unit, return_inverse=True)[1]
    found = share_intervals(patterns(cluster_counts(codes, is_missing.astype(np.int64), 2)))
    figures = {"share": found.share, "ci_low": found.low, "ci_high": found.high}
    return {
        "n": int(is_missing.size),
        "n_unlabelled": int(is_missing.sum()),
        **{name: float(value[1]) for name, value in figures.items()},
    }
