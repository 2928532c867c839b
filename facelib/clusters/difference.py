"""How the clusters of two runs differ: what became of them, which faces moved, and which pairs of faces."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facelib.clusters.lineage import INHERITING, IntArray, lineage_rows, match

EVENTS = ("kept", "grown", "shrunk", "born", "retired", "merged", "split")


@dataclass(frozen=True)
class PairCounts:
    """Unordered pairs of the faces that both runs have; two faces are together when in one cluster, noise in none."""

    n_pairs: int
    together: int
    """Together in both."""
    together_only_a: int
    together_only_b: int

    @property
    def adjusted_rand_index(self) -> float | None:
        """Agreement corrected for chance: 1 when equal, about 0 at random, may be negative; noise faces count as
        clusters of one. None when there is no pair.

        Hubert and Arabie, "Comparing partitions", Journal of Classification 2, 1985, in its pair-count form.
        """
        a, b = self.together + self.together_only_a, self.together + self.together_only_b
        if not self.n_pairs:
            return None
        expected_twice, most = 2 * a * b, self.n_pairs * (a + b)
        if most == expected_twice:  # all apart in both or all together in both
            return 1.0
        return (2 * self.n_pairs * self.together - expected_twice) / (most - expected_twice)


@dataclass(frozen=True)
class Difference:
    """Result of `compare`; a is the earlier run, b the later one. Counts of faces, of clusters and of rows."""

    faces_a: int
    faces_b: int
    faces_both: int
    faces_moved: int
    """Faces of both that are not where their cluster went: in another, newly in one, or newly in none."""
    clusters_a: int
    clusters_b: int
    unchanged: int
    """Clusters with the same faces in both."""
    same_id: int
    """Those of them that have the same id in both."""
    events: dict[str, int]
    """Rows of `lineage_rows` by event, all seven present."""
    pairs: PairCounts
    merges: list[dict[str, Any]]
    """Largest rows `merged` of `lineage_rows` by n_shared, then by ids."""
    splits: list[dict[str, Any]]
    """Largest rows `split`, likewise."""

    @property
    def only_a(self) -> int:
        """Faces that only a has."""
        return self.faces_a - self.faces_both

    @property
    def only_b(self) -> int:
        """Faces that only b has."""
        return self.faces_b - self.faces_both

    @property
    def is_empty(self) -> bool:
        """Whether both have the same faces in the same clusters under the same ids."""
        return not (self.only_a or self.only_b) and self.clusters_a == self.clusters_b == self.same_id


def compare(a: pa.Table, b: pa.Table, limit: int = 10) -> Difference:
    """Compare two tables of the contract `clusters` (face_id, cluster_id; null for noise), a the earlier.

    Clusters are matched by their faces, as in `lineage.match`, whatever their ids are; ids are those of the tables.
    `limit`: how many merges and splits to list, at least 0.
    Raises ValueError when a face occurs twice in a table.
    """
    found = match(b, a)
    rows = lineage_rows(found, found.current_ids)
    counts = Counter(rows.column("event").to_pylist())
    kept = rows.filter(pc.equal(rows.column("event"), "kept"))
    same_id = pc.sum(pc.equal(kept.column("cluster_id"), kept.column("previous_cluster_id"))).as_py() or 0
    in_a = np.asarray(pc.is_in(b.column("face_id"), value_set=a.column("face_id")))
    in_b = pc.is_in(a.column("face_id"), value_set=b.column("face_id"))
    noise_a, noise_b = (t.filter(pc.is_null(t.column("cluster_id"))).column("face_id") for t in (a, b))
    stayed = pc.sum(pc.is_in(noise_a, value_set=noise_b)).as_py() or 0
    inherited = rows.filter(pc.is_in(rows.column("event"), value_set=pa.array(INHERITING)))
    stayed += pc.sum(inherited.column("n_shared")).as_py() or 0
    both = int(in_a.sum())
    shared_a = pc.value_counts(pc.drop_null(a.filter(in_b).column("cluster_id"))).field("counts").to_numpy()
    return Difference(
        faces_a=len(a),
        faces_b=len(b),
        faces_both=both,
        faces_moved=both - stayed,
        clusters_a=len(found.previous_ids),
        clusters_b=len(found.current_ids),
        unchanged=counts["kept"],
        same_id=same_id,
        events={event: counts[event] for event in EVENTS},
        pairs=_pair_counts(both, found.n_shared, shared_a, np.bincount(found.label[in_a & (found.label >= 0)])),
        merges=_largest(rows, "merged", limit),
        splits=_largest(rows, "split", limit),
    )


def _pair_counts(n_faces: int, cells: IntArray, sizes_a: IntArray, sizes_b: IntArray) -> PairCounts:
    """Of the faces of both: those in each cell of the contingency table, and in each cluster of a and of b."""
    together, in_a, in_b = (_pairs(counts) for counts in (cells, sizes_a, sizes_b))
    return PairCounts(n_faces * (n_faces - 1) // 2, together, in_a - together, in_b - together)


def _pairs(counts: IntArray) -> int:
    """Pairs within groups of these sizes; exact below 2**63, that is for groups that sum to fewer than 4 billion."""
    return int((counts * (counts - 1) // 2).sum())


def _largest(rows: pa.Table, event: str, limit: int) -> list[dict[str, Any]]:
    found = rows.filter(pc.equal(rows.column("event"), event))
    keys = [("n_shared", "descending"), ("cluster_id", "ascending"), ("previous_cluster_id", "ascending")]
    largest: list[dict[str, Any]] = found.sort_by(keys).slice(0, limit).drop_columns(["event"]).to_pylist()
    return largest
