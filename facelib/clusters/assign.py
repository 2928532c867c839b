"""Every face's cluster and role, the accepted edges, and a summary that says how they came about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from facelib.clusters import guards
from facelib.clusters.attach import attach, centroid_space, centroids
from facelib.clusters.canary import recovery
from facelib.clusters.cluster_tables import clusters_table, edges_table
from facelib.clusters.communities import Constraints, communities
from facelib.clusters.components import first_seen
from facelib.clusters.earlier import Earlier, can_continue, continued
from facelib.clusters.engine import LOCAL, Engine
from facelib.clusters.evidence import Evidence
from facelib.clusters.floor import FloorEstimate
from facelib.clusters.graph_parts import Modules
from facelib.clusters.neighbours import Edges
from facelib.clusters.outside_links import links_between, obey_links
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.similarity_graph import Search, SimilarityGraph, similarity_graph, weigh
from facelib.clusters.sorted_faces import Known, SortedFaces
from facelib.clusters.space import FloatArray, IntArray, Space


@dataclass(frozen=True)
class ClusterSummary:
    """Counts of faces and clusters, and where the floor came from."""

    n_faces: int
    n_core: int
    n_attached: int
    n_noise: int
    n_copies: int
    """Attached or noise, as their original is."""
    n_clusters: int
    n_singletons: int
    """Clusters of one face, attached faces counted."""
    largest_cluster: int
    """Faces in the largest cluster, attached ones counted."""
    n_edges: int
    """Accepted edges: above the floor, between two images."""
    canary_f: float | None
    """Pairwise F of the synthetic identities; null in archives too small for them."""
    graph_parts: int
    """Parts in which the graph was clustered."""
    cut_floor: float | None
    """Floor at which components too large for a part were cut; null where none was."""
    cohort_distance: float | None
    """Distance 1 - cosine to the cohort in typical surroundings; null when similarities are plain cosines."""
    cohort_source: str | None
    """`archive` (drawn from it) or `given`; null when similarities are plain cosines."""
    cohort_digest: str | None
    """Digest of a given cohort's templates; null without one."""
    floor: FloorEstimate
    search: Search


@dataclass(frozen=True)
class Assignment:
    """Result of `assign`; both tables are ordered by their ids."""

    clusters: pa.Table
    """One row per face: the contract `clusters`, without run_id."""
    edges: pa.Table
    """face_a < face_b, similarity: one row per accepted edge."""
    summary: ClusterSummary
    evidence: Evidence
    """Similarities of pairs that are known without labels to be of two people, or of one."""


def assign(
    face_ids: Sequence[str],
    image_ids: Sequence[str],
    embeddings: npt.ArrayLike,
    is_usable: npt.ArrayLike,
    settings: ClusterSettings,
    known: Known | None = None,
    engine: Engine = LOCAL,
    earlier: Earlier | None = None,
    cohort: FloatArray | None = None,
) -> Assignment:
    """Cluster the faces of an archive.

    `embeddings` (n, d) of any length per row, one row per face; `is_usable` (n,) bool. Usable faces that are no copies
    form the graph and found the clusters (role core; alone: a cluster of one). An unusable face joins the cluster with
    the most similar centroid when that is above a stricter threshold (`settings.attach_stricter` times fewer false
    matches than at the floor) and no face of its image is there already (attached), else it is noise. A cluster's id
    is the digest of its core faces.
    The result does not depend on the order of the rows, nor on the engine; with `known.content` not on the ids either.
    With an `earlier` clustering, made with the same settings, model and `cohort`, only what new faces touch is made
    again, as long as that holds (see `facelib.clusters.earlier`). Given a `cohort`, unit rows (m, d) float32 with one
    template per person, similarities are corrected against it, whatever `settings.cohort` says, rather than against
    faces of the archive.

    Raises ConfigError for a cohort of fewer than 200 templates or of another length; DegenerateResultError when there
    is nothing to cluster (no usable face, or embeddings that are not finite, all zero or all equal), and when the
    result is refused (see `facelib.clusters.guards`).
    """
    faces = SortedFaces.sort(face_ids, image_ids, embeddings, np.asarray(is_usable, bool), known or Known())
    core, others = faces.core, faces.others
    unit = faces.unit[core]
    guards.check_embeddings(len(face_ids), unit)
    made = _clustered(faces, unit, settings, engine, earlier, cohort)
    graph, labels = made.graph, made.labels
    floor = graph.floor.floor
    own = graph.space.first(len(core))
    guards.check_pairs(own, floor, settings)
    guards.check_coherence(own, labels, floor)
    guards.check_dominant(unit, labels, settings)
    weight = graph.weight[: len(core)]
    centre = centroids(unit, labels)

    cluster = np.full(len(faces.ids), -1, np.int64)
    cluster[core] = labels
    cluster[others] = attach(
        Space.corrected(faces.unit[others], weigh(faces.unit[others], graph.cohort, engine)),
        faces.image[others],
        centroid_space(centre, weight, labels),
        labels,
        faces.image[core],
        graph.floor.looser(1 / settings.attach_stricter),
        settings.tile,
    )
    obey_links(cluster, faces.is_core, faces.known.must, faces.known.cannot)
    copies = np.flatnonzero(faces.copy_of >= 0)
    cluster[copies] = cluster[faces.copy_of[copies]]
    guards.check_noise(len(cluster), int(np.count_nonzero(cluster < 0)), settings)
    similarity = np.einsum("nd,nd->n", faces.unit, centre[cluster])  # where there is no cluster it is not used
    is_real = graph.edges.v < len(core)
    edges = Edges(core[graph.edges.u[is_real]], core[graph.edges.v[is_real]], graph.edges.similarity[is_real])
    in_cohort = np.zeros(len(faces.ids), bool)
    if graph.cohort:
        in_cohort[core[graph.cohort.rows[graph.cohort.rows < len(core)]]] = True
    all_weights = np.full(len(faces.ids), np.nan, np.float32)
    all_weights[core] = weight
    clusters = clusters_table(faces.ids, faces.images, faces.is_core, cluster, similarity, all_weights, in_cohort)
    return Assignment(
        clusters.sort_by("face_id"),
        edges_table(faces.ids, edges),
        _summary(cluster, faces, edges, made),
        _evidence(faces, graph, engine),
    )


