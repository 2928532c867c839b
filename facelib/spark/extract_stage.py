"""Extraction on Spark: list, pack, extract the shards that are missing, then the `images` and `faces` tables."""

from __future__ import annotations

import io
import time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from facelib.errors import AccessDeniedError
from facelib.faces.detectors import detector_digest
from facelib.faces.extract import extract, extract_id, has_retryable_failure, image_ids_with
from facelib.faces.face_rows import FACE_STORE_COLUMNS, face_rows
from facelib.faces.image_rows import RowSettings
from facelib.faces.landmarks import PREDICTOR_ID
from facelib.ids import digest
from facelib.images.shards import (
    INCOMPLETE,
    PLANNED,
    ListedImage,
    Shard,
    ShardPlan,
    ShardRow,
    ShardRows,
    plan_shards,
    planned_rows,
)
from facelib.isolation import peak_resident_bytes
from facelib.reasons import ImageReason
from facelib.spark.context import StageContext, log_event
from facelib.spark.duplicate_frames import duplicate_frame
from facelib.spark.listing import Listing
from facelib.spark.pipeline_config import PipelineConfig
from facelib.spark.tables import Place, read_frame, to_parquet
from facelib.spark.tasks import run_each
from facelib.spark.types import spark_schema
from facelib.spark.worker import extractor
from facelib.storage import Fetcher, ObjectStore, open_store
from schemas.tables import EXTRACTED, FACES, IMAGES

_SAMPLE_KEYS = 3
IMAGE_STORE_COLUMNS = [c.name for c in IMAGES if c.name in EXTRACTED.names]


def extract_stage(context: StageContext, listing: Listing) -> None:
    """Extract what no earlier run extracted; write `images` and `faces`; note the shards in the record."""
    config, store = context.config, context.store
    folder = f"store/extracted/{extract_id(RowSettings(config.decode, config.detect))}"
    context.record.models.update(
        detector=f"{config.detect.detector}-{detector_digest(config.detect)}", landmarks=PREDICTOR_ID
    )
    with context.stage("extract") as facts:
        plan = _plan(listing, store, folder, config)
        results = _run_shards(context, plan, folder)
        _check_access(results, listing, config)
        names = {r["shard"].removesuffix(INCOMPLETE): r["shard"] for r in results}
        used = sorted({names.get(s, s) for s in plan.names})
        context.record.shards = [f"{folder}/{name}.parquet" for name in used]
        facts.update(
            listed=listing.n,
            shards=len(used),
            shards_computed=len(results),
            images_read=sum(r["images"] for r in results),
            bytes_read=sum(r["bytes_read"] for r in results),
            cpu_seconds=round(sum(r["cpu_seconds"] for r in results), 3),
            worker_peak_mb=max((r["peak_bytes"] for r in results), default=0) // 2**20,
        )
    with context.stage("images") as facts:
        wanted = _wanted(context, listing, plan, names)
        outcomes = _outcomes(context, wanted).persist()
        facts["images"] = context.write(_images(context, outcomes), IMAGES, listing.n)
        outcomes.unpersist()
        facts["faces"] = write_faces(context, wanted, listing.n)


def _plan(listing: Listing, store: ObjectStore, folder: str, config: PipelineConfig) -> ShardPlan:
    keys = [o.key for o in store.list(f"{folder}/")]
    plans = sorted(key for key in keys if "/plans/" in key)
    earlier = [pq.read_table(io.BytesIO(store.get(key)), read_dictionary=["shard"]) for key in plans]
    planned = pa.concat_tables([PLANNED.empty_table(), *earlier])
    finished = {key.rsplit("/", 1)[1].removesuffix(".parquet") for key in keys if "/plans/" not in key}
    plan = plan_shards(listing.objects, planned, finished, folder, config.extract)
    new = [s for s in plan.todo if s.name in plan.is_new]
    if new:
        _save_plan(new, store, folder)
    log_event("planned", listed=listing.n, shards_todo=len(plan.todo), shards_new=len(new))
    return plan


def _save_plan(shards: list[Shard], store: ObjectStore, folder: str) -> None:
    sink = io.BytesIO()
    pq.write_table(planned_rows(shards), sink, compression="zstd")
    store.put(f"{folder}/plans/{digest(*(s.name for s in shards))}.parquet", sink.getvalue())


