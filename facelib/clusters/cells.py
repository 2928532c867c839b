"""Similar pairs of a large archive, without comparing all with all.

Faces are sorted into cells, the neighbourhoods of centroids (k-means on a sample), each face into the nearest; the
neighbours of a face are looked for in the cells whose centroids are nearest to it, its probes. This is the inverted
file of Jégou, Douze and Schmid, "Product quantization for nearest neighbor search", 2011, where every face is a query
too; so a pair is compared when either face probes the other's cell. How many probes that takes is measured: for
random faces all pairs above the floor are known from brute force, and the least number is taken at which enough of
each face's pairs are compared. The average is over faces, not over pairs: most pairs belong to the few people with
many pictures, whose faces are easily found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from facelib.clusters.engine import LOCAL, Array, Engine, blocks
from facelib.clusters.neighbours import Edges, unique_edges
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import FloatArray, IntArray, Space
from facelib.clusters.strongest import ROUNDING, SPARE, Strongest, ranked

_CELLS_PER_ROOT = 4.0
_SAMPLED_PER_CELL = 40
_ITERATIONS = 6
_JUDGED = 1000
"""Faces whose pairs are all known."""
_ROWS = 1024
_COLUMNS = 4096
_SORTED = 16384
"""Faces per task that are sorted into cells."""
_RANKED = 65536
_FEWEST_QUERIES = 8192
_MOST_QUERIES = 16384
"""Faces per task whose neighbours are looked for."""
_TASKS = 64
"""Fewer when there are too few faces, more when there are too many."""


class Probes(NamedTuple):
    """How many cells are searched for each face, and what that was found to give."""

    cells: int
    recall: float | None
    """Share of a face's known pairs above the floor that are compared, mean over the faces that have some; null when
    none has."""
    faces: int
    """Faces with known pairs above the floor."""
    pairs: int
    """Their known pairs."""


@dataclass(frozen=True)
class CellPairs:
    """Pairs above the floor, and how they were found."""

    edges: Edges
    """Of each query the `settings.neighbours` most similar faces in the cells it probes."""
    cells: int
    probes: Probes
    compared: int
    """Similarities computed; a pair of which each face probes the other's cell counts twice."""


