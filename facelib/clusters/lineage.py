"""Cluster ids that outlive a run, and the account of what became of every cluster.

Clusters of two runs are matched by the faces they share, one to one and greedily: pairs are taken by falling
number of shared faces, then by rising size of the union (at equal overlap this is falling Jaccard similarity,
the measure of Greene, Doyle and Cunningham, "Tracking the evolution of communities in dynamic social networks",
ASONAM 2010), then pairs that carry the same id already, then by previous id, then by current id. Nothing depends
on the order of rows.

Why greedy and not an optimal assignment: the greedy matching is stable. No two clusters share more faces with
each other than with the partners they got, so an id always stays with the largest overlap that is free, and the
reason is visible in the rows of the two clusters. An assignment of largest total overlap may take an id from a
cluster that holds most of its faces, to the gain of clusters elsewhere, may flip along a whole chain
of clusters when one face moves, and is often not unique. The greedy one holds at least half of the largest
possible total (Preis, "Linear time 1/2-approximation algorithm for maximum weighted matching in general graphs",
STACS 1999).

Events follow the external and the size transitions of MONIC (Spiliopoulou, Ntoutsi, Theodoridis and Schult,
"MONIC: modeling and monitoring cluster transitions", KDD 2006): survival, absorption, split, disappearance and
emergence, growing and shrinking. There, a cluster survives or is absorbed above a threshold of overlap; here the
largest free overlap inherits however small it is, and absorption needs more than half of the faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from facelib.ids import digest
from schemas.arrow import arrow_schema
from schemas.tables import CLUSTER_LINEAGE

IntArray = npt.NDArray[np.int64]

INHERITING = ("kept", "grown", "shrunk")
"""Events of a pair of clusters of which the current one has the previous one's id."""


@dataclass(frozen=True)
class Inherited:
    """Result of `inherit_ids`."""

    clusters: pa.Table
    """The given rows in their order, `cluster_id` replaced."""
    lineage: pa.Table
    """Contract `cluster_lineage` without run_id, ordered by cluster_id and previous_cluster_id, nulls last."""


@dataclass(frozen=True)
class Match:
    """Clusters of two runs, and which current one continues which previous one. Noise is no cluster.

    C and P are the numbers of clusters. A cluster is known by its position among the sorted ids.
    """

    current_ids: pa.Array
    """(C,) string, ascending."""
    previous_ids: pa.Array
    """(P,) string, ascending."""
    n_current: IntArray
    """(C,) faces of each current cluster."""
    n_previous: IntArray
    """(P,) faces of each previous cluster, those that no longer exist included."""
    pair_current: IntArray
    """Current cluster of each pair with a shared face."""
    pair_previous: IntArray
    """Previous cluster of each such pair."""
    n_shared: IntArray
    """Shared faces of each such pair."""
    continues: IntArray
    """(C,) previous cluster that the current one continues, -1 for none; no previous cluster occurs twice."""
    label: IntArray
    """Current cluster of each current row, -1 for noise."""


def inherit_ids(clusters: pa.Table, previous: pa.Table) -> Inherited:
    """Give clusters the ids of those they continue, and say what became of every cluster.

    Both tables follow the contract `clusters` (face_id, cluster_id; null for noise; further columns are kept).
    Ids of `clusters` are digests of core faces. A cluster that continues none keeps its digest; where a
    previous cluster has that id, the digest is digested again until it is free, so no id changes its meaning
    between the two runs. A cluster with the same faces as before keeps its id. Events: see `lineage_rows`.

    Raises ValueError when a face occurs twice in a table.
    """
    found = match(clusters, previous)
    ids = _inherited_ids(found)
    position = clusters.column_names.index("cluster_id")
    column = ids.take(pa.array(found.label, mask=found.label < 0))
    return Inherited(clusters.set_column(position, "cluster_id", column), lineage_rows(found, ids))


def match(clusters: pa.Table, previous: pa.Table) -> Match:
    """Match the clusters of two runs by shared faces, greedily; see the top of the module.

    Raises ValueError when a face occurs twice in a table.
    """
    for table in (clusters, previous):
        if pc.count_distinct(table.column("face_id")).as_py() != len(table):
            raise ValueError("a face_id occurs twice in a table of the contract clusters: write the table again")
    current_ids, label = _labels(clusters.column("cluster_id"))
    previous_ids, previous_label = _labels(previous.column("cluster_id"))
    row = _positions(clusters.column("face_id"), previous.column("face_id"))
    before = np.where(row >= 0, previous_label[row], -1) if len(previous) else np.full(len(row), -1, np.int64)
    both = (label >= 0) & (before >= 0)
    width = max(len(previous_ids), 1)
    cell, n_shared = np.unique(label[both] * width + before[both], return_counts=True)
    pair_current, pair_previous = cell // width, cell % width
    n_current = np.bincount(label[label >= 0], minlength=len(current_ids))
    n_previous = np.bincount(previous_label[previous_label >= 0], minlength=len(previous_ids))
    same_id = _positions(current_ids, previous_ids)[pair_current] == pair_previous
    union = n_current[pair_current] + n_previous[pair_previous] - n_shared
    order = np.lexsort((pair_current, pair_previous, ~same_id, union, -n_shared))
    continues = _greedy(pair_current, pair_previous, order, len(current_ids), len(previous_ids))
    return Match(
        current_ids,
        previous_ids,
        n_current,
        n_previous,
        pair_current,
        pair_previous,
        n_shared.astype(np.int64),
        continues,
        label,
    )


