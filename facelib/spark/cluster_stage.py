"""Clustering on Spark: the faces of the run, what is known of them, and the tables that come of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facelib.clusters import guards
from facelib.clusters.assign import Assignment, assign
from facelib.clusters.copies import copies
from facelib.clusters.lineage import inherit_ids
from facelib.clusters.links import same_face_groups
from facelib.clusters.sorted_faces import Known
from facelib.clusters.space import FloatArray, IntArray
from facelib.embeddings.embed import vectors_of
from facelib.errors import ConfigError
from facelib.reports.labels import SUBJECT
from facelib.spark.cluster_inputs import ClusterInputs
from facelib.spark.context import StageContext
from facelib.spark.earlier_clustering import earlier_clustering
from facelib.spark.embed_stage import embedding_keys
from facelib.spark.group_curves import curve
from facelib.spark.tables import read_arrow, read_frame
from facelib.spark.task_engine import TaskEngine
from facelib.spark.types import spark_schema
from facelib.storage import ObjectStore
from schemas.arrow import arrow_schema
from schemas.tables import CLUSTER_LINEAGE, CLUSTERS, EDGES, EMBEDDINGS, FACES, IMAGES, LABELS, THRESHOLD_CURVE

_SCRATCH = "scratch"
_LEFT_OVER = timedelta(days=2)
_FACE_COLUMNS = ["face_id", "image_id", "is_usable", "quality_score"]
_BOX_COLUMNS = ["box_x_px", "box_y_px", "box_width_px", "box_height_px"]
_IMAGE_COLUMNS = ["image_id", "uri", "content_sha256", "duplicate_of", "near_duplicate_group"]


def cluster_stage(context: StageContext, inputs: ClusterInputs | None = None) -> None:
    """Write `clusters`, `edges`, `cluster_lineage` and `threshold_curve` of the run from its faces and their
    embeddings. Labels, where the run has any, name the groups of `threshold_curve` and influence no cluster, unless
    `cluster.calibrate_on_subjects` asks for it."""
    given = inputs or ClusterInputs()
    with context.stage("cluster") as facts:
        faces, embeddings = _faces_with_embeddings(context)
        known = _known(context, given, faces, embeddings)
        ids, images = (faces.column(c).to_pylist() for c in ("face_id", "image_id"))
        usable = faces.column("is_usable").to_numpy(zero_copy_only=False)
        earlier = earlier_clustering(context, given.previous, given.cohort)
        with _engine(context) as engine:
            result = assign(
                ids, images, embeddings, usable, context.config.cluster, known, engine, earlier, given.cohort
            )
            facts["cpu_seconds"] = round(engine.cpu_seconds, 3)
        clusters, lineage = _with_stable_ids(context, given, result)
        context.write_arrow(clusters, CLUSTERS)
        context.write_arrow(result.edges, EDGES)
        context.write_arrow(lineage, CLUSTER_LINEAGE)
        context.write_arrow(curve(context, faces.column("face_id"), embeddings, result), THRESHOLD_CURVE)
        summary = asdict(result.summary)
        facts.update({name.removeprefix("n_"): value for name, value in summary.items()})
        facts["settings"] = asdict(context.config.cluster)
        facts["previous_run"] = given.previous.run_id if given.previous else None


@contextmanager
def _engine(context: StageContext) -> Iterator[TaskEngine]:
    _remove_leftovers(context.store)
    engine = TaskEngine(context.spark, context.place, f"{_SCRATCH}/{context.record.run_id}", context.job)
    try:
        yield engine
    finally:
        engine.close()


def _remove_leftovers(store: ObjectStore) -> None:
    """What drivers that were killed left behind."""
    before = datetime.now(UTC) - _LEFT_OVER
    for stored in list(store.list(f"{_SCRATCH}/")):
        if stored.modified_at < before:
            store.delete(stored.key)


def _faces_with_embeddings(context: StageContext) -> tuple[pa.Table, FloatArray]:
    """The run's faces with what their image says and their `content`, by which they are sorted: the digest of the
    image's bytes and the index in it. And their embeddings in that order."""
    columns = ["face_id", "embedding"]
    stored = read_frame(
        context.spark, context.place, embedding_keys(context), columns, spark_schema(EMBEDDINGS, columns)
    )
    with context.job("read embeddings", len(context.record.shards)):
        vectors = stored.toArrow()
    images = context.read_arrow(IMAGES, _IMAGE_COLUMNS)
    faces = context.read_arrow(FACES, [*_FACE_COLUMNS, *_BOX_COLUMNS])
    row = pc.index_in(faces.column("image_id"), value_set=images.column("image_id"))
    for column in _IMAGE_COLUMNS[1:]:
        faces = faces.append_column(column, images.column(column).take(row))
    index = pc.list_element(pc.split_pattern(faces.column("face_id"), "-", max_splits=1, reverse=True), 1)
    content = pc.binary_join_element_wise(faces.column("content_sha256"), pc.utf8_lpad(index, 6, "0"), "-")
    faces = faces.append_column("face_index", index.cast(pa.int64())).append_column("content", content)
    faces = faces.sort_by([("content", "ascending"), ("face_id", "ascending")])
    position = pc.index_in(faces.column("face_id"), value_set=vectors.column("face_id"))
    if position.null_count:
        raise ValueError(f"{position.null_count} faces have no embedding: run the stage embed again")
    matrix = vectors_of(vectors.column("embedding"))
    return faces, matrix[position.to_numpy()]


