"""The units of the audit, counted: on the driver while that is cheaper, in tasks beyond."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial, reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.sql import DataFrame

from facelib.audit.unit_counts import Names, UnitCounts
from facelib.reports import audit_units as on_driver
from facelib.reports.audit_units import AuditUnits
from facelib.reports.labels import SUBJECT
from facelib.spark.audit_frames import (
    EVENTS,
    Categories,
    cluster_events,
    count,
    face_events,
    image_events,
    label_events,
    unit_frame,
    vote,
)
from facelib.spark.context import StageContext
from facelib.spark.tables import RowFunction, read_frame
from schemas.contract import Table
from schemas.tables import CLUSTERS, FACES, IMAGES, LABELS

DRIVER_IMAGES = 200_000
"""Archives of up to so many images are counted on the driver, which takes less time than starting tasks."""
TASK_IMAGES = 200_000
"""Images whose units a task counts at once."""
_COUNTED = "file string, attribute string, value string, at long, images long"
_LABELS = ["image_id", "attribute", "value"]
_IMAGES = ["image_id", "status", "reason", "n_faces"]
_FACES = ["image_id", "is_usable"]
_CLUSTERS = ["face_id", "image_id", "cluster_id", "role"]


def label_counts(context: StageContext) -> dict[str, dict[str, int]]:
    """Images of every value of each attribute of the run, subjects aside; attributes in the order in which they
    appear, values sorted."""
    files = context.record.files(LABELS)
    with context.job("values of labels", len(files)):
        frame = read_frame(context.spark, context.place, files, _LABELS[1:], _COUNTED, _value_counts, "file")
        rows = sorted(frame.collect(), key=lambda row: (row["file"], row["at"]))
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        values = found.setdefault(row["attribute"], {})
        if row["value"] is not None:
            values[row["value"]] = values.get(row["value"], 0) + row["images"]
    return {attribute: dict(sorted(values.items())) for attribute, values in found.items()}


def _value_counts(labels: pa.Table) -> pa.Table:
    numbered = labels.append_column("at", pa.array(np.arange(labels.num_rows)))
    named = numbered.filter(pc.not_equal(numbered.column("attribute"), SUBJECT))
    counted = named.group_by(["file", "attribute", "value"], use_threads=False).aggregate(
        [("at", "min"), ("at", "count")]
    )
    names = ["file", "attribute", "value", "at_min", "at_count"]
    return counted.select(names).rename_columns(["file", "attribute", "value", "at", "images"])


def as_columns(values: Mapping[str, Iterable[str]]) -> pa.Table:
    """A column of strings per attribute, filled up with nulls."""
    listed = {name: list(found) for name, found in values.items()}
    longest = max(map(len, listed.values()), default=0)
    return pa.table({n: pa.array([*v, *[None] * (longest - len(v))], pa.string()) for n, v in listed.items()})


def audit_units(context: StageContext, categories: Categories, sets: Sequence[Names]) -> AuditUnits:
    """Images, faces, clusters and subjects by attributes, and the images lost."""
    if context.record.rows(IMAGES) > DRIVER_IMAGES:
        return _in_tasks(context, categories, sets)
    tables = ((IMAGES, _IMAGES), (FACES, _FACES), (CLUSTERS, _CLUSTERS), (LABELS, _LABELS))
    rows = [context.read_arrow(table, columns) for table, columns in tables]
    return on_driver.audit_units(rows[0], rows[1], rows[2], rows[3], categories, sets)


def _in_tasks(context: StageContext, categories: Categories, sets: Sequence[Names]) -> AuditUnits:
    record, tasks = context.record, 1 + context.record.rows(IMAGES) // TASK_IMAGES
    labelled = partial(label_events, categories=dict(categories))
    sources: list[tuple[Table, list[str], RowFunction]] = [
        (IMAGES, _IMAGES, image_events),
        (FACES, _FACES, face_events),
        (CLUSTERS, _CLUSTERS, cluster_events),
        (LABELS, _LABELS, labelled),
    ]
    frames = [
        read_frame(context.spark, context.place, record.files(table), columns, EVENTS, function)
        for table, columns, function in sources
        if record.files(table)
    ]
    units_frame = unit_frame(reduce(DataFrame.unionAll, frames), categories, tasks).persist(StorageLevel.DISK_ONLY)
    try:
        with context.job("count images, faces, clusters and subjects by group", 3 * tasks):
            images, faces, lost = count(units_frame, categories, sets, tasks)
            if not categories:
                return AuditUnits({}, lost)
            clusters, subjects = vote(units_frame, categories, tasks)
    finally:
        units_frame.unpersist()
    units = {"image": images, "face": faces, "cluster": UnitCounts(clusters.joint, {})}
    if subjects.joint.units:
        units["subject"] = UnitCounts(subjects.joint, {})
    return AuditUnits(units, lost, clusters.agreement)
