"""Pairs of the user that name faces outside the graph: what they mean inside it, and for these faces."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facelib.clusters.coherence import clusters_of
from facelib.clusters.links import must_link_groups
from facelib.clusters.space import IntArray

Flags = npt.NDArray[np.bool_]


def links_between(is_core: Flags, must: IntArray, cannot: IntArray) -> tuple[IntArray, IntArray]:
    """Must- and cannot-link pairs (m, 2) of core faces that follow from those of all faces.

    Faces linked through any others are one person; and whoever is apart from one of them is apart from all.
    """
    group = must_link_groups(len(is_core), must)
    core = np.flatnonzero(is_core)
    first = np.full(len(is_core), -1, np.int64)
    first[group[core][::-1]] = core[::-1]  # the first core face of each group
    linked = core[first[group[core]] != core]
    must_core = np.stack([first[group[linked]], linked], axis=1)
    ends = first[group[cannot]]
    apart: IntArray = np.where(is_core[cannot], cannot, ends)
    return must_core, apart[(apart >= 0).all(axis=1)]


def obey_links(cluster: IntArray, is_core: Flags, must: IntArray, cannot: IntArray) -> None:
    """Move faces outside the graph, in place, to where the pairs say. `cluster` (n,): -1 for none.

    A group of linked faces goes to the cluster of its core faces, or else of its first face that has one. Of a pair
    that must be apart and is not, the faces of the group outside the graph are left without a cluster.
    """
    group = must_link_groups(len(cluster), must)
    named = np.unique(must)
    groups = {int(group[named[rows[0]]]): named[rows] for rows in clusters_of(group[named], 1)}
    for members in groups.values():
        placed = members[cluster[members] >= 0]
        if len(placed):
            leader = placed[np.argmax(is_core[placed])]
            outside = members[~is_core[members]]
            cluster[outside] = cluster[leader]
    for a, b in cannot.tolist():
        if cluster[a] == cluster[b] >= 0:
            face = a if is_core[b] else b
            moved = groups.get(int(group[face]), np.array([face]))
            cluster[moved[~is_core[moved]]] = -1
