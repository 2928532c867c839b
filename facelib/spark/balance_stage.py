"""Balance, losses and associations of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from facelib.audit.joint_counts import attribute_sets
from facelib.reports.associations import association_rows, attribute_pairs, measure_pairs
from facelib.reports.audit_units import AuditUnits
from facelib.reports.balance import BalanceRules, balance_cells, undeclared_rows
from facelib.reports.balance_summary import balance_summary
from facelib.reports.declared import declared_categories, undeclared_counts
from facelib.reports.losses import losses, withheld_losses
from facelib.reports.withheld import Withholding, published, withhold
from facelib.spark.audit_units import as_columns, audit_units, label_counts
from facelib.spark.context import StageContext
from facelib.spark.error_stage import error_audit
from facelib.spark.evaluation import FinishedRun
from facelib.spark.main_faces import MainFaces
from facelib.spark.main_measures import main_measures
from facelib.spark.partial_stage import carried_out_plan, partial_labels
from facelib.spark.plan_stage import plan_audit
from facelib.spark.run_record import RunRecord, current_run_id
from facelib.spark.tables import read_arrow
from schemas.audit_tables import ASSOCIATIONS, BALANCE, BALANCE_SUMMARY, LOSSES

Categories = dict[str, tuple[str, ...]]
Audit = Callable[[StageContext, Categories], dict[str, Any]]
AUDITS: tuple[Audit, ...] = (error_audit, plan_audit)
"""What follows the balance, in order: each writes its tables, given the categories of every attribute, and returns
what to note in the record."""


def balance_stage(context: StageContext) -> None:
    """Write `balance`, `balance_summary`, `losses`, `associations` and what is known of partial labels, then the tables
    of AUDITS."""
    with context.stage("balance") as facts:
        audit = context.config.audit
        values = label_counts(context)
        categories = declared_categories(as_columns(values), audit.categories, audit.edges)
        triples = [t for t in audit.triple_sets if set(t) <= set(categories)]
        sets = attribute_sets(list(categories), triples)
        found = audit_units(context, categories, sets)
        before = _published_before(context, categories) if audit.min_cell > 1 else {}
        earlier = {unit: [publication] for unit, publication in before.items()}
        withheld = withhold(found.units, sets, audit.min_cell, earlier, audit.min_change)
        rules = BalanceRules(audit.references(categories), audit.flag_below, audit.flag_above)
        cells = balance_cells(found.units, list(categories), categories, rules, triples, withheld)
        images = int(found.losses.moments[()].units[0, 0])
        errors = undeclared_rows(undeclared_counts(values, categories), images, audit.min_cell)
        summary = balance_summary(found.units, list(categories), categories, rules, triples, withheld, found.agreement)
        hidden = withheld_losses(found.losses, withheld.masks.get("image", {}), audit.min_cell)
        facts["balance"] = context.write_arrow(pa.concat_tables([cells, errors]), BALANCE)
        facts["summary"] = context.write_arrow(summary, BALANCE_SUMMARY)
        lost = losses(found.losses, list(categories), categories, hidden=hidden)
        facts["losses"] = context.write_arrow(lost, LOSSES)
        facts.update(_of_main_faces(context, categories, found, withheld))
        facts["undeclared_values"] = errors.num_rows
        facts["withheld_cells"] = {u: sum(int(m.sum()) for m in masks.values()) for u, masks in withheld.masks.items()}
        if withheld.incomparable:
            facts["not_protected_against_previous"] = list(withheld.incomparable)
        for make in AUDITS:
            facts.update(make(context, categories))


def _of_main_faces(
    context: StageContext, categories: Categories, found: AuditUnits, withheld: Withholding
) -> dict[str, Any]:
    """Write `associations` and what `partial_labels` writes."""
    run = FinishedRun(context.store, context.place, context.record)
    faces = MainFaces(run, categories, plan=carried_out_plan(context.config))
    rows = _associations(run, faces, categories, found, withheld, context.config.audit.nuisances) if categories else []
    written = context.write_arrow(association_rows(rows), ASSOCIATIONS)
    return {"associations": written} | partial_labels(context, categories, faces)


def _associations(
    run: FinishedRun,
    faces: MainFaces,
    categories: Categories,
    found: AuditUnits,
    withheld: Withholding,
    nuisances: Sequence[str],
) -> list[dict[str, Any]]:
    rows = list(attribute_pairs(found.units, withheld.masks))
    measured = main_measures(run, faces, categories, nuisances)
    hidden = {a: withheld.masks["image"][(a,)] for a in categories}
    rows += measure_pairs(measured.values, measured.kinds, measured.codes, categories, measured.identity, hidden)
    return rows


def _published_before(context: StageContext, categories: Categories) -> dict[str, Any]:
    """The counts that the run published last, by unit; none where it has other tables. Clusters of two runs are not the
    same units, so they are left out."""
    name = current_run_id(context.store)
    if name is None:
        return {}
    record = RunRecord.load(context.store, name)
    if record.tables.get(BALANCE.name, {}).get("version") != BALANCE.version:
        return {}
    columns = ["unit", "attributes", "groups", "n", "is_suppressed", "estimator"]
    rows = read_arrow(context.place, record.files(BALANCE), BALANCE, columns).to_pylist()
    totals = read_arrow(context.place, record.files(BALANCE_SUMMARY), BALANCE_SUMMARY, ["unit", "attributes", "n"])
    units = {r["unit"]: r["n"] for r in totals.to_pylist() if not r["attributes"] and r["unit"] != "cluster"}
    return published(rows, units, categories)
