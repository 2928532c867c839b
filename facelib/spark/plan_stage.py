"""What to collect and how to weight, planned from what the run's `balance` publishes."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from facelib.reports.plan_counts import UNITS, planned_sets
from facelib.reports.sampling_plan import MOST_CELLS, sampling_plan
from facelib.spark.context import StageContext
from schemas.audit_tables import BALANCE, BALANCE_SUMMARY
from schemas.plan_tables import SAMPLING_PLAN, SAMPLING_PLAN_SUMMARY


def plan_audit(context: StageContext, categories: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """Write `sampling_plan` and `sampling_plan_summary`; both are empty without labels. Reads no other table than
    `balance` and `balance_summary`, so that withheld counts stay withheld."""
    cells = context.read_arrow(BALANCE, ["unit", "attributes", "groups", "n", "estimator"])
    is_small = pc.less_equal(pc.list_value_length(cells.column("attributes")), 2)
    cells = cells.filter(pc.and_(is_small, pc.equal(cells.column("estimator"), "count")))
    totals = context.read_arrow(BALANCE_SUMMARY, ["unit", "n"]).to_pylist()
    sets = planned_sets(cells.to_pylist(), {row["unit"]: row["n"] for row in totals if row["unit"] in UNITS})
    config = context.config
    plan, summary = sampling_plan(sets, config.audit, config.export.weight_cap)
    return {
        "sampling_plan": context.write_arrow(plan, SAMPLING_PLAN),
        "sampling_plan_summary": context.write_arrow(summary, SAMPLING_PLAN_SUMMARY),
        "not_planned": sum(len(s.groups) > MOST_CELLS for s in sets),
    }
