"""The clustering of a previous run, as far as new faces can be added to it."""

from __future__ import annotations

from dataclasses import asdict

from facelib.clusters.earlier import Earlier
from facelib.clusters.floor import FloorEstimate
from facelib.spark.context import StageContext
from facelib.spark.run_record import RunRecord
from facelib.spark.tables import read_arrow
from schemas.tables import CLUSTERS, EDGES


def earlier_clustering(context: StageContext, previous: RunRecord | None) -> Earlier | None:
    """What `previous` left, or null where it cannot be continued: no such run, other settings, another embedding
    model, or tables of an older version."""
    if previous is None or not _is_continuable(context, previous):
        return None
    columns = ["face_id", "cluster_id", "role", "weight", "is_cohort"]
    clusters = read_arrow(context.place, previous.files(CLUSTERS), CLUSTERS, columns)
    edges = read_arrow(context.place, previous.files(EDGES), EDGES, ["face_a", "face_b", "similarity"])
    facts = previous.stages["cluster"]
    floor = FloorEstimate(**{**facts["floor"], "trail": tuple(facts["floor"]["trail"])})
    return Earlier.of(clusters, edges, facts["cohort_distance"], floor)


def _is_continuable(context: StageContext, previous: RunRecord) -> bool:
    return (
        "cluster" in previous.stages
        and all(previous.tables.get(t.name, {}).get("version") == t.version for t in (CLUSTERS, EDGES))
        and previous.stages["cluster"].get("settings") == asdict(context.config.cluster)
        and previous.models.get("embedder") == context.record.models.get("embedder")
    )
