"""Export on Spark: each task reads the chips of one shard and writes its faces of every split."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark import Broadcast

from facelib.embeddings.embed import CHIP_COLUMNS
from facelib.errors import ConfigError
from facelib.ids import face_id
from facelib.reports.labels import SUBJECT
from facelib.reports.units import values_by_image
from facelib.spark.context import StageContext
from facelib.spark.tables import Place, to_parquet
from facelib.spark.tasks import Batches, map_items
from facelib.storage import open_store
from facelib.training.export import Selection, select_faces, training_table
from schemas.contract import Table
from schemas.tables import CLUSTERS, IMAGES, LABELS

_WRITTEN = "split string, rows long"


def export_stage(context: StageContext, target: Place, split_by: str, attributes: tuple[str, ...]) -> dict[str, Any]:
    """Write `<target>/<split>/<shard>.parquet`; returns faces per split, identities, and what the weights come to.

    Exact duplicates and noise are left out. ConfigError when the target holds Parquet files already, or an
    attribute is not among the run's labels.
    """
    if any(o.key.endswith(".parquet") for o in open_store(target.uri, target.settings).list("train/")):
        raise ConfigError(f"{target.uri} already holds a training set: give --to a new folder")
    chosen = _chosen(context, split_by, attributes)
    table = training_table(attributes)
    shared = context.spark.sparkContext.broadcast(chosen.faces)
    shards = context.record.shards
    with context.job(f"export {len(shards)} shards", len(shards)):
        task = _task(shared, table, context.place, target)
        written = map_items(context.spark, shards, task, _WRITTEN).collect()
    shared.destroy()
    rows: dict[str, int] = {}
    for result in written:
        rows[result["split"]] = rows.get(result["split"], 0) + result["rows"]
    return {
        "faces": rows,
        "identities": len(chosen.faces.column("identity").unique()),
        **_weight_facts(context, chosen),
    }


def _weight_facts(context: StageContext, chosen: Selection) -> dict[str, Any]:
    """What the weights aim at and come to; `shortfall` says in words what they cannot reach, or is None."""
    given = chosen.weights.given
    effective = given.effective_sample_size
    return {
        "weight_target": context.config.audit.plan_target,
        "weight_cap": context.config.export.weight_cap,
        "largest_weight": round(float(given.weights.max()), 3),
        "effective_sample_size": None if effective is None else round(effective, 1),
        "shortfall": chosen.weights.shortfall,
    }


def _chosen(context: StageContext, split_by: str, attributes: tuple[str, ...]) -> Selection:
    images = context.read_arrow(IMAGES, ["image_id", "duplicate_of"])
    originals = images.filter(pc.is_null(images.column("duplicate_of"))).column("image_id")
    clusters = context.read_arrow(CLUSTERS, ["face_id", "image_id", "cluster_id", "role"])
    clusters = clusters.filter(pc.is_in(clusters.column("image_id"), value_set=originals.combine_chunks()))
    clusters = clusters.filter(pc.is_valid(clusters.column("cluster_id")))
    labels = context.read_arrow(LABELS)
    known = set(labels.column("attribute").to_pylist())
    for name in (*attributes, *((SUBJECT,) if split_by == SUBJECT else ())):
        if name not in known:
            raise ConfigError(f"run {context.record.run_id} has no labels for {name}: it has {sorted(known)}")
    by_image = values_by_image(labels, [*attributes, SUBJECT])
    by_face = {a: {face_id(i, 0): v for i, v in values.items()} for a, values in by_image.items()}
    pairs = zip(clusters.column("face_id").to_pylist(), clusters.column("cluster_id").to_pylist(), strict=True)
    identity = by_face[SUBJECT] if split_by == SUBJECT else dict(pairs)
    config = context.config
    return select_faces(clusters, identity, {a: by_face[a] for a in attributes}, config.export, config.audit)


def _task(shared: Broadcast[pa.Table], table: Table, source: Place, target: Place) -> Callable[[str], Batches]:
    def run(key: str) -> Batches:
        store, out = open_store(source.uri, source.settings), open_store(target.uri, target.settings)
        rows = _with_chips(pq.read_table(io.BytesIO(store.get(key)), columns=CHIP_COLUMNS), shared.value)
        for split in rows.column("split").unique().to_pylist():
            part = rows.filter(pc.equal(rows.column("split"), split))
            out.put(f"{split}/{key.rsplit('/', 1)[1]}", to_parquet(part, table))
            yield pa.RecordBatch.from_pydict({"split": [split], "rows": [len(part)]})

    return run


def _with_chips(stored: pa.Table, chosen: pa.Table) -> pa.Table:
    stored = stored.filter(pc.is_valid(stored.column("face_index")))
    pairs = zip(stored.column("image_id").to_pylist(), stored.column("face_index").to_pylist(), strict=True)
    position = pc.index_in(
        pa.array([face_id(i, n) for i, n in pairs], pa.string()), value_set=chosen.column("face_id").combine_chunks()
    )
    found = pc.is_valid(position)
    rows = chosen.take(position.filter(found))
    return rows.append_column("chip", stored.column("chip").filter(found))
