"""The units of the audit, counted: on the driver while that is cheaper, in tasks beyond."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as f

from facelib.audit.joint_counts import JointCounts
from facelib.reports.balance import joint_counts
from facelib.reports.labels import SUBJECT
from facelib.reports.losses import joint_losses
from facelib.reports.units import cluster_units, face_units, image_units, values_by_image
from facelib.spark.audit_frames import Categories, count_clusters, count_faces, count_images, image_codes
from facelib.spark.context import StageContext
from schemas.tables import CLUSTERS, FACES, IMAGES, LABELS

DRIVER_IMAGES = 200_000
"""Archives of up to so many images are counted on the driver, which takes less time than starting tasks."""
_LABELS = ["image_id", "attribute", "value"]
_IMAGES = ["image_id", "status", "reason", "n_faces"]
_FACES = ["image_id", "is_usable"]
_CLUSTERS = ["face_id", "image_id", "cluster_id", "role"]

Counted = tuple[JointCounts, dict[str, JointCounts]]


def label_values(context: StageContext) -> pa.Table:
    """Distinct values of each attribute of the run, subjects aside: a column each, in the order in which attributes
    appear, filled up with nulls."""
    labels = context.read(LABELS, ["attribute", "value"]).where(f.col("attribute") != SUBJECT)
    with context.job("values of labels", len(context.record.files(LABELS))):
        found = (
            labels.withColumn("at", f.monotonically_increasing_id())
            .groupBy("attribute")
            .agg(f.min("at").alias("at"), f.collect_set("value").alias("values"))
            .sort("at")
            .collect()
        )
    longest = max((len(row["values"]) for row in found), default=0)
    padded = {row["attribute"]: [*row["values"], *[None] * (longest - len(row["values"]))] for row in found}
    return pa.table({name: pa.array(values, pa.string()) for name, values in padded.items()})


def audit_units(context: StageContext, categories: Categories) -> Counted:
    """The listed images by attributes and by the stages they passed (`reports.losses.PASSED`), and images, faces and
    clusters by attributes."""
    if context.record.tables[IMAGES.name]["rows"] <= DRIVER_IMAGES:
        return _on_driver(context, categories)
    return _in_tasks(context, categories)


def _on_driver(context: StageContext, categories: Categories) -> Counted:
    attributes = list(categories)
    values = values_by_image(context.read_arrow(LABELS, _LABELS), attributes)
    images, clusters = context.read_arrow(IMAGES, _IMAGES), context.read_arrow(CLUSTERS, _CLUSTERS)
    faces, owners, names = (clusters.column(c).to_pylist() for c in ("face_id", "image_id", "cluster_id"))
    units = {
        "image": image_units(images.column("image_id").to_pylist(), values),
        "face": face_units(faces, owners, values),
        "cluster": cluster_units(faces, owners, names, values),
    }
    usable = context.read_arrow(FACES, _FACES)
    outcomes = images
    for name, rows in (
        ("n_usable", usable.filter(usable.column("is_usable"))),
        ("n_clustered", clusters.filter(pc.not_equal(clusters.column("role"), "noise"))),
    ):
        outcomes = outcomes.append_column(name, _rows_per_image(images, rows))
    for name in attributes:
        outcomes = outcomes.append_column(name, units["image"].column(name))
    counted = joint_losses(outcomes, attributes, categories)
    return counted, {
        "image": counted.of(*attributes),
        "face": joint_counts(units["face"], attributes, categories),
        "cluster": joint_counts(units["cluster"], attributes, categories),
    }


def _rows_per_image(images: pa.Table, rows: pa.Table) -> pa.Array:
    counts = pc.value_counts(rows.column("image_id"))
    at = pc.index_in(images.column("image_id"), value_set=counts.field("values"))
    return counts.field("counts").take(at.combine_chunks())


def _in_tasks(context: StageContext, categories: Categories) -> Counted:
    codes = image_codes(context.read(LABELS, _LABELS), categories)
    clusters = context.read(CLUSTERS, _CLUSTERS)
    codes.persist()
    try:
        with context.job("count images, faces and clusters by group", len(context.record.files(IMAGES))):
            listed, faces = context.read(IMAGES, _IMAGES), context.read(FACES, _FACES)
            images = count_images(listed, faces, clusters, codes, categories)
            if not categories:
                return images, {}
            return images, {
                "image": images.of(*categories),
                "face": count_faces(clusters, codes, categories),
                "cluster": count_clusters(clusters, codes, categories),
            }
    finally:
        codes.unpersist()