def _run_shards(context: StageContext, plan: ShardPlan, folder: str) -> list[dict[str, Any]]:
    if not plan.todo:
        return []
    rows = ShardRows(plan.todo)
    config, place = context.config, context.place
    with context.job(f"extract {len(rows)} shards", len(rows)):
        return run_each(context.spark, rows, lambda shard: _extract_shard(shard, config, place, folder))


def _check_access(results: list[dict[str, Any]], listing: Listing, config: PipelineConfig) -> None:
    denied = sum(r["n_denied"] for r in results)
    if denied > config.extract.max_denied_share * listing.n:
        samples = sorted(uri for r in results for uri in r["denied"])[:_SAMPLE_KEYS]
        raise AccessDeniedError(
            f"reading was denied for {denied} of {listing.n} objects, for example {', '.join(samples)}: give the "
            "executors credentials that may read them, or raise extract.max_denied_share"
        )


def _extract_shard(shard: ShardRow, config: PipelineConfig, place: Place, folder: str) -> dict[str, Any]:
    """What each task does: extract a shard, write its file, return its figures."""
    name, *columns = shard
    members = [ListedImage(*values) for values in zip(*columns, strict=True)]
    fetcher = Fetcher(config.storage)
    to_rows = extractor(RowSettings(config.decode, config.detect))
    begun, begun_inside = time.process_time(), to_rows.cpu_seconds
    sizes: list[int] = []

    def fetch(uri: str, etag: str) -> bytes:
        data: bytes = fetcher.fetch(uri, etag, config.decode.max_object_bytes)
        sizes.append(len(data))
        return data

    table = extract(members, fetch, to_rows, config.decode.max_object_bytes, config.extract.read_threads)
    name += INCOMPLETE if has_retryable_failure(table) else ""
    open_store(place.uri, place.settings).put(f"{folder}/{name}.parquet", to_parquet(table, EXTRACTED))
    denied = set(image_ids_with(table, ImageReason.ACCESS_DENIED))
    return {
        "shard": name,
        "images": len(members),
        "faces": len(table) - table.column("face_index").null_count,
        "n_denied": len(denied),
        "denied": sorted(m.uri for m in members if m.image_id in denied)[:_SAMPLE_KEYS],
        "bytes_read": sum(sizes),
        "cpu_seconds": time.process_time() - begun + to_rows.cpu_seconds - begun_inside,
        "peak_bytes": max(to_rows.peak_bytes, peak_resident_bytes()),
    }


def _wanted(context: StageContext, listing: Listing, plan: ShardPlan, names: dict[str, str]) -> DataFrame:
    """The listing with the shard file of each image."""
    files = pa.array([names.get(name, name) for name in plan.names], pa.string())
    rows = listing.objects.append_column("shard", files.take(pa.array(plan.shard_of)))
    return context.spark.createDataFrame(rows)


def _outcomes(context: StageContext, wanted: DataFrame) -> DataFrame:
    """The listing with what the shard files say of each image."""
    schema = spark_schema(EXTRACTED, IMAGE_STORE_COLUMNS).add("shard", "string")
    stored = read_frame(
        context.spark,
        context.place,
        context.record.shards,
        [*IMAGE_STORE_COLUMNS, "face_index"],
        schema,
        _one_row_per_image,
        "shard",
    )
    return wanted.join(stored, ["image_id", "shard"], "inner")


def _images(context: StageContext, outcomes: DataFrame) -> DataFrame:
    """Rows of `images`: the outcomes, which are read several times, and the duplicates among them."""
    duplicates = duplicate_frame(outcomes, context.config.duplicates)
    return outcomes.join(duplicates, "image_id", "left").withColumn("run_id", f.lit(context.record.run_id))


def _one_row_per_image(rows: pa.Table) -> pa.Table:
    first = rows.filter(pc.equal(pc.fill_null(rows.column("face_index"), 0), 0))
    return first.drop_columns(["face_index"])


def write_faces(context: StageContext, wanted: DataFrame, images: int) -> int:
    """Write `faces` from the store: measures as stored, scored and decided by the run's settings. Returns its rows.

    `wanted` has image_id and shard of each image of the run.
    """
    run_id, settings = context.record.run_id, context.config.quality
    schema = spark_schema(FACES).add("shard", "string")

    def make(rows: pa.Table) -> pa.Table:
        return face_rows(rows, run_id, settings).select([*FACES.names, "shard"])

    stored = read_frame(context.spark, context.place, context.record.shards, FACE_STORE_COLUMNS, schema, make, "shard")
    faces = stored.join(wanted.select("image_id", "shard"), ["image_id", "shard"], "left_semi")
    return context.write(faces, FACES, images)
