"""The clustering of a previous run, as far as new faces can be added to it."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pyarrow.compute as pc

from facelib.clusters.cluster_tables import CORE
from facelib.clusters.earlier import Earlier
from facelib.clusters.floor import FloorEstimate
from facelib.clusters.neighbours import unique_edges
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
    core = clusters.filter(pc.equal(clusters.column("role"), CORE)).sort_by("face_id")
    ids = core.column("face_id")
    edges = read_arrow(context.place, previous.files(EDGES), EDGES, ["face_a", "face_b", "similarity"])
    a, b = (pc.index_in(edges.column(c), value_set=ids).to_numpy().astype(np.int64) for c in ("face_a", "face_b"))
    names = core.column("cluster_id")
    facts = previous.stages["cluster"]
    return Earlier(
        ids.to_pylist(),
        pc.index_in(names, value_set=names.unique()).to_numpy().astype(np.int64),
        core.column("weight").to_numpy(),
        core.column("is_cohort").to_numpy(),
        facts["cohort_distance"],
        unique_edges(a, b, edges.column("similarity").to_numpy()),
        FloorEstimate(**{**facts["floor"], "trail": tuple(facts["floor"]["trail"])}),
    )


def _is_continuable(context: StageContext, previous: RunRecord) -> bool:
    return (
        "cluster" in previous.stages
        and all(previous.tables.get(t.name, {}).get("version") == t.version for t in (CLUSTERS, EDGES))
        and previous.stages["cluster"].get("settings") == asdict(context.config.cluster)
        and previous.models.get("embedder") == context.record.models.get("embedder")
    )
