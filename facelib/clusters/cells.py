"""Similar pairs of a large archive, without comparing all with all.

Faces are sorted into cells, the neighbourhoods of centroids (k-means on a sample), each face into the `overlap`
nearest ones; inside a cell all pairs are compared. This is the inverted file of Jégou, Douze and Schmid, "Product
quantization for nearest neighbor search", 2011, joined with itself. Two faces meet in several cells, and the pair
counts in the first of them. How many cells a face must be in is measured: for a random sample of faces all pairs above
the floor are known from brute force, and the least overlap is taken at which enough of them meet. A crowded cell is cut
into blocks of rows, so that no task has much more to do than another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from facelib.clusters.engine import LOCAL, Array, Engine, blocks
from facelib.clusters.neighbours import Edges
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import FloatArray, IntArray, Space

MOST_OVERLAP = 24
_SAMPLED_PER_CELL = 64
_ITERATIONS = 10
_JUDGED = 1000
"""Faces whose pairs are all known."""
_ROWS = 1024
_COLUMNS = 8192
_ASSIGNED = 16384
_PAIRS_PER_TASK = 400_000_000
_ROUNDING = 1e-4
"""A product may differ from the similarity by less than this."""


class Overlap(NamedTuple):
    """How many cells each face is in, and what that was found to give."""

    cells: int
    recall: float | None
    """Share of the known pairs above the floor that meet in a cell; null when there were none."""
    pairs: int
    """Known pairs above the floor."""


@dataclass(frozen=True)
class CellPairs:
    """Pairs above the floor, and how they were found."""

    edges: Edges
    """Per face at most `settings.neighbours` pairs with later faces in each cell."""
    cells: int
    overlap: Overlap
    compared: int
    """Pairs compared."""


def cell_pairs(
    unit: FloatArray, space: Space, floor: float, settings: ClusterSettings, engine: Engine = LOCAL
) -> CellPairs:
    """Pairs with similarity > `floor` among n faces with unit rows (n, d), in the same order as the space."""
    n = space.faces
    count = max(1, n // settings.cell_faces)
    random = np.random.default_rng(settings.seed)
    sample = np.sort(random.permutation(n)[: _SAMPLED_PER_CELL * count])
    centroids = fit_centroids(unit[sample], count, settings.seed)
    ranges = blocks(n, _ASSIGNED)
    found = engine.run(f"cells of {n} faces", _nearest_cells, ranges, {"unit": unit, "centroids": centroids})
    nearest = np.concatenate([part[0] for part in found])
    overlap = choose_overlap(space, nearest, floor, settings, engine)
    cells_of = np.sort(nearest[:, : overlap.cells], axis=1)
    members, starts = _members(cells_of, count)
    tasks = _tasks(starts, floor, settings.neighbours)
    arrays = {"left": space.left, "right": space.right, "cells_of": cells_of, "members": members, "starts": starts}
    pairs = engine.run(f"pairs in {count} cells", _close_pairs, tasks, arrays)
    u, v, similarity = (np.concatenate([part[i] for part in pairs]) for i in range(3))
    order = np.lexsort((v, u))
    sizes = np.diff(starts)
    return CellPairs(
        Edges(u[order].astype(np.int64), v[order].astype(np.int64), similarity[order]),
        count,
        overlap,
        int((sizes * (sizes - 1) // 2).sum()),
    )


def fit_centroids(sample: FloatArray, count: int, seed: int) -> FloatArray:
    """Unit centroids of `count` cells, (count, d): spherical k-means (Dhillon and Modha, 2001) from random rows."""
    random = np.random.default_rng(seed)
    centroids = sample[np.sort(random.permutation(len(sample))[:count])].copy()
    for _ in range(_ITERATIONS):
        nearest = np.concatenate([(sample[a:b] @ centroids.T).argmax(axis=1) for a, b in blocks(len(sample), _ROWS)])
        order = np.argsort(nearest, kind="stable")
        present, starts = np.unique(nearest[order], return_index=True)
        sums = np.add.reduceat(sample[order].astype(np.float64), starts, axis=0)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        centroids[present] = np.divide(sums, length, where=length > 0, out=np.zeros_like(sums))
    return centroids


def _nearest_cells(arrays: Mapping[str, Array], rows: tuple[int, int]) -> list[Array]:
    """The nearest cells of each face of a range, nearest first, (rows, MOST_OVERLAP) int32."""
    unit, centroids = arrays["unit"], arrays["centroids"]
    wanted = min(MOST_OVERLAP, len(centroids))
    found = np.empty((rows[1] - rows[0], wanted), np.int32)
    for a, b in blocks(len(found), _ROWS):
        similarity = unit[rows[0] + a : rows[0] + b] @ centroids.T
        if wanted < similarity.shape[1]:
            kept = np.argpartition(-similarity, wanted - 1, axis=1)[:, :wanted]
        else:
            kept = np.broadcast_to(np.arange(wanted), similarity.shape)
        order = np.argsort(-np.take_along_axis(similarity, kept, 1), axis=1, kind="stable")
        found[a:b] = np.take_along_axis(kept, order, 1)
    return [found]


def choose_overlap(
    space: Space, nearest: Array, floor: float, settings: ClusterSettings, engine: Engine = LOCAL
) -> Overlap:
    """The least overlap, at least `settings.overlap`, at which a share of `settings.recall` of the pairs above the
    floor meet, judged by all pairs of 1,000 random faces; else the greatest there is.

    `nearest` (n, c) are the cells of each face, nearest first.
    """
    judged = np.sort(np.random.default_rng(settings.seed + 1).permutation(space.faces)[:_JUDGED])
    judged_rows = np.ascontiguousarray(space.left[judged])
    arrays = {"judged": judged, "rows": judged_rows, "right": space.right}
    ranges = [(first, last, floor) for first, last in blocks(space.faces, 8 * _ASSIGNED)]
    found = engine.run(f"all pairs of {len(judged)} faces", _known_pairs, ranges, arrays)
    a, b = (np.concatenate([part[i] for part in found]) for i in range(2))
    least, most = min(settings.overlap, nearest.shape[1]), nearest.shape[1]
    if not len(a):
        return Overlap(least, None, 0)
    met = np.zeros((len(a), most), bool)
    for i in range(most):  # column i: whether they meet among the first i + 1 cells of both
        together = (nearest[a, i][:, None] == nearest[b, : i + 1]).any(axis=1)
        together |= (nearest[b, i][:, None] == nearest[a, : i + 1]).any(axis=1)
        met[:, i] = together
    recall = np.logical_or.accumulate(met, axis=1).mean(axis=0)
    enough = np.flatnonzero(recall >= settings.recall)
    chosen = max(least, int(enough[0]) + 1 if len(enough) else most)
    return Overlap(chosen, float(recall[chosen - 1]), len(a))


def _known_pairs(arrays: Mapping[str, Array], part: tuple[int, int, float]) -> list[Array]:
    """All pairs of a judged face and another in a range of faces above the floor."""
    first, last, floor = part
    judged, rows, right = arrays["judged"], arrays["rows"], arrays["right"]
    found: list[tuple[Array, Array]] = []
    for start in range(first, last, _COLUMNS):
        columns = right[start : min(start + _COLUMNS, last)]
        i, j = np.divmod(np.flatnonzero(rows @ columns.T > floor), len(columns))
        found.append((judged[i], j + start))
    a, b = (np.concatenate(side) for side in zip(*found, strict=True))
    return [a[a != b], b[a != b]]


def _members(cells_of: Array, count: int) -> tuple[IntArray, IntArray]:
    """Faces by cell, ascending within each, and where each cell starts, (count + 1,)."""
    flat = cells_of.ravel()
    order = np.argsort(flat, kind="stable")
    starts = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(flat, minlength=count), out=starts[1:])
    return order // cells_of.shape[1], starts


class Work(NamedTuple):
    """Blocks of rows, (cell, first, last) each, and which pairs to keep."""

    blocks: list[tuple[int, int, int]]
    floor: float
    neighbours: int


def _tasks(starts: IntArray, floor: float, neighbours: int) -> list[Work]:
    """All blocks of rows, packed by the pairs they hold."""
    tasks: list[Work] = []
    packed: list[tuple[int, int, int]] = []
    pairs = 0
    for cell, size in enumerate(np.diff(starts).tolist()):
        for first, last in blocks(size, _ROWS):
            packed.append((cell, first, last))
            pairs += (last - first) * (size - first)
            if pairs >= _PAIRS_PER_TASK:
                tasks.append(Work(packed, floor, neighbours))
                packed, pairs = [], 0
    return [*tasks, Work(packed, floor, neighbours)] if packed or not tasks else tasks


def _close_pairs(arrays: Mapping[str, Array], work: Work) -> list[Array]:
    """u, v (int32, u < v) and similarity (float32) of the close pairs of some blocks."""
    found = [_block_pairs(arrays, block, work) for block in work.blocks]
    return [np.concatenate(column) for column in zip(*found, strict=True)]


def _block_pairs(arrays: Mapping[str, Array], block: tuple[int, int, int], work: Work) -> tuple[Array, Array, Array]:
    cell, first, last = block
    start, stop = arrays["starts"][cell], arrays["starts"][cell + 1]
    members = arrays["members"][start + first : stop]
    rows = arrays["left"][members[: last - first]]
    candidates: list[Array] = []
    for left in range(0, len(members), _COLUMNS):
        columns = arrays["right"][members[left : left + _COLUMNS]]
        i, j = np.divmod(np.flatnonzero(rows @ columns.T > work.floor - _ROUNDING), len(columns))
        j += left
        candidates.append(np.stack([i, j])[:, j > i])
    i, j = np.concatenate(candidates, axis=1)
    keep = _first_common_cell(arrays["cells_of"], members[i], members[j]) == cell
    u, v = members[i[keep]], members[j[keep]]
    space = Space(arrays["left"], arrays["right"])
    similarity = np.minimum(space.similarity(u, v), 1)
    strongest = _strongest(u, similarity, work)
    return u[strongest].astype(np.int32), v[strongest].astype(np.int32), similarity[strongest]


def _first_common_cell(cells_of: Array, a: Array, b: Array) -> Array:
    """The smallest cell that holds both of a[i] and b[i], which meet in at least one."""
    found = np.full(len(a), np.iinfo(np.int32).max, np.int32)
    mine, theirs = cells_of[a], cells_of[b]
    for column in mine.T[::-1]:  # from the largest cell down: the smallest common one is written last
        shared = (theirs == column[:, None]).any(axis=1)
        found[shared] = column[shared]
    return found


def _strongest(u: Array, similarity: FloatArray, work: Work) -> Array:
    """Which pairs exceed the floor and are among the strongest of their row."""
    order = np.lexsort((-similarity, u))
    row = u[order]
    new = np.ones(len(row), bool)
    new[1:] = row[1:] != row[:-1]
    position = np.arange(len(row))
    rank = position - np.maximum.accumulate(np.where(new, position, 0))
    kept: Array = order[(rank < work.neighbours) & (similarity[order] > work.floor)]
    return kept
