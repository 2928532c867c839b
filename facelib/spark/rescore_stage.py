"""The faces of an earlier run, scored and decided anew. No image is listed or read."""

from __future__ import annotations

from pyspark.sql import functions as f

from facelib.spark.context import StageContext
from facelib.spark.extract_stage import write_faces
from facelib.spark.run_record import RunRecord
from schemas.tables import IMAGES, LABELS


def rescore_stage(context: StageContext, earlier: RunRecord) -> None:
    """Write `images` and `labels` as the earlier run had them, and `faces` by this run's settings."""
    context.record.shards, context.record.models = earlier.shards, dict(earlier.models)
    context.record.stages["extract"] = {
        "listed": earlier.stages["extract"]["listed"],
        "shards": len(earlier.shards),
        "shards_computed": 0,
        "images_read": 0,
    }
    before = StageContext(context.spark, context.config, context.place, earlier)
    with context.stage("rescore") as facts:
        for table in (IMAGES, LABELS):
            rows = before.read(table).withColumn("run_id", f.lit(context.record.run_id))
            facts[table.name] = context.write(rows, table, earlier.rows(table))
        images = context.read(IMAGES, ["image_id", "shard"])
        facts["faces"] = write_faces(context, images, facts["images"])