def lineage_rows(found: Match, ids: pa.Array) -> pa.Table:
    """Rows of the contract `cluster_lineage` without run_id; `ids` (C,) names the current clusters.

    One row per pair of clusters with a shared face. If the current one continues the previous one, the event is
    - kept: the same faces;
    - grown: it gained faces, at least as many as it lost;
    - shrunk: it lost more than it gained.
    Of the other pairs:
    - merged: the larger part of the previous cluster's faces that still are in a cluster joined this one;
    - split: a smaller part, or exactly half, did.
    Then a row `born` per current cluster that continues none (with rows `split` if it holds faces of others),
    and a row `retired` per previous cluster that none continues (with rows `merged` or `split` if faces of it are
    still in a cluster); both share 0 faces.

    So every current cluster has one row among kept, grown, shrunk and born, every previous one has one among
    kept, grown, shrunk and retired, and at most one row of a previous cluster is merged. Over the rows of a current
    cluster, Σ n_shared + faces that were in no cluster before = n_current; over those of a previous one,
    Σ n_shared + faces that are in no cluster now (noise or gone) = n_previous.
    """
    c, p, shared = found.pair_current, found.pair_previous, found.n_shared
    gained, lost = found.n_current[c] - shared, found.n_previous[p] - shared
    clustered = np.zeros(len(found.previous_ids), np.int64)
    np.add.at(clustered, p, shared)
    continued = found.continues[c] == p
    event = np.select(
        [continued & (gained + lost == 0), continued & (gained >= lost), continued, 2 * shared > clustered[p]],
        ["kept", "grown", "shrunk", "merged"],
        "split",
    )
    born = np.flatnonzero(found.continues < 0)
    retired = np.setdiff1d(np.arange(len(found.previous_ids)), found.continues)
    none_born, none_retired = np.full(len(born), -1), np.full(len(retired), -1)
    current = np.concatenate((c, born, none_retired))
    before = np.concatenate((p, none_born, retired))
    columns = {
        "cluster_id": _take(ids, current),
        "previous_cluster_id": _take(found.previous_ids, before),
        "event": pa.array(np.concatenate((event, np.repeat(["born", "retired"], [len(born), len(retired)])))),
        "n_shared": pa.array(np.concatenate((shared, np.zeros(len(born) + len(retired), np.int64)))),
        "n_previous": _take(pa.array(found.n_previous), before),
        "n_current": _take(pa.array(found.n_current), current),
    }
    schema = pa.schema([field for field in arrow_schema(CLUSTER_LINEAGE) if field.name != "run_id"])
    table = pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
    return table.sort_by([("cluster_id", "ascending"), ("previous_cluster_id", "ascending")])


def _labels(ids: pa.ChunkedArray) -> tuple[pa.Array, IntArray]:
    """Distinct ids ascending, and the position of each row's id among them, -1 for null."""
    names = pc.drop_null(pc.unique(ids))
    names = names.take(pc.array_sort_indices(names))
    return names, _positions(ids, names)


def _positions(values: pa.Array | pa.ChunkedArray, among: pa.Array | pa.ChunkedArray) -> IntArray:
    """Position of each value in `among`, -1 where it is missing or null."""
    return np.asarray(pc.fill_null(pc.index_in(values, value_set=among), -1)).astype(np.int64)


def _take(values: pa.Array, positions: IntArray) -> pa.Array:
    """Values at the positions, null at -1."""
    return values.take(pa.array(positions, pa.int64(), mask=positions < 0))


def _greedy(current: IntArray, previous: IntArray, order: IntArray, n_current: int, n_previous: int) -> IntArray:
    """Previous cluster of each current one, pairs taken in order as long as both are free.

    Pairs whose clusters share faces with no other are free whenever they come: most of them, and taken at once.
    """
    continues = np.full(n_current, -1, np.int64)
    alone = np.bincount(current, minlength=n_current)[current] == 1
    alone &= np.bincount(previous, minlength=n_previous)[previous] == 1
    continues[current[alone]] = previous[alone]
    contested = order[~alone[order]]
    free_current, free_previous = np.ones(n_current, bool).tolist(), np.ones(n_previous, bool).tolist()
    for c, p in zip(current[contested].tolist(), previous[contested].tolist(), strict=True):
        if free_current[c] and free_previous[p]:
            free_current[c] = free_previous[p] = False
            continues[c] = p
    return continues


def _inherited_ids(found: Match) -> pa.Array:
    """(C,) ids: that of the continued cluster, else the own one, else one made from it that is free."""
    inherited = _take(found.previous_ids, found.continues)
    ids = pc.coalesce(inherited, found.current_ids)
    clash = np.flatnonzero((found.continues < 0) & (_positions(found.current_ids, found.previous_ids) >= 0))
    if not len(clash):
        return ids
    names = ids.to_pylist()
    used = {*found.previous_ids.to_pylist(), *found.current_ids.to_pylist()}
    for c in clash.tolist():
        names[c] = _free_id(names[c], used)
        used.add(names[c])
    return pa.array(names, pa.string())


def _free_id(own: str, used: set[str]) -> str:
    attempt = 1
    while (made := "c" + digest("cluster again", own, str(attempt), length=24)) in used:
        attempt += 1
    return made