def _known(context: StageContext, inputs: ClusterInputs, faces: pa.Table, embeddings: FloatArray) -> Known:
    images = faces.column("image_id").to_pylist()
    index = faces.column("face_index").to_numpy()
    boxes = np.stack([faces.column(c).to_numpy() for c in _BOX_COLUMNS], axis=1)
    must, cannot = inputs.pairs(faces, context.record.arguments.get("root", ""))
    return Known(
        copies(
            images,
            index,
            faces.column("duplicate_of").to_pylist(),
            faces.column("near_duplicate_group").to_pylist(),
            faces.column("quality_score").to_numpy(),
            embeddings,
            context.config.cluster.seed,
        ),
        same_face_groups(np.array(images, dtype=np.str_), boxes),
        cannot,
        must,
        _subjects(context, images, index) if context.config.cluster.calibrate_on_subjects else None,
        faces.column("content").to_pylist(),
    )


def _subjects(context: StageContext, image_ids: list[str], face_index: IntArray) -> IntArray:
    """Number of the verified subject of each face, -1 where unknown; a label belongs to the image's main face."""
    if LABELS.name not in context.record.tables:
        raise ConfigError(
            "cluster.calibrate_on_subjects needs labels before clusters: use facelib run with --labels and --subject"
        )
    labels = context.read_arrow(LABELS, ["image_id", "attribute", "value"])
    rows = labels.filter(pc.equal(labels.column("attribute"), SUBJECT)).drop_null()
    if not len(rows):
        raise ConfigError("cluster.calibrate_on_subjects needs subjects: give --labels with --subject")
    number = {name: i for i, name in enumerate(sorted(set(rows.column("value").to_pylist())))}
    of_image = dict(zip(*(rows.column(c).to_pylist() for c in ("image_id", "value")), strict=True))
    known = [of_image.get(image) if i == 0 else None for image, i in zip(image_ids, face_index.tolist(), strict=True)]
    return np.array([-1 if name is None else number[name] for name in known], np.int64)


def _with_stable_ids(context: StageContext, inputs: ClusterInputs, result: Assignment) -> tuple[pa.Table, pa.Table]:
    """Clusters with the ids of the previous run where they go on, and the lineage; empty without a previous run."""
    if inputs.previous is None or CLUSTERS.name not in inputs.previous.tables:
        empty = arrow_schema(CLUSTER_LINEAGE).empty_table()
        return result.clusters, empty.drop_columns(["run_id"])
    keys = inputs.previous.files(CLUSTERS)
    before = read_arrow(context.place, keys, CLUSTERS, ["face_id", "cluster_id"])
    guards.check_against_previous(
        len(result.clusters),
        result.summary.n_clusters,
        len(before),
        pc.count_distinct(before.column("cluster_id")).as_py(),
        context.config.cluster,
    )
    inherited = inherit_ids(result.clusters, before)
    return inherited.clusters, inherited.lineage
