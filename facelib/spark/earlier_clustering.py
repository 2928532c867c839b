"""The clustering of a previous run, as far as new faces can be added to it."""

from __future__ import annotations

from dataclasses import asdict

from facelib.clusters.cohort import cohort_digest
from facelib.clusters.earlier import Earlier
from facelib.clusters.floor import FloorEstimate
from facelib.clusters.space import FloatArray
from facelib.spark.context import StageContext
from facelib.spark.run_record import RunRecord
from facelib.spark.tables import read_arrow
from schemas.tables import CLUSTERS, EDGES


def earlier_clustering(
    context: StageContext, previous: RunRecord | None, cohort: FloatArray | None = None
) -> Earlier | None:
    """What `previous` left, or null where it cannot be continued: no such run, other settings, another embedding
    model, another given `cohort`, or tables of an older version."""
    if previous is None or not _is_continuable(context, previous, cohort):
        return None
    columns = ["face_id", "cluster_id", "role", "weight", "is_cohort"]
    clusters = read_arrow(context.place, previous.files(CLUSTERS), CLUSTERS, columns)
    edges = read_arrow(context.place, previous.files(EDGES), EDGES, ["face_a", "face_b", "similarity"])
    facts = previous.stages["cluster"]
    floor = FloorEstimate(**{**facts["floor"], "trail": tuple(facts["floor"]["trail"])})
    return Earlier.of(clusters, edges, facts["cohort_distance"], floor)


def _is_continuable(context: StageContext, previous: RunRecord, cohort: FloatArray | None) -> bool:
    digest = None if cohort is None else cohort_digest(cohort)
    return (
        "cluster" in previous.stages
        and all(previous.tables.get(t.name, {}).get("version") == t.version for t in (CLUSTERS, EDGES))
        and previous.stages["cluster"].get("settings") == asdict(context.config.cluster)
        and previous.stages["cluster"].get("cohort_digest") == digest
        and previous.models.get("embedder") == context.record.models.get("embedder")
    )
