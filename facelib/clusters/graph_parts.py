"""Communities of a graph too large for one process: its components, packed into parts that are clustered one by one.

The map equation weighs how often a walk leaves a module against the length of the code for all modules, so a component
alone in its graph is cut into more modules than among others (on lfw_dev pairwise F 0.943 component by component, 0.969
in one graph). Hence parts hold as many components as fit, of all sizes, so that each part is the whole graph in small.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from facelib.clusters.components import first_seen
from facelib.clusters.engine import LOCAL, Array, Engine
from facelib.clusters.map_equation import modules
from facelib.clusters.neighbours import Edges
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import IntArray

_STEP = 0.97


class Modules(NamedTuple):
    """Module of each node, in how many parts the graph was clustered, and the floor at which components that were too
    large for a part were cut first (null: none was)."""

    labels: IntArray
    parts: int
    cut_floor: float | None


def modules_in_parts(n: int, edges: Edges, floor: float, settings: ClusterSettings, engine: Engine = LOCAL) -> Modules:
    """As `map_equation.modules`, in parts of about `settings.graph_edges` edges where there are more."""
    most = settings.graph_edges
    if len(edges.u) <= most:
        return Modules(modules(n, edges, floor, settings.seed), 1, None)
    kept, component, cut_floor = _cut(n, edges, floor, most, engine)
    of_edge = component[kept.u]
    sizes = np.bincount(of_edge)
    part_of = _pack(sizes, max(2, -(-len(kept.u) // most)))
    order = np.argsort(part_of[of_edge], kind="stable")
    starts = np.searchsorted(part_of[of_edge][order], np.arange(part_of.max() + 2))
    arrays: dict[str, Array] = {"u": kept.u[order], "v": kept.v[order], "similarity": kept.similarity[order]}
    parts = [(int(a), int(b), floor, settings.seed) for a, b in pairwise(starts) if b > a]
    labels, free = np.arange(n, dtype=np.int64), n
    for nodes, found in engine.run(f"communities in {len(parts)} parts", _modules_of_part, parts, arrays):
        labels[nodes] = free + found
        free += len(nodes)
    return Modules(first_seen(labels), len(parts), cut_floor)


def _cut(n: int, edges: Edges, floor: float, most: int, engine: Engine) -> tuple[Edges, IntArray, float | None]:
    """Edges of which no component has more than `most`, the component of each node, and the floor that took."""
    above, kept = floor, edges
    while True:
        component = engine.components(n, kept.u, kept.v)
        too_large = np.bincount(component[kept.u]) > most
        if not too_large.any():
            return kept, component, None if above == floor else above
        above = 1 - (1 - above) * _STEP
        keep = ~too_large[component[kept.u]] | (kept.similarity > above)
        kept = Edges(kept.u[keep], kept.v[keep], kept.similarity[keep])


def _pack(sizes: IntArray, parts: int) -> IntArray:
    """Part of each component: the largest first, each to the part with the fewest edges (Graham, 1969)."""
    found = np.zeros(len(sizes), np.int64)
    load = [(0, part) for part in range(parts)]
    for component in np.argsort(-sizes, kind="stable").tolist():
        edges, part = load[0]
        found[component] = part
        heapq.heapreplace(load, (edges + int(sizes[component]), part))
    return found


def _modules_of_part(arrays: Mapping[str, Array], part: tuple[int, int, float, int]) -> list[Array]:
    """The nodes of a part, and the module of each, numbered from 0."""
    start, stop, floor, seed = part
    u, v, similarity = (np.asarray(arrays[name][start:stop]) for name in ("u", "v", "similarity"))
    nodes, position = np.unique(np.concatenate([u, v]), return_inverse=True)
    local = Edges(position[: len(u)], position[len(u) :], similarity)
    return [nodes, modules(len(nodes), local, floor, seed)]
