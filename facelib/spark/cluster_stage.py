"""Clustering on Spark: exact neighbours by row blocks in tasks, the graph on the driver."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import Broadcast

from facelib.clusters.assign import Neighbourhood, assign, graph_order
from facelib.clusters.neighbours import empty_histogram, knn_block, normalise, symmetric_union
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import FloatArray
from facelib.embeddings.embed import vectors_of
from facelib.spark.context import StageContext
from facelib.spark.embed_stage import embedding_keys
from facelib.spark.tables import read_frame
from facelib.spark.tasks import Batches, map_items
from facelib.spark.types import spark_schema
from schemas.tables import CLUSTERS, EDGES, EMBEDDINGS, FACES

_BLOCK = "first long, indices binary, cosine binary, histogram binary, cpu_seconds double"
_BLOCKS_PER_CORE = 4
_MIN_BLOCK_ROWS = 256


def cluster_stage(context: StageContext) -> None:
    """Write `clusters` and `edges` of the run from its faces and their embeddings. No label is read."""
    with context.stage("cluster") as facts:
        faces, embeddings = _faces_with_embeddings(context)
        ids, images = (faces.column(c).to_pylist() for c in ("face_id", "image_id"))
        usable = faces.column("is_usable").to_numpy(zero_copy_only=False)
        settings = context.config.cluster
        core = normalise(embeddings)[graph_order(ids, usable)]
        around, cpu_seconds = _neighbourhood(context, core, settings)
        result = assign(ids, images, embeddings, usable, settings, around)
        context.write_arrow(result.clusters, CLUSTERS)
        context.write_arrow(result.edges, EDGES)
        summary = asdict(result.summary)
        facts.update({name.removeprefix("n_"): value for name, value in summary.items()})
        facts["cpu_seconds"] = round(cpu_seconds, 3)


def _faces_with_embeddings(context: StageContext) -> tuple[pa.Table, FloatArray]:
    """face_id, image_id and is_usable of the run's faces by face_id, and their embeddings in that order."""
    columns = ["face_id", "embedding"]
    stored = read_frame(
        context.spark, context.place, embedding_keys(context), columns, spark_schema(EMBEDDINGS, columns)
    )
    with context.job("read embeddings", len(context.record.shards)):
        vectors = stored.toArrow()
    faces = context.read_arrow(FACES, ["face_id", "image_id", "is_usable"]).sort_by("face_id")
    position = pc.index_in(faces.column("face_id"), value_set=vectors.column("face_id"))
    if position.null_count:
        raise ValueError(f"{position.null_count} faces have no embedding: run the stage embed again")
    matrix = vectors_of(vectors.column("embedding"))
    return faces, matrix[position.to_numpy()]


def _neighbourhood(
    context: StageContext, core: FloatArray, settings: ClusterSettings
) -> tuple[Neighbourhood | None, float]:
    """The tiled pass over `core` in row blocks, one per task; and the CPU seconds of the tasks."""
    if len(core) < 2:
        return None, 0.0
    spark = context.spark
    parallel = spark.sparkContext.defaultParallelism
    rows = max(_MIN_BLOCK_ROWS, -(-len(core) // (_BLOCKS_PER_CORE * parallel)))
    firsts = range(0, len(core), rows)
    shared = spark.sparkContext.broadcast(core)
    with context.job(f"neighbours of {len(core)} faces", len(firsts)):
        found = map_items(spark, firsts, _block_task(shared, rows, settings), _BLOCK).collect()
    shared.destroy()
    found.sort(key=lambda block: int(block["first"]))
    kept = min(settings.neighbours, len(core) - 1)
    indices = np.concatenate([np.frombuffer(b["indices"], np.int64) for b in found]).reshape(-1, kept)
    cosine = np.concatenate([np.frombuffer(b["cosine"], np.float32) for b in found]).reshape(-1, kept)
    histogram = sum((np.frombuffer(b["histogram"], np.float64) for b in found), start=empty_histogram())
    return Neighbourhood(symmetric_union(indices, cosine), histogram), sum(b["cpu_seconds"] for b in found)


def _block_task(shared: Broadcast[FloatArray], rows: int, settings: ClusterSettings) -> Callable[[int], Batches]:
    def run(first: int) -> Batches:
        begun = time.process_time()
        core, histogram = shared.value, empty_histogram()
        block = core[first : first + rows]
        indices, cosine = knn_block(block, core, settings.neighbours, first, tile=settings.tile, histogram=histogram)
        yield pa.RecordBatch.from_pydict(
            {
                "first": [first],
                "indices": [indices.astype(np.int64).tobytes()],
                "cosine": [cosine.astype(np.float32).tobytes()],
                "histogram": [histogram.tobytes()],
                "cpu_seconds": [time.process_time() - begun],
            }
        )

    return run
