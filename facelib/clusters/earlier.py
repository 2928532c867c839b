"""Adding faces to a finished clustering: only the clusters they touch are made anew.

New faces are compared with all faces, old ones with none again: their edges, weights and cohort are those of the
earlier run, and so is the floor. A cluster is touched when a new face has an edge to it, when a face of it is gone, or
when a pair given by the user names a face of it. The touched clusters, with the new faces, are one graph that is
clustered as a whole archive is. What differs from clustering everything anew is the floor, which belongs to the
earlier number of faces, and that the map equation sees a part of the graph only; so beyond a stated growth all is
done anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facelib.clusters.added_pairs import pairs_of
from facelib.clusters.canary import no_canary, plant
from facelib.clusters.cells import cell_pairs
from facelib.clusters.cluster_tables import CORE
from facelib.clusters.cohort import FEWEST, Cohort
from facelib.clusters.communities import Constraints, communities
from facelib.clusters.engine import LOCAL, Array, Engine
from facelib.clusters.floor import FloorEstimate
from facelib.clusters.graph import accepted_edges
from facelib.clusters.graph_parts import Modules
from facelib.clusters.neighbours import Edges, joined, unique_edges
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.similarity_graph import Search, SimilarityGraph, weigh, with_canary
from facelib.clusters.space import FloatArray, IntArray, Space

_LEAST_COHORT = 0.9
"""Share of the earlier cohort that must still be there."""


@dataclass(frozen=True)
class Earlier:
    """The core of a finished clustering, by ascending face_id."""

    face_ids: Sequence[str]
    labels: IntArray
    """Cluster (n,) of each."""
    weight: FloatArray
    """Weight (n,) of each."""
    in_cohort: Array
    """(n,) bool."""
    typical: float | None
    """Typical distance of the cohort; null when similarities were plain cosines."""
    edges: Edges
    """Accepted edges, by position in `face_ids`."""
    floor: FloorEstimate

    @classmethod
    def of(cls, clusters: pa.Table, edges: pa.Table, typical: float | None, floor: FloorEstimate) -> Earlier:
        """From tables of the contracts `clusters` and `edges`, and two facts of `ClusterSummary`."""
        core = clusters.filter(pc.equal(clusters.column("role"), CORE)).sort_by("face_id")
        ids, names = core.column("face_id"), core.column("cluster_id")
        a, b = (pc.index_in(edges.column(c), value_set=ids).to_numpy().astype(np.int64) for c in ("face_a", "face_b"))
        return cls(
            ids.to_pylist(),
            pc.index_in(names, value_set=names.unique()).to_numpy().astype(np.int64),
            core.column("weight").to_numpy(),
            core.column("is_cohort").to_numpy(),
            typical,
            unique_edges(a, b, edges.column("similarity").to_numpy()),
            floor,
        )


@dataclass(frozen=True)
class _Matched:
    """Rows of the present core (n,) that the earlier one had, where, and what that leaves."""

    old: IntArray
    at: IntArray
    new: IntArray
    gone: IntArray
    """Positions in the earlier core."""


def can_continue(earlier: Earlier, face_ids: Sequence[str], settings: ClusterSettings) -> bool:
    """Whether few enough faces came and went since all was clustered, and the cohort is still there."""
    match = _match(earlier, face_ids)
    base = earlier.floor.n_faces
    changed = abs(len(earlier.face_ids) - base) + len(match.new) + len(match.gone)
    still = np.isin(np.flatnonzero(earlier.in_cohort), match.at).sum()
    return bool(
        changed <= settings.incremental_share * base and still >= _LEAST_COHORT * np.count_nonzero(earlier.in_cohort)
    )


def continued(
    earlier: Earlier,
    face_ids: Sequence[str],
    own: FloatArray,
    own_constraints: Constraints,
    settings: ClusterSettings,
    engine: Engine = LOCAL,
    given: FloatArray | None = None,
) -> tuple[SimilarityGraph, Modules]:
    """Graph and clusters of the core faces `face_ids`, in order, with unit rows `own` (n, d), and of synthetic faces
    behind them where the earlier clustering found many people; `given` are the templates (m, d) of a given cohort."""
    of_many = len(np.unique(earlier.labels)) >= FEWEST
    canary = plant(own, settings.seed) if of_many else no_canary(own.shape[1])
    unit, image = with_canary(own, own_constraints.image, canary)
    constraints = own_constraints.beside(image)
    match = _match(earlier, face_ids)
    new = np.concatenate([match.new, np.arange(len(face_ids), len(unit))])
    row_of = np.full(len(earlier.face_ids), -1, np.int64)
    row_of[match.at] = match.old
    members = row_of[np.flatnonzero(earlier.in_cohort)]
    members = np.sort(members[members >= 0])
    templates = unit[members] if given is None else given
    cohort = Cohort(members, templates, earlier.typical) if earlier.typical is not None else None
    weight = np.ones(len(unit), np.float32)
    weight[match.old] = earlier.weight[match.at]
    weight[new] = weigh(unit[new], cohort, engine)
    space = Space.corrected(unit, weight) if cohort else Space.plain(unit)
    floor = earlier.floor.floor
    old_edges = _kept(earlier.edges, row_of)
    found, search = _pairs_of_new(new, unit, space, floor, settings, engine)
    new_edges = accepted_edges(found, floor, constraints.image)
    edges = joined(old_edges, new_edges)
    labels = np.full(len(unit), -1, np.int64)
    labels[match.old] = earlier.labels[match.at]
    own_rows = np.where(np.arange(len(unit)) < len(own), np.arange(len(unit)), -1)  # synthetic faces touch nothing
    touched = _touched(labels, _kept(new_edges, own_rows), constraints, earlier.labels[match.gone])
    again = np.flatnonzero((labels < 0) | np.isin(labels, touched))
    part = _clustered(again, space, edges, floor, constraints, settings, engine)
    labels[again] = labels.max(initial=-1) + 1 + part.labels
    search = replace(search, cohort=len(templates) if cohort else 0, added=len(match.new))
    graph = SimilarityGraph(space, weight, image, canary, cohort, edges, earlier.floor, search)
    return graph, part._replace(labels=labels)


def _pairs_of_new(
    new: IntArray, unit: FloatArray, space: Space, floor: float, settings: ClusterSettings, engine: Engine
) -> tuple[Edges, Search]:
    """Pairs of new faces with all faces: compared with all of them where that is no more than the pass over all faces
    of a small archive, else looked for in cells."""
    if len(new) * len(unit) <= settings.exact_faces**2:
        return pairs_of(space, new, floor, settings, engine), Search(0, len(new) * len(unit))
    found = cell_pairs(unit, space, floor, settings, engine, new)
    return found.edges, Search(0, found.compared, found.cells, *found.probes)


def _match(earlier: Earlier, face_ids: Sequence[str]) -> _Matched:
    place = {face: i for i, face in enumerate(earlier.face_ids)}
    at = np.array([place.get(face, -1) for face in face_ids], np.int64)
    old = np.flatnonzero(at >= 0)
    gone = np.setdiff1d(np.arange(len(earlier.face_ids)), at[old])
    return _Matched(old, at[old], np.flatnonzero(at < 0), gone)


def _kept(edges: Edges, row_of: IntArray) -> Edges:
    """The edges of which both faces have a row, by that row; `row_of` is -1 where there is none."""
    u, v = row_of[edges.u], row_of[edges.v]
    there = (u >= 0) & (v >= 0)
    return Edges(u[there], v[there], edges.similarity[there])


def _touched(labels: IntArray, new_edges: Edges, constraints: Constraints, of_gone: IntArray) -> IntArray:
    """Earlier clusters that must be made anew."""
    named = np.concatenate([constraints.cannot.ravel(), constraints.must.ravel()])
    touched = np.unique(np.concatenate([labels[new_edges.u], labels[new_edges.v], labels[named], of_gone]))
    positive: IntArray = touched[touched >= 0]
    return positive


def _clustered(
    rows: IntArray,
    space: Space,
    edges: Edges,
    floor: float,
    constraints: Constraints,
    settings: ClusterSettings,
    engine: Engine,
) -> Modules:
    """Clusters of some rows by the edges among them."""
    place = np.full(space.faces, -1, np.int64)
    place[rows] = np.arange(len(rows))
    cannot, must = (place[pairs] for pairs in (constraints.cannot, constraints.must))
    of_rows = replace(
        constraints,
        image=constraints.image[rows],
        same_face=None if constraints.same_face is None else constraints.same_face[rows],
        cannot=cannot,
        must=must,
    )
    return communities(space.only(rows), _kept(edges, place), floor, of_rows, settings, engine)