def cell_pairs(
    unit: FloatArray,
    space: Space,
    floor: float,
    settings: ClusterSettings,
    engine: Engine = LOCAL,
    queries: IntArray | None = None,
) -> CellPairs:
    """Pairs with similarity > `floor` among n faces with unit rows (n, d), in the same order as the space; with
    `queries` (m,), some of the rows, those of which one face is among them."""
    n = space.faces
    asked = np.arange(n) if queries is None else queries
    count = min(n, settings.cells or round(_CELLS_PER_ROOT * len(asked) ** 0.5))
    random = np.random.default_rng(settings.seed)
    sample = unit[np.sort(random.permutation(n)[: _SAMPLED_PER_CELL * count])]
    fitted = fit_centroids(sample, count, settings.seed, engine)
    occupied, home = np.unique(nearest_cell(unit, fitted, engine), return_inverse=True)
    centroids = fitted[occupied]
    probes = choose_probes(unit, space, centroids, home, asked, floor, settings, engine)
    arrays = {
        "unit": unit,
        **space._asdict(),
        "centroids": centroids,
        "members": np.argsort(home, kind="stable"),
        "starts": np.searchsorted(np.sort(home), np.arange(len(centroids) + 1)),
        "queries": asked[np.argsort(home[asked], kind="stable")],
    }
    rows = min(max(_FEWEST_QUERIES, len(asked) // _TASKS), _MOST_QUERIES)
    work = [Work(first, last, probes.cells, floor, settings.neighbours) for first, last in blocks(len(asked), rows)]
    found = engine.run(f"pairs in {len(centroids)} cells", _neighbours, work, arrays)
    a, b, similarity, compared = (np.concatenate([part[i] for part in found]) for i in range(4))
    return CellPairs(unique_edges(a, b, similarity), len(centroids), probes, int(compared.sum()))


def fit_centroids(sample: FloatArray, count: int, seed: int, engine: Engine = LOCAL) -> FloatArray:
    """Unit centroids of `count` cells, (count, d): spherical k-means (Dhillon and Modha, 2001) from random rows."""
    random = np.random.default_rng(seed)
    centroids = sample[np.sort(random.permutation(len(sample))[:count])]
    for _ in range(_ITERATIONS):
        nearest = nearest_cell(sample, centroids, engine)
        order = np.argsort(nearest, kind="stable")
        present, starts = np.unique(nearest[order], return_index=True)
        sums = np.add.reduceat(sample[order].astype(np.float64), starts, axis=0)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        centroids = centroids.copy()  # the engine has shared the old ones
        centroids[present] = np.divide(sums, length, where=length > 0, out=np.zeros_like(sums))
    return centroids


def nearest_cell(unit: FloatArray, centroids: FloatArray, engine: Engine = LOCAL) -> IntArray:
    """The cell (n,) with the most similar centroid."""
    arrays = {"unit": unit, "centroids": centroids}
    found = engine.run(f"cells of {len(unit)} faces", _nearest_cell, blocks(len(unit), _SORTED), arrays)
    return np.concatenate([part[0] for part in found])


def _nearest_cell(arrays: Mapping[str, Array], rows: tuple[int, int]) -> list[Array]:
    unit, turned = arrays["unit"][slice(*rows)], arrays["centroids"].T
    return [np.concatenate([(unit[a:b] @ turned).argmax(axis=1) for a, b in blocks(len(unit), _ROWS)])]


def choose_probes(
    unit: FloatArray,
    space: Space,
    centroids: FloatArray,
    home: IntArray,
    queries: IntArray,
    floor: float,
    settings: ClusterSettings,
    engine: Engine = LOCAL,
) -> Probes:
    """The least number of probes, at least `settings.probes`, at which a share of `settings.recall` of a query's pairs
    above the floor are compared, judged by all pairs of 1,000 random ones; `home` (n,) is the cell of each face,
    `queries` (m,) are the faces that probe."""
    random = np.random.default_rng(settings.seed + 1)
    judged = np.sort(queries[random.permutation(len(queries))[:_JUDGED]])
    arrays = {"judged": judged, "rows": np.ascontiguousarray(space.left[judged]), "right": space.right}
    ranges = [(first, last, floor) for first, last in blocks(space.faces, 8 * _SORTED)]
    found = engine.run(f"all pairs of {len(judged)} faces", _known_pairs, ranges, arrays)
    a, b = (np.concatenate([part[i] for part in found]) for i in range(2))
    least = min(settings.probes, len(centroids))
    if not len(a):
        return Probes(least, None, 0, 0)
    back = np.flatnonzero(np.isin(b, queries))
    nearer = _nearer(unit, centroids, np.concatenate([a, b[back]]), home[np.concatenate([b, a[back]])], engine)
    needed, from_there = np.split(nearer, [len(a)])
    needed[back] = np.minimum(needed[back], from_there)
    counts = np.bincount(a)
    compared = np.cumsum(np.bincount(needed, weights=1 / counts[a], minlength=len(centroids)))
    recall = compared / compared[-1]
    chosen = max(least, 1 + int(np.searchsorted(recall[:-1], settings.recall)))
    return Probes(chosen, float(recall[chosen - 1]), np.count_nonzero(counts), len(a))


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


def _nearer(unit: FloatArray, centroids: FloatArray, face: IntArray, cell: IntArray, engine: Engine) -> IntArray:
    """How many cells are nearer to face[i] than cell[i] is, (m,)."""
    order = np.argsort(face, kind="stable")
    arrays: dict[str, Array] = {"unit": unit, "centroids": centroids, "face": face[order], "cell": cell[order]}
    found = engine.run(f"ranks of {len(face)} cells", _count_nearer, blocks(len(face), _RANKED), arrays)
    nearer = np.empty(len(face), np.int64)
    nearer[order] = np.concatenate([part[0] for part in found])
    return nearer


def _count_nearer(arrays: Mapping[str, Array], part: tuple[int, int]) -> list[Array]:
    unit, turned = arrays["unit"], arrays["centroids"].T
    face, cell = arrays["face"][slice(*part)], arrays["cell"][slice(*part)]
    nearer = np.empty(len(face), np.int64)
    for first, last in blocks(len(face), _ROWS):
        faces, row = np.unique(face[first:last], return_inverse=True)
        similarity = (unit[faces] @ turned)[row]
        to_cell = np.take_along_axis(similarity, cell[first:last, None], 1)
        nearer[first:last] = (similarity > to_cell).sum(axis=1)
    return [nearer]


class Work(NamedTuple):
    """Queries `first … last`, ordered by cell, and how to look for their neighbours."""

    first: int
    last: int
    probes: int
    floor: float
    neighbours: int


def _neighbours(arrays: Mapping[str, Array], work: Work) -> list[Array]:
    """Face, neighbour and similarity of the pairs found, and how many similarities were computed."""
    members, starts, right = arrays["members"], arrays["starts"], arrays["right"]
    faces = arrays["queries"][work.first : work.last]
    left = arrays["left"][faces]
    strongest = Strongest(len(faces), work.neighbours + SPARE, work.floor - ROUNDING)
    compared = 0
    for cell, queries in _queries(arrays["unit"][faces], arrays["centroids"], work.probes):
        for start in range(starts[cell], starts[cell + 1], _COLUMNS):
            columns = members[start : min(start + _COLUMNS, starts[cell + 1])]
            turned = right[columns].T
            for first, last in blocks(len(queries), _ROWS):
                row = queries[first:last]
                similarity = left[row] @ turned
                near = np.flatnonzero(similarity > strongest.bar[row, None])
                i, j = np.divmod(near, len(columns))
                strongest.add(row[i], columns[j], similarity.ravel()[near])
                compared += similarity.size
    row, column = strongest.pairs()
    pairs = ranked(Space(arrays["left"], right), faces[row], column, work.floor, work.neighbours)
    return [pairs[0].astype(np.int32), pairs[1].astype(np.int32), pairs[2], np.array([compared])]


def _queries(unit: FloatArray, centroids: FloatArray, probes: int) -> list[tuple[int, IntArray]]:
    """The cells that are among the nearest of some rows, and the rows each is near to."""
    cells = np.concatenate([_nearest_cells(unit[a:b] @ centroids.T, probes) for a, b in blocks(len(unit), _ROWS)])
    order = np.argsort(cells, axis=None, kind="stable")
    present, starts = np.unique(cells.ravel()[order], return_index=True)
    return list(zip(present.tolist(), np.split(order // probes, starts[1:]), strict=True))


def _nearest_cells(similarity: FloatArray, probes: int) -> IntArray:
    if probes == similarity.shape[1]:
        return np.broadcast_to(np.arange(probes), similarity.shape)
    found: IntArray = np.argpartition(similarity, -probes, axis=1)[:, -probes:]
    return found
