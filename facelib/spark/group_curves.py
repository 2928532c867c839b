"""The threshold curve of a run with the rates of its labelled groups."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from facelib.audit.group_tails import group_rates, sampled
from facelib.clusters.assign import Assignment
from facelib.clusters.neighbours import normalise
from facelib.clusters.space import FloatArray, Space
from facelib.reports.declared import declared_categories
from facelib.reports.labels import SUBJECT
from facelib.reports.threshold_curve import FaceGroup, GroupCurve, face_groups, similarities, threshold_curve
from facelib.reports.units import face_units, image_units, values_by_image
from facelib.spark.context import StageContext
from schemas.tables import LABELS


def curve(context: StageContext, face_ids: pa.ChunkedArray, embeddings: FloatArray, result: Assignment) -> pa.Table:
    """The contract `threshold_curve` without run_id; `embeddings` are those of `face_ids`.

    A group's rates are estimated from its core faces. Without labels there are no groups.
    """
    core = result.clusters.filter(pc.equal(result.clusters.column("role"), "core"))
    row_of_core = pc.index_in(core.column("face_id"), value_set=face_ids.combine_chunks()).to_numpy()
    cluster = pc.dictionary_encode(core.column("cluster_id")).combine_chunks().indices.to_numpy()
    weight = core.column("weight").to_numpy()
    floor, min_cell = result.summary.floor, context.config.audit.min_cell
    points, seed = similarities(floor), context.config.cluster.seed

    def estimated(group: FaceGroup) -> GroupCurve:
        rates = None
        if len(group.rows) >= min_cell:
            rows = sampled(group.rows, seed)
            space = Space.corrected(normalise(embeddings[row_of_core[rows]]), weight[rows])
            rates = group_rates(space, cluster[rows], floor, points, seed)
        return GroupCurve(group.attributes, group.groups, len(group.rows), rates)

    return threshold_curve(floor, result.evidence, map(estimated, _groups(context, core)), min_cell)


def _groups(context: StageContext, core: pa.Table) -> Iterator[FaceGroup]:
    """The groups that the run's labels name, subjects aside, with their rows among the core faces."""
    if LABELS.name not in context.record.tables:
        return
    labels = context.read_arrow(LABELS)
    attributes = [a for a in labels.column("attribute").unique().to_pylist() if a != SUBJECT]
    if not attributes:
        return
    values = values_by_image(labels, attributes)
    labelled = image_units(labels.column("image_id").unique().to_pylist(), values)
    categories = declared_categories(labelled, context.config.audit.categories, context.config.audit.edges)
    faces, images = (core.column(c).to_pylist() for c in ("face_id", "image_id"))
    yield from face_groups(face_units(faces, images, values), categories)
