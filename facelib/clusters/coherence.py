"""Whether a cluster hangs together: the share of its pairs that exceed the floor, and a cut where it is low.

A community needs few edges: a chain of faces, each near the next, is one to the map equation, and so is a crowd of
blurred faces that are all slightly alike. Of one person's faces most are alike. So a cluster of which less than
`COHERENT` of all pairs exceed the floor is taken apart at a higher floor, and the floor's own estimate does not take
its pairs for mated ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from facelib.clusters.components import first_seen
from facelib.clusters.map_equation import modules
from facelib.clusters.neighbours import Edges
from facelib.clusters.space import IntArray, Space

COHERENT = 0.3
"""On lfw_dev the largest subjects have 0.6 to 0.85 of their pairs above the floor; crowds of junk 0.1 to 0.2."""
_MOST_JUDGED = 1024
_STEP = 0.95
_STEPS = 60


def clusters_of(labels: IntArray, fewest: int = 2) -> Iterator[IntArray]:
    """Rows of each cluster of at least `fewest` faces, ascending, by ascending label."""
    order = np.argsort(labels, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        if len(members) >= fewest:
            yield members


def coherence(space: Space, members: IntArray, floor: float) -> float:
    """Share of the pairs among the members (of more than 1,024, so many evenly spaced ones) that exceed the floor."""
    chosen = judged(members)
    above = space.left[chosen] @ space.right[chosen].T > floor
    pairs = len(chosen) * (len(chosen) - 1)
    return float(np.count_nonzero(above) - np.count_nonzero(above.diagonal())) / pairs if pairs else math.nan


def judged(members: IntArray) -> IntArray:
    """The members by which a cluster is judged: all, or of more than 1,024, so many evenly spaced ones."""
    if len(members) <= _MOST_JUDGED:
        return members
    return members[np.linspace(0, len(members) - 1, _MOST_JUDGED).astype(np.int64)]


def split_incoherent(labels: IntArray, edges: Edges, space: Space, floor: float, seed: int) -> IntArray:
    """Labels with every incoherent cluster of three faces or more taken apart; the others keep theirs.

    `edges` are the accepted ones (similarity > floor). Within the cluster the floor rises by steps of 5 % of the
    distance to 1 until all parts are coherent with regard to the first floor. New parts get labels from the
    largest one on.
    """
    loose = [m for m in clusters_of(labels, 3) if coherence(space, m, floor) < COHERENT]
    if not loose:
        return labels
    result, free = labels.copy(), int(labels.max()) + 1
    inside = labels[edges.u] == labels[edges.v]
    inner = Edges(*(column[inside] for column in edges))
    order = np.argsort(labels[inner.u], kind="stable")
    of_edge = labels[inner.u][order]
    for members in loose:
        start, stop = np.searchsorted(of_edge, [labels[members[0]], labels[members[0]] + 1])
        mine = order[start:stop]
        u, v = (np.searchsorted(members, side[mine]) for side in (inner.u, inner.v))
        parts = _parts(Edges(u, v, inner.similarity[mine]), space.only(members), floor, seed)
        result[members] = free + parts
        free += len(members)
    return result


def _parts(edges: Edges, space: Space, floor: float, seed: int) -> IntArray:
    """Part of each face of one cluster."""
    above = floor
    for _ in range(_STEPS):
        above = 1 - (1 - above) * _STEP
        keep = edges.similarity > above
        kept = Edges(edges.u[keep], edges.v[keep], edges.similarity[keep])
        labels = modules(space.faces, kept, above, seed)
        if all(coherence(space, part, floor) >= COHERENT for part in clusters_of(labels, 3)):
            return labels
    return first_seen(np.arange(space.faces))