@dataclass(frozen=True)
class _Clustered:
    """The graph of core and synthetic faces, in this order, and the cluster of each core face."""

    graph: SimilarityGraph
    labels: IntArray
    canary_f: float | None
    modules: Modules


def _clustered(
    faces: SortedFaces,
    unit: FloatArray,
    settings: ClusterSettings,
    engine: Engine,
    earlier: Earlier | None,
    cohort: FloatArray | None,
) -> _Clustered:
    core, known, place = faces.core, faces.known, faces.place
    same = None if known.same_face is None else known.same_face[core]
    must, cannot = links_between(faces.is_core, known.must, known.cannot)
    constraints = Constraints(faces.image[core], same, place[cannot], place[must])
    ids = [faces.ids[i] for i in core.tolist()]
    if earlier and can_continue(earlier, ids, settings):
        graph, found = continued(earlier, ids, unit, constraints, settings, engine, cohort)
    else:
        subject = None if known.subject is None else known.subject[core]
        graph = similarity_graph(unit, constraints.image, settings, engine, subject, cohort)
        constraints = constraints.beside(graph.image)
        found = communities(graph.space, graph.edges, graph.floor.floor, constraints, settings, engine)
    floor = graph.floor.floor
    labels = first_seen(found.labels[: len(core)])
    recovered = recovery(found.labels, graph.canary)
    guards.check_largest(labels, floor, settings)
    guards.check_canary(recovered, graph.canary, floor, settings)
    return _Clustered(graph, labels, recovered, found)


def _evidence(faces: SortedFaces, graph: SimilarityGraph, engine: Engine) -> Evidence:
    """From the core faces and their copies."""
    core = faces.core
    copies = np.flatnonzero(np.isin(faces.copy_of, core))
    rows = np.concatenate([core, copies])
    weight = np.concatenate([graph.weight[: len(core)], weigh(faces.unit[copies], graph.cohort, engine)])
    place = faces.place
    copy_of = np.where(faces.copy_of[rows] >= 0, place[faces.copy_of[rows]], -1)
    same = None if faces.known.same_face is None else faces.known.same_face[rows]
    space = Space.corrected(faces.unit[rows], weight)
    return Evidence.of(space, faces.image[rows], same, copy_of, _both(place[faces.known.must]))


def _both(pairs: IntArray) -> IntArray:
    """The pairs of which both faces are in the graph."""
    inside: IntArray = pairs[(pairs >= 0).all(axis=1)]
    return inside


def _summary(cluster: IntArray, faces: SortedFaces, edges: Edges, made: _Clustered) -> ClusterSummary:
    graph, cohort = made.graph, made.graph.cohort
    sizes = np.bincount(cluster[cluster >= 0])
    n_noise = int(np.count_nonzero(cluster < 0))
    return ClusterSummary(
        n_faces=len(cluster),
        n_core=len(faces.core),
        n_attached=len(cluster) - len(faces.core) - n_noise,
        n_noise=n_noise,
        n_copies=int(np.count_nonzero(faces.copy_of >= 0)),
        n_clusters=len(sizes),
        n_singletons=int(np.count_nonzero(sizes == 1)),
        largest_cluster=int(sizes.max()),
        n_edges=len(edges.u),
        canary_f=made.canary_f,
        graph_parts=made.modules.parts,
        cut_floor=made.modules.cut_floor,
        cohort_distance=cohort.typical if cohort else None,
        cohort_source=cohort.source if cohort else None,
        cohort_digest=cohort.digest if cohort else None,
        floor=graph.floor,
        search=graph.search,
    )
