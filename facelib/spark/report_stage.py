"""The report of a run, `runs/<run_id>/report.html`, and the documents beside it, made without a Spark job."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facelib.audit.settings import NUISANCES
from facelib.config import config_dict
from facelib.errors import ConfigError
from facelib.reports.cluster_sizes import cluster_sizes, images_per_cluster
from facelib.reports.html.chapter import ReportInput, RunFacts
from facelib.reports.html.page import report_page
from facelib.reports.measures_by_group import (
    CLUSTER_MEASURES,
    FACE_COLUMNS,
    IMAGE_COLUMNS,
    chosen_measures,
    face_measures,
    measures_by_group,
)
from facelib.reports.units import cluster_units, image_units, values_by_image
from facelib.spark.context import StageContext
from facelib.spark.evaluation import FinishedRun
from facelib.spark.pipeline_config import PipelineConfig
from facelib.spark.run_documents import RunDocuments
from facelib.spark.run_record import RunRecord
from schemas.audit_tables import ASSOCIATIONS, BALANCE, BALANCE_SUMMARY, LOSSES
from schemas.contract import Table
from schemas.error_tables import ERROR_RATES, ERROR_SUMMARY
from schemas.label_tables import LABEL_MISSINGNESS, PREDICTED_SHARES
from schemas.plan_tables import SAMPLING_PLAN, SAMPLING_PLAN_SUMMARY
from schemas.tables import CHECKS, CLUSTERS, FACES, IMAGES, LABELS, THRESHOLD_CURVE

SHOWN_TABLES = (
    BALANCE,
    BALANCE_SUMMARY,
    ASSOCIATIONS,
    LOSSES,
    THRESHOLD_CURVE,
    ERROR_RATES,
    ERROR_SUMMARY,
    PREDICTED_SHARES,
    LABEL_MISSINGNESS,
    SAMPLING_PLAN,
    SAMPLING_PLAN_SUMMARY,
    CHECKS,
)
"""Tables that the report shows as they are; those a run lacks are left out."""
_MACHINES = ("storage", "spark")
"""Sections of the configuration that bear on no result."""


def report_key(record: RunRecord) -> str:
    """Where the store keeps the report of a run."""
    return f"runs/{record.run_id}/report.html"


def report_stage(context: StageContext) -> None:
    """Write the report of a run that has passed its checks, and the documents beside it."""
    with context.stage("report") as facts:
        run = FinishedRun(context.store, context.place, context.record)
        data = report_input(run)
        page = report_page(data).encode()
        context.store.put(report_key(context.record), page)
        facts["bytes"] = len(page)
        for name, text in RunDocuments.of(run, data).files().items():
            context.store.put(f"runs/{context.record.run_id}/{name}", text.encode())


def run_report(run: FinishedRun, form: str = "html") -> str:
    """The report of a run, `croissant` or `datasheet`, always the same for the same run and version of facelib.

    ConfigError when the run was not checked yet, so that its rows are not accounted for.
    """
    data = report_input(run)
    if form == "html":
        return report_page(data)
    documents = RunDocuments.of(run, data)
    return documents.croissant() if form == "croissant" else documents.datasheet()


def report_input(run: FinishedRun) -> ReportInput:
    """What the report is made from."""
    tables = {table.name: _whole(run, table) for table in SHOWN_TABLES if table.name in run.record.tables}
    attributes = list(dict.fromkeys(a for names in _column(tables, "attributes") for a in names))
    return ReportInput(tables | _aggregated(run, tables, attributes), run_facts(run.record))


def run_facts(record: RunRecord) -> RunFacts:
    """What the report says about the run; ConfigError when it was not checked yet."""
    if not record.conservation:
        raise ConfigError(f"run {record.run_id} has not been checked yet: run facelib check first")
    cohort = record.stages.get("cluster", {}).get("cohort_digest")
    defaults = json.loads(json.dumps(config_dict(PipelineConfig())))
    return RunFacts(
        run_id=record.run_id,
        started_at=record.started_at,
        versions=record.versions,
        models=record.models | ({"given cohort": cohort} if cohort else {}),
        settings=tuple(_changed(json.loads(json.dumps(record.config)), defaults)),
        audit=defaults["audit"] | record.config["audit"],
        account=record.conservation,
        stages=record.stages,
    )


def _changed(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and default of every setting that differs; of paths only the name."""
    changed = []
    for section, keys in config.items():
        for key, value in keys.items() if section not in _MACHINES else ():
            default = defaults.get(section, {}).get(key)
            if value != default:
                shown = PurePath(value).name if key.endswith("_path") else json.dumps(value, ensure_ascii=False)
                changed.append((f"{section}.{key}", shown, json.dumps(default, ensure_ascii=False)))
    return changed


def _whole(run: FinishedRun, table: Table) -> pa.Table:
    """A table as it was written, under whatever version of its contract."""
    parts = [pq.read_table(io.BytesIO(run.store.get(key))) for key in run.record.files(table)]
    return pa.concat_tables(parts)


def _column(tables: Mapping[str, pa.Table], name: str) -> list[Any]:
    """A column of the counts of `balance`."""
    if BALANCE.name not in tables:
        return []
    rows = tables[BALANCE.name]
    found: list[Any] = rows.filter(pc.equal(rows.column("estimator"), "count")).column(name).to_pylist()
    return found


def _aggregated(run: FinishedRun, tables: Mapping[str, pa.Table], attributes: Sequence[str]) -> dict[str, pa.Table]:
    """Images per identity, and measures by group, from the tables with a row per face."""
    members = run.read(CLUSTERS, ["face_id", "image_id", "cluster_id"])
    sizes = images_per_cluster(members)
    min_cell = int(run.record.config["audit"]["min_cell"])
    labels = run.read(LABELS, ["image_id", "attribute", "value"])
    labels = labels.filter(pc.is_in(labels.column("attribute"), value_set=pa.array(attributes, pa.string())))
    values = values_by_image(labels, attributes)
    categories = _categories(tables, attributes)
    main = run.main_faces(FACES, [name for name in FACE_COLUMNS if name != "image_id"])
    of_main = image_units(main.column("image_id").to_pylist(), values)
    faces = _beside(face_measures(main, run.read(IMAGES, IMAGE_COLUMNS)), of_main)
    chosen = chosen_measures(run.record.config["audit"].get("nuisances", NUISANCES))
    face_ids, image_ids, cluster_ids = (members.column(n).to_pylist() for n in ("face_id", "image_id", "cluster_id"))
    clusters = _beside(sizes, cluster_units(face_ids, image_ids, cluster_ids, values))
    return {
        "cluster_sizes": cluster_sizes(sizes.column("images").to_numpy(), min_cell),
        "measures_by_group": pa.concat_tables(
            [
                measures_by_group("face", faces, chosen, attributes, categories),
                measures_by_group("cluster", clusters, CLUSTER_MEASURES, attributes, categories),
            ]
        ),
    }


def _categories(tables: Mapping[str, pa.Table], attributes: Sequence[str]) -> dict[str, list[str]]:
    """Declared categories of every attribute in order, as `balance` lists them."""
    cells = list(zip(_column(tables, "attributes"), _column(tables, "groups"), strict=True))
    return {a: list(dict.fromkeys(g[0] for names, g in cells if names == [a] and g[0] is not None)) for a in attributes}


def _beside(measured: pa.Table, labels: pa.Table) -> pa.Table:
    for name in labels.column_names:
        measured = measured.append_column(name, labels.column(name))
    return measured
