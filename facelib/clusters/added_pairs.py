"""Pairs above a floor of some faces with all faces, by comparing them with all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from facelib.clusters.engine import LOCAL, Array, Engine, blocks
from facelib.clusters.neighbours import Edges, unique_edges
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import IntArray, Space
from facelib.clusters.strongest import ROUNDING, ranked

_ROWS = 512
_COLUMNS = 8192


def pairs_of(space: Space, rows: IntArray, floor: float, settings: ClusterSettings, engine: Engine = LOCAL) -> Edges:
    """Pairs with similarity > `floor` of the faces `rows` with any others: of each its `settings.neighbours` most
    similar ones."""
    arrays: dict[str, Array] = {"left": space.left, "right": space.right, "rows": rows}
    items = [(first, last, floor, settings.neighbours) for first, last in blocks(len(rows), _ROWS)]
    found = engine.run(f"neighbours of {len(rows)} new faces", _pairs, items, arrays)
    a, b, similarity = (np.concatenate([part[i] for part in found]) if found else np.empty(0) for i in range(3))
    return unique_edges(a.astype(np.int64), b.astype(np.int64), similarity.astype(np.float32))


def _pairs(arrays: Mapping[str, Array], part: tuple[int, int, float, int]) -> list[Array]:
    first, last, floor, most = part
    left, right, rows = arrays["left"], arrays["right"], arrays["rows"][first:last]
    block = left[rows]
    pairs: list[Array] = []
    for start, stop in blocks(len(right), _COLUMNS):
        i, j = np.divmod(np.flatnonzero(block @ right[start:stop].T > floor - ROUNDING), stop - start)
        pairs.append(np.stack([rows[i], j + start]))
    a, b = np.concatenate(pairs, axis=1)
    return list(ranked(Space(left, right), a, b, floor, most))
