"""The gate: conservation, and a Great Expectations suite per table. Its results are the `checks` table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel

from facelib.errors import GateError
from facelib.reports.conservation import Conservation, conserve
from facelib.spark.context import StageContext
from facelib.spark.suites import Rows, run_suite
from schemas.arrow import arrow_schema
from schemas.audit_tables import ASSOCIATIONS, BALANCE, BALANCE_SUMMARY, LOSSES
from schemas.contract import Table
from schemas.error_tables import ERROR_RATES, ERROR_SUMMARY
from schemas.expectations import suite
from schemas.label_tables import LABEL_MISSINGNESS, LABEL_PLAN, PREDICTED_SHARES
from schemas.plan_tables import SAMPLING_PLAN, SAMPLING_PLAN_SUMMARY
from schemas.tables import CHECKS, CLUSTER_LINEAGE, CLUSTERS, EDGES, FACES, IMAGES, LABELS, THRESHOLD_CURVE

CHECKED = (
    IMAGES,
    FACES,
    LABELS,
    CLUSTERS,
    CLUSTER_LINEAGE,
    EDGES,
    THRESHOLD_CURVE,
    BALANCE,
    BALANCE_SUMMARY,
    ASSOCIATIONS,
    LOSSES,
    ERROR_RATES,
    ERROR_SUMMARY,
    PREDICTED_SHARES,
    LABEL_MISSINGNESS,
    LABEL_PLAN,
    SAMPLING_PLAN,
    SAMPLING_PLAN_SUMMARY,
)
DRIVER_ROWS = 100_000
"""Smaller tables are checked on the driver, in a tenth of a second each; as Spark jobs a suite takes seconds."""


def check_stage(context: StageContext) -> None:
    """Run all suites and the conservation check. GateError when something critical failed."""
    with context.stage("check") as facts:
        rows = [row for table in CHECKED for row in _check_table(context, table)]
        account = conservation(context)
        rows.append(_conservation_row(account))
        context.record.conservation = account.as_dict()
        context.write_arrow(pa.Table.from_pylist(rows, schema=_rows_schema()), CHECKS)
        failed = [r for r in rows if not r["success"] and r["severity"] == "critical"]
        facts.update(
            expectations=len(rows),
            failed_critical=len(failed),
            failed_warning=sum(not r["success"] for r in rows) - len(failed),
        )
    if failed:
        raise GateError(_sentence(context, failed, account))


def _sentence(context: StageContext, failed: Rows, account: Conservation) -> str:
    if account.problems:
        return f"the rows do not add up: {account.problems[0]}"
    first = failed[0]
    where = first["table_name"] + (f".{first['column_name']}" if first["column_name"] else "")
    return (
        f"{len(failed)} critical data-quality expectations failed, first {first['expectation']} on {where}; "
        f"see the table checks in {context.record.folder(CHECKS)}"
    )


def conservation(context: StageContext) -> Conservation:
    """The account of the run, counted from its tables."""
    images = context.read_arrow(IMAGES, ["image_id", "status", "reason", "n_faces"])
    faces = context.read_arrow(FACES, ["face_id"])
    clusters = context.read_arrow(CLUSTERS, ["face_id", "role"])
    outcomes = {(r["status"], r["reason"]): r["count_all"] for r in _counts(images, ["status", "reason"])}
    roles = {r["role"]: r["count_all"] for r in _counts(clusters, ["role"])}
    keys = (images.column("image_id"), faces.column("face_id"), clusters.column("face_id"))
    repeated = sum(len(k) - len(k.unique()) for k in keys)
    n_faces = pc.sum(images.column("n_faces")).as_py() or 0
    return conserve(context.record.stages["extract"]["listed"], outcomes, n_faces, len(faces), roles, repeated)


def _counts(rows: pa.Table, columns: list[str]) -> Rows:
    counted: Rows = rows.group_by(columns).aggregate([([], "count_all")]).to_pylist()
    return counted


def _conservation_row(account: Conservation) -> dict[str, Any]:
    return {
        "suite": "run",
        "table_name": "images",
        "column_name": None,
        "expectation": "rows_add_up",
        "severity": "critical",
        "success": account.balanced,
        "observed": f"listed {account.listed} = ok {account.ok} + rejected {sum(account.rejected.values())}",
        "n_unexpected": None,
        "unexpected_rate": None,
    }


def _rows_schema() -> pa.Schema:
    schema = arrow_schema(CHECKS)
    return pa.schema([field for field in schema if field.name != "run_id"])


def _check_table(context: StageContext, table: Table) -> Iterator[dict[str, Any]]:
    if context.record.rows(table) < DRIVER_ROWS:
        yield from run_suite(table, suite(table), context.read_arrow(table).drop_columns(["run_id"]))
        return
    frame = context.read(table)
    frame = frame.select(*[c for c in frame.columns if c != "run_id"]).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        with context.job(f"check {table.name}", 1):
            yield from run_suite(table, suite(table), frame)
    finally:
        frame.unpersist()
