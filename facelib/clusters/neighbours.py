"""Exact nearest neighbours by similarity, and the histogram of all similarities, in one tiled pass.

The unit of work is a block of rows against all rows, so that a block can be one task; what the
blocks return merges by concatenation (neighbours) and by addition (histogram).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facelib.clusters.engine import LOCAL, Engine
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import FloatArray, IntArray, Space
from facelib.clusters.strongest import BELOW_ALL, SPARE, Strongest
from facelib.errors import DegenerateResultError

DoubleArray = npt.NDArray[np.float64]

BIN_WIDTH = 0.001
"""Width of a histogram bin, in cosine."""
BINS = 2000
"""Bins of a histogram over [-1, 1]; bin i covers [-1 + i·0.001, -1 + (i+1)·0.001)."""
_COLUMN_TILES = 8
"""Columns per product, in tiles: wide products keep the bookkeeping per tile small."""
_BLOCKS = 64
"""Of rows, at most, into which a pass over all faces is cut."""
_FEWEST_ROWS = 1024
"""Of a block."""


class Edges(NamedTuple):
    """Pairs of faces by row index: u < v, each pair once, ordered by (u, v), and their similarity."""

    u: IntArray
    v: IntArray
    similarity: FloatArray


def normalise(embeddings: npt.ArrayLike) -> FloatArray:
    """Rows scaled to unit length, (n, d) float32 C-contiguous; rows of zeros stay zero.

    Raises DegenerateResultError when the array is not two-dimensional or holds a value that is not finite.
    """
    values = np.asarray(embeddings, dtype=np.float64)
    if values.ndim != 2:
        raise DegenerateResultError(f"embeddings have {values.ndim} dimensions, expected (faces, values): embed again")
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise DegenerateResultError(
            f"embedding of {np.count_nonzero(~finite)} of {len(values)} faces is not finite: embed these faces again"
        )
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.ascontiguousarray(np.divide(values, norms, where=norms > 0, out=np.zeros_like(values)), np.float32)


def empty_histogram() -> DoubleArray:
    """Zero counts, (2000,) float64: the start of a sum over blocks."""
    return np.zeros(BINS)


def knn_block(
    rows: FloatArray,
    all_rows: FloatArray,
    k: int,
    row_offset: int,
    *,
    tile: int = 1024,
    histogram: DoubleArray | None = None,
) -> tuple[IntArray, FloatArray]:
    """The k nearest other rows of each row of a block, exact.

    `rows` (m, d) are rows `row_offset … row_offset + m` of a space's left side, `all_rows` (n, d) its right side; for
    cosines both are the unit rows. Returns indices into `all_rows` and similarities, at most 1, both
    (m, min(k, n - 1)), nearest first, equal ones by index. A pair's similarity is computed the same way from
    either side and for every tiling, so blocks of any size give the same bits.

    `histogram`, when given, is increased by the counts of the similarities of each row with all other
    rows (below -1: in the first bin); summed over all blocks every pair counts twice. Memory: about
    110 × `tile`² bytes.
    """
    n = len(all_rows)
    kept = max(0, min(k, n - 1))
    indices = np.empty((len(rows), kept), np.int64)
    cosine = np.empty((len(rows), kept), np.float32)
    columns = tile * _COLUMN_TILES
    buffer = np.empty((min(tile, len(rows)), min(columns, n)), np.float32)
    for start in range(0, len(rows), tile):
        part = rows[start : start + tile]
        best = Strongest(len(part), min(k + SPARE, max(n - 1, 0)))
        for left in range(0, n, columns):
            right = min(left + columns, n)
            similarity = _product(part, all_rows[left:right], buffer)
            excluded = _exclude_self(similarity, row_offset + start - left)
            best.offer(similarity, left)
            if histogram is not None:
                _count(similarity, histogram, excluded)
        found = best.pairs()[1].reshape(len(part), -1)
        indices[start : start + tile], cosine[start : start + tile] = _ranked(part, all_rows, found, kept)
    return indices, cosine


def exact_neighbours(space: Space, settings: ClusterSettings, engine: Engine = LOCAL) -> tuple[Edges, DoubleArray]:
    """The tiled pass over all faces of a space, in blocks of rows: neighbour pairs, and the histogram of all pairs,
    each counted twice."""
    rows = max(_FEWEST_ROWS, -(-space.faces // _BLOCKS))
    tasks = [
        Block(first, min(first + rows, space.faces), settings.neighbours, settings.tile)
        for first in range(0, space.faces, rows)
    ]
    arrays = {"left": space.left} if space.right is space.left else space._asdict()
    found = engine.run(f"neighbours of {space.faces} faces", _block, tasks, arrays)
    histogram = sum((part[2] for part in found), start=empty_histogram())
    return symmetric_union(np.concatenate([p[0] for p in found]), np.concatenate([p[1] for p in found])), histogram


class Block(NamedTuple):
    """Rows `first … last` of a space, and how to search."""

    first: int
    last: int
    neighbours: int
    tile: int


def _block(arrays: Mapping[str, FloatArray], block: Block) -> list[npt.NDArray[np.generic]]:
    left = arrays["left"]
    histogram = empty_histogram()
    rows = left[block.first : block.last]
    right = arrays.get("right", left)
    found = knn_block(rows, right, block.neighbours, block.first, tile=block.tile, histogram=histogram)
    return [*found, histogram]


def symmetric_union(indices: IntArray, cosine: FloatArray, row_offset: int = 0) -> Edges:
    """Every pair in which one face is a neighbour of the other, once.

    `indices`, `cosine` (m, k) as `knn_block` returns them for rows `row_offset …`; of several blocks,
    concatenate the neighbours first, or the edges and pass them through `unique_edges`.
    """
    rows = np.repeat(np.arange(row_offset, row_offset + len(indices), dtype=np.int64), indices.shape[1])
    return unique_edges(rows, indices.ravel(), cosine.ravel())


def joined(first: Edges, second: Edges) -> Edges:
    """The pairs of both, each once; few of the second are cheap to add to many."""
    size = _size(first.v, second.v)
    have, more = (_keys(edges.u, edges.v, size) for edges in (first, second))
    at = np.searchsorted(have, more)
    is_new = np.searchsorted(have, more, side="right") == at
    at = at[is_new]
    return Edges(
        np.insert(first.u, at, second.u[is_new]),
        np.insert(first.v, at, second.v[is_new]),
        np.insert(first.similarity, at, second.similarity[is_new]),
    )


def unique_edges(a: IntArray, b: IntArray, cosine: FloatArray) -> Edges:
    """Undirected pairs as Edges; of a repeated pair the first cosine given is kept."""
    size = _size(a, b)
    pair = _keys(np.minimum(a, b), np.maximum(a, b), size)
    if (pair[1:] <= pair[:-1]).any():
        order = np.argsort(pair, kind="stable")
        pair = pair[order]
        first = np.concatenate([[True], pair[1:] != pair[:-1]])
        pair, cosine = pair[first], cosine[order[first]]
    u, v = np.divmod(pair, size)
    return Edges(u, v, cosine)


def _size(a: IntArray, b: IntArray) -> int:
    """More than the largest index."""
    return int(max(a.max(initial=-1), b.max(initial=-1))) + 1


def _keys(u: IntArray, v: IntArray, size: int) -> IntArray:
    """One number per pair, in the order of (u, v)."""
    keys: IntArray = u.astype(np.int64) * size + v
    return keys


def _product(part: FloatArray, columns: FloatArray, buffer: FloatArray) -> FloatArray:
    """part @ columns.T, written into the buffer where its shape allows."""
    out = buffer if buffer.shape == (len(part), len(columns)) else np.empty((len(part), len(columns)), np.float32)
    return np.matmul(part, columns.T, out=out)


def _exclude_self(similarity: FloatArray, shift: int) -> int:
    """Set the entries (i, i + shift) below every similarity; returns their number."""
    row = np.arange(max(0, -shift), min(len(similarity), similarity.shape[1] - shift))
    similarity[row, row + shift] = BELOW_ALL
    return len(row)


def _count(similarity: FloatArray, histogram: DoubleArray, excluded: int) -> None:
    """Add the similarities of all but the excluded entries to the histogram; overwrites `similarity`."""
    similarity *= np.float32(1 / BIN_WIDTH)
    similarity += np.float32(1 / BIN_WIDTH)
    np.clip(similarity, 0, BINS - 1, out=similarity)
    histogram += np.bincount(similarity.astype(np.int64).ravel(), minlength=BINS)
    histogram[0] -= excluded


def _ranked(part: FloatArray, all_rows: FloatArray, found: IntArray, kept: int) -> tuple[IntArray, FloatArray]:
    """Found neighbours with recomputed cosines, nearest first, cut to `kept`."""
    cosine = np.empty(found.shape, np.float32)
    step = 64
    for i in range(0, len(part), step):
        cosine[i : i + step] = np.einsum("md,mkd->mk", part[i : i + step], all_rows[found[i : i + step]])
    np.minimum(cosine, 1, out=cosine)
    order = np.lexsort((found, -cosine), axis=1)[:, :kept]
    return np.take_along_axis(found, order, 1), np.take_along_axis(cosine, order, 1)
