"""How far groups are apart in error rates, and how well clusters keep to subjects: tables of `error_summary`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facelib.reports.html.chapter import ReportInput
from facelib.reports.html.error_findings import Comparisons
from facelib.reports.html.markup import (
    NOTHING,
    Html,
    count,
    estimate_text,
    number,
    paragraph,
    percent,
    table,
)
from facelib.reports.html.withholding import WITHHELD

_MEASURES = {
    "fmr_max_min_ratio": "FMR, largest : smallest",
    "fmr_max_geometric_mean_ratio": "FMR, largest : geometric mean",
    "fmr_gini": "FMR, Gini coefficient",
    "fnmr_max_min_ratio": "FNMR, largest : smallest",
    "fnmr_max_geometric_mean_ratio": "FNMR, largest : geometric mean",
    "fnmr_gini": "FNMR, Gini coefficient",
    "fairness_discrepancy_rate": "fairness discrepancy rate",
    "inequity_rate": "inequity rate",
    "garbe": "GARBE",
}
_FALLING = "fairness_discrepancy_rate"
Row = Mapping[str, Any]


def differentials(data: ReportInput, attribute: str) -> Html:
    """How far the groups of an attribute are apart, each figure beside what chance shows."""
    bodies: list[tuple[str, Sequence[Sequence[str]]]] = []
    rows = [r for r in data.rows("error_summary") if r["attribute"] == attribute and r["value"] is not None]
    for measure, name in _MEASURES.items():
        lines = [
            [
                percent(row["target_fmr"]),
                number(row["value"]),
                _range(row["ci_low"], row["ci_high"]),
                number(row["by_chance"]),
                _beyond(row),
                str(row["n_groups"]),
            ]
            for row in rows
            if row["measure"] == measure
        ]
        bodies += [(name, lines)] if lines else []
    if not bodies:
        return paragraph(
            "No figure of the spread between groups is defined: it takes two groups, most of them errors in each."
        )
    caption = (
        f"How far {attribute} groups are apart. Ratios are 1, Gini coefficients and GARBE 0, the fairness discrepancy "
        "rate 1 where all are equal. “By chance” is what equal groups of these sizes show in one draw of twenty; up to "
        "it, a figure shows no difference. Figures without a value are left out."
    )
    head = ["measure", "set for", "value", "95 % interval", "by chance", "beyond chance", "groups"]
    return table(caption, head, bodies, stacked=True)


def _beyond(row: Row) -> str:
    if row["by_chance"] is None:
        return "not known"
    is_beyond = row["value"] < row["by_chance"] if row["measure"] == _FALLING else row["value"] > row["by_chance"]
    return "yes" if is_beyond else "no"


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return NOTHING
    return f"{number(low)} or more" if high is None else f"{number(low)}–{number(high)}"


def clusters(data: ReportInput, found: Comparisons, attribute: str) -> Html:
    """How well the clusters of each group keep to subjects."""
    rows: dict[str | None, dict[str, Row]] = {}
    for row in data.rows("error_summary"):
        if row["target_fmr"] is None and row["attribute"] in (attribute, None):
            rows.setdefault(row["group"], {})[row["measure"]] = row
    bodies = []
    for group, own in sorted(rows.items(), key=lambda item: item[0] is None):
        hidden = group in found.hidden[attribute]
        bodies.append((group or "all", [[WITHHELD] * 5 if hidden else _kept(own)]))
    caption = (
        f"Clusters by {attribute}, against subjects: of those with two faces or more, in how many clusters they lie "
        "and which share lies in one; which share of the faces lies in a cluster that is mostly of their subject; and "
        "which share of their cluster is of their subject (BCubed precision)."
    )
    head = [
        attribute,
        "subjects",
        "clusters per subject",
        "in one cluster (95 %)",
        "with their own",
        "BCubed precision",
    ]
    return table(caption, head, bodies, stacked=True)


def _kept(own: Mapping[str, Row]) -> list[str]:
    """The cells of a group's figures of clusters."""
    whole, cells = own["whole_share"], []
    for measure in ("clusters_per_subject", "whole_share", "majority_share", "bcubed_precision"):
        row = own[measure]
        if row["is_suppressed"]:
            cells.append(WITHHELD)
        elif measure == "clusters_per_subject":
            cells.append(number(row["value"]))
        else:
            cells.append(estimate_text(row["value"], row["ci_low"], row["ci_high"]))
    return [WITHHELD if whole["n"] is None else count(whole["n"]), *cells]
