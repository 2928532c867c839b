"""From error rates by group to rows of `error_rates` and `error_summary`, with what must be withheld.

Formulas and intervals: facelib/audit/ERROR_RATES.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from facelib.audit.differentials import defined
from facelib.audit.group_errors import ErrorTable
from facelib.audit.intervals import wilson
from facelib.audit.resampled_errors import Rates
from facelib.clusters.agreement import GroupAgreement
from facelib.reports.error_withholding import Withheld, withheld_groups, without_counts, without_counts_falling
from schemas.arrow import arrow_schema
from schemas.contract import Table
from schemas.error_tables import CLUSTER_FIGURES, DIFFERENTIALS, ERROR_RATES, ERROR_SUMMARY

Row = dict[str, Any]
_NO_RATE: Row = {c.name: None for c in ERROR_RATES if c.name != "run_id"}
_NO_FIGURE: Row = {c.name: None for c in ERROR_SUMMARY if c.name != "run_id"}
_FALLING = "fairness_discrepancy_rate"
_OF_REPEATED = ("clusters_per_subject", "whole_share")


@dataclass(frozen=True)
class GroupedErrors:
    """Error rates of the groups of an attribute, or of all faces (attribute None, no categories).

    sizes: compared faces and subjects of each category, or of all under None. tables: one per target FMR, of the
    categories that are not withheld as groups, in order; None where the data do not support the target.
    """

    attribute: str | None
    categories: tuple[str, ...]
    withheld: Withheld
    sizes: Mapping[str | None, tuple[int, int]]
    tables: Sequence[ErrorTable | None]

    @property
    def shown(self) -> list[str]:
        """Categories that are not withheld."""
        return [c for c in self.categories if c not in self.withheld.groups]


def error_rates(found: Iterable[GroupedErrors], targets: Sequence[float], min_cell: int) -> pa.Table:
    """The contract `error_rates` without run_id, from comparisons of verified subjects by cosine.

    For every target FMR the rows of all faces, and of every ordered pair of categories of every attribute.
    """
    rows = [row for errors in found for i, target in enumerate(targets) for row in _rates(errors, i, target, min_cell)]
    return _table(rows, ERROR_RATES)


def tail_rates(curve: pa.Table, elsewhere: Mapping[str, Collection[str]], similarity: str) -> pa.Table:
    """The contract `error_rates` without run_id where there are no subjects: what `threshold_curve` has at the floor.

    curve: that table. elsewhere: the groups of each attribute that the run withholds. similarity: that of the clusters.
    """
    at_floor = [r for r in curve.to_pylist() if r["is_floor"] and len(r["attributes"]) < 2]
    by_attribute: dict[str | None, list[Row]] = {}
    for row in at_floor:
        by_attribute.setdefault(row["attributes"][0] if row["attributes"] else None, []).append(row)
    rows = []
    for attribute, own in by_attribute.items():
        groups = [r["groups"][0] if attribute is not None else "" for r in own]
        small = frozenset(g for g, r in zip(groups, own, strict=True) if r["is_suppressed"])
        uncounted = {g for g, r in zip(groups, own, strict=True) if r["n_faces"] is None}
        hidden = Withheld(small, frozenset(uncounted | set(elsewhere.get(attribute or "", ()))) - small)
        for group, row in zip(groups, own, strict=True):
            rows.append(_tail(row, attribute, None if attribute is None else group, similarity, hidden))
    return _table(rows, ERROR_RATES)


def error_summary(
    found: Iterable[GroupedErrors],
    targets: Sequence[float],
    agreement: Mapping[str | None, Mapping[str | None, GroupAgreement]],
    cluster_similarity: str,
    min_cell: int,
) -> pa.Table:
    """The contract `error_summary` without run_id.

    agreement: of each attribute, by category, how well clusters keep to subjects (`group_agreement`); that of all
    faces under None, None. cluster_similarity: that of the clusters.
    """
    rows = []
    for errors in found:
        if errors.attribute is not None:
            rows += [row for i, target in enumerate(targets) for row in _differentials(errors, i, target)]
        rows += _clusters(errors, agreement.get(errors.attribute, {}), cluster_similarity, min_cell)
    return _table(rows, ERROR_SUMMARY)


def _rates(errors: GroupedErrors, index: int, target: float, min_cell: int) -> Iterator[Row]:
    table, shown = errors.tables[index], {c: i for i, c in enumerate(errors.shown)}
    of_all = _NO_RATE | {"attribute": errors.attribute, "target_fmr": target, "estimator": "subjects"}
    of_all |= {"similarity": "cosine", "threshold": table.threshold if table else None, "is_suppressed": False}
    if errors.attribute is None:
        sizes = errors.sizes[None]
        if any(0 < n < min_cell for n in sizes):
            yield of_all | {"threshold": None, "is_suppressed": True}
        else:
            figures = _non_mated(table.all_fmr, ()) | _mated(table.all_fnmr, ()) if table else {}
            yield of_all | _sizes(sizes) | figures
        return
    yield of_all | (_same_group(table, bool(errors.withheld.groups or errors.withheld.counts)) if table else {})
    for group in errors.categories:
        for other in errors.categories:
            row = of_all | {"group": group, "other_group": other}
            if not {group, other} <= shown.keys():
                yield row | {"is_suppressed": True}
                continue
            figures = _non_mated(table.fmr, (shown[group], shown[other])) if table else {}
            if table and group == other:
                figures |= _mated(table.fnmr, (shown[group],))
            if {group, other} & errors.withheld.counts:
                figures = without_counts(figures)
            yield row | figures | ({} if group in errors.withheld.counts else _sizes(errors.sizes[group]))


def _same_group(table: ErrorTable, is_withheld: bool) -> Row:
    """FMR of two people of one group, whichever; without interval."""
    errors, comparisons = (int(a.diagonal().sum()) for a in (table.fmr.errors, table.fmr.comparisons))
    rate = errors / comparisons if comparisons else None
    figures: Row = {"n_non_mated": comparisons, "n_false_matches": errors, "fmr": rate}
    return without_counts(figures) if is_withheld else figures


def _sizes(sizes: tuple[int, int]) -> Row:
    return dict(zip(("n_faces", "n_subjects"), sizes, strict=True))


def _non_mated(rates: Rates, at: tuple[int, ...]) -> Row:
    return _figures(rates, at, ("n_non_mated", "n_false_matches", "fmr"))


def _mated(rates: Rates, at: tuple[int, ...]) -> Row:
    return _figures(rates, at, ("n_mated", "n_false_non_matches", "fnmr"))


def _figures(rates: Rates, at: tuple[int, ...], names: tuple[str, str, str]) -> Row:
    comparisons, errors, rate = names
    return {
        comparisons: int(rates.comparisons[at]),
        errors: int(rates.errors[at]),
        rate: defined(rates.value[at]),
        f"{rate}_ci_low": defined(rates.low[at]),
        f"{rate}_ci_high": defined(rates.high[at]),
    }


def _tail(row: Row, attribute: str | None, group: str | None, similarity: str, hidden: Withheld) -> Row:
    name, is_hidden = group or "", (group or "") in hidden.groups
    found = _NO_RATE | {"attribute": attribute, "group": group, "other_group": group, "estimator": "tail"}
    found |= {"similarity": similarity, "threshold": row["similarity"], "is_suppressed": is_hidden}
    if is_hidden:
        return found
    figures = {"n_faces": row["n_faces"], "fmr": row["fmr_estimated"]}
    figures |= {end: row[end] for end in ("fmr_ci_low", "fmr_ci_high")}
    return found | (without_counts(figures) if name in hidden.counts else figures)


def _differentials(errors: GroupedErrors, index: int, target: float) -> Iterator[Row]:
    table = errors.tables[index]
    for measure in DIFFERENTIALS:
        row = _NO_FIGURE | {"attribute": errors.attribute, "target_fmr": target, "measure": measure}
        row |= {"similarity": "cosine", "is_suppressed": False}
        left_out = set(errors.categories)
        if table:
            without_fmr = () if measure.startswith("fnmr") else table.without_fmr
            without_fnmr = () if measure.startswith("fmr") else table.without_fnmr
            left_out = {*errors.withheld.groups, *without_fmr, *without_fnmr}
            figure = table.differentials[measure]
            figures = {
                "value": figure.value,
                "ci_low": figure.low,
                "ci_high": figure.high,
                "by_chance": figure.by_chance,
            }
            if errors.withheld.counts:
                figures = (without_counts_falling if measure == _FALLING else without_counts)(figures)
            row |= figures
        row["n_groups"] = len(errors.categories) - len(left_out)
        yield row | {"groups_left_out": [c for c in errors.categories if c in left_out]}


def _clusters(
    errors: GroupedErrors, agreement: Mapping[str | None, GroupAgreement], similarity: str, min_cell: int
) -> Iterator[Row]:
    """Figures of clusters: of every category, or of all faces."""
    groups: Sequence[str | None] = errors.categories if errors.attribute is not None else (None,)
    withheld = errors.withheld
    if errors.attribute is None and any(0 < n < min_cell for n in errors.sizes[None]):
        withheld = Withheld(frozenset([""]))
    found = {group: agreement.get(group) for group in groups}
    repeated = [a.n_repeated if a else 0 for a in found.values()]
    names = [group or "" for group in groups]
    known = [None if name in withheld.groups else n for name, n in zip(names, repeated, strict=True)]
    of_repeated = withheld_groups(names, [[*known, 0]], withheld.counts, min_cell)
    for group, name in zip(groups, names, strict=True):
        for measure in CLUSTER_FIGURES:
            hidden = of_repeated if measure in _OF_REPEATED else withheld
            row = _NO_FIGURE | {"attribute": errors.attribute, "group": group, "measure": measure}
            row |= {"similarity": similarity, "groups_left_out": [], "is_suppressed": name in hidden.groups}
            figure = {} if name in hidden.groups else _cluster_figure(found[group], measure)
            yield row | (without_counts(figure) if name in hidden.counts else figure)


def _cluster_figure(own: GroupAgreement | None, measure: str) -> Row:
    if own is None:
        return {"n": 0}
    row: Row = {"value": getattr(own, measure), "n": own.n_repeated if measure in _OF_REPEATED else own.n_faces}
    if measure == "whole_share" and own.n_repeated:
        low, high = wilson(own.n_whole, own.n_repeated)
        row |= {"ci_low": float(low), "ci_high": float(high)}
    return row


def _table(rows: list[Row], table: Table) -> pa.Table:
    return pa.Table.from_pylist(rows, pa.schema([field for field in arrow_schema(table) if field.name != "run_id"]))
