"""The similarity floor of an archive, found without labels.

Wanted is the similarity floor f at which FMR(f) × n = `false_edges_per_face`: a floor that keeps the
expected number of false edges per face constant transfers between archives of different size, a fixed
similarity does not. FMR is the share of non-mated pairs more similar than f, and two things stand between
it and the histogram of all pairs.

*Mated pairs* fill the upper tail. They are taken out by clustering: the pairs within clusters are
subtracted from the histogram, and what is left, pairs between clusters, stands for the non-mated ones. The
floor and the clusters determine each other, so the two steps alternate up to a fixed point. The
clusters used are deliberately loose, three times the wanted false edges, and looser still at the start:
joining too much removes few of the n²/2 pairs, joining too little leaves mated pairs that push the floor
up, which leaves more of them. Clusters that do not hang together (`facelib.clusters.coherence`) are crowds of
strangers: their pairs stay in.

*Few pairs* lie beyond the floor, and there the removal bites. So the survival is read at a larger share, the
anchor, and continued by the law that similar pairs obey: with distance r between unit vectors,
r² = 2 - 2 cosine, or its corrected counterpart (`facelib.clusters.space`), the share of pairs closer than r grows
as r^D (the correlation integral of Grassberger and Procaccia, "Measuring the strangeness of strange attractors",
1983). Log survival is then a straight line in log(1 - similarity) with slope D/2, measured over the decade above the
anchor.

Both errors that remain push the floor up: mated pairs left in at a small anchor, and at a large one a
slope that has not reached its limit. Hence of several anchors, and of several loose starts, the lowest floor
is taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.clusters.coherence import COHERENT, clusters_of, coherence
from facelib.clusters.graph import accepted_edges
from facelib.clusters.map_equation import modules
from facelib.clusters.neighbours import BIN_WIDTH, BINS, DoubleArray, Edges, empty_histogram
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import IntArray, Space

FEWEST_FACES = 50
"""Below, `settings.fallback_floor` is used: so few pairs carry no tail."""
_DEGREES = (math.inf, 40.0, 20.0, 10.0)
"""Edges per face kept for the loose starts."""
_LOOSER = 3.0
"""False edges at the floor of the clusters that are removed, relative to the wanted ones."""
_DECADE = 10.0
SMALLEST_ANCHOR = _DECADE * _LOOSER
"""Relative to the wanted share: a decade above the share where the removal begins to bite."""
LARGEST_ANCHOR = 0.1
_ANCHOR_STEP = 2.0
FEWEST_PAIRS = 50
"""Above an anchor."""
_ROUNDS = 12
_ROWS = 1024
_USUAL_DIMENSION = 25.0
_TOLERANCE = 0.0005


@dataclass(frozen=True)
class FloorEstimate:
    """A floor and its grounds."""

    floor: float
    """Cosine; edges must exceed it."""
    fmr: float | None
    """Estimated share of non-mated pairs above the floor; null when the floor was not estimated."""
    expected_false_edges_per_face: float | None
    """fmr × number of faces; null when the floor was not estimated."""
    method: str
    """`fixed` (given), `fallback` (too few faces, or most pairs are mated), `tail` (estimated without labels),
    `subjects` (from pairs of verified subjects)."""
    n_faces: int
    mated_share: float | None = None
    """Share of all pairs that lie within clusters, so removed as mated."""
    anchor: float | None = None
    """Survival from which the tail is continued."""
    dimension: float | None = None
    """Correlation dimension D of the non-mated embeddings near the anchor."""
    trail: tuple[float, ...] = ()
    """Floors of the successive rounds."""

    def looser(self, factor: float) -> float:
        """Floor at which `factor` times as many false edges are expected (less than 1: a stricter one), by the law of
        the tail; where no dimension was measured, that of the default embedding, 25, is taken."""
        return _loosened(self.floor, factor, self.dimension or _USUAL_DIMENSION)


@dataclass(frozen=True)
class _Tail:
    """What follows from the pairs between one set of clusters."""

    floor: float
    anchor: float
    dimension: float
    mated_share: float

    @property
    def loose_floor(self) -> float:
        """Similarity at which `_LOOSER` times as many false edges are expected."""
        return _loosened(self.floor, _LOOSER, self.dimension)


def _loosened(floor: float, factor: float, dimension: float) -> float:
    return float(1 - (1 - floor) * factor ** (2 / dimension))


def fixed_floor(floor: float, n: int, method: str = "fixed") -> FloorEstimate:
    """A floor that does not come from the archive."""
    return FloorEstimate(floor, None, None, method, n)


def estimate_floor(
    space: Space,
    edges: Edges,
    histogram: DoubleArray,
    image_of_face: npt.NDArray[np.generic],
    settings: ClusterSettings,
    archive_faces: int | None = None,
    coherent: float = COHERENT,
) -> FloorEstimate:
    """Floor at which `settings.false_edges_per_face` are expected; no label is used.

    The method is `fallback`, with `settings.fallback_floor`, below 50 faces, and when half of all pairs exceed
    that floor: an archive of about one person, whose pairs say nothing about two.
    `space` of n faces; `edges` their neighbour pairs; `histogram` (2000,) of all pairs, each
    counted twice, as `knn_block` sums it; `image_of_face` (n,). When the n faces are a random sample of an
    archive, `archive_faces` is the number of faces there. Clusters of less coherence than `coherent` count as crowds.
    """
    n = space.faces
    if n < FEWEST_FACES or _exceeded_by(histogram, 0.5) > settings.fallback_floor:
        return fixed_floor(settings.fallback_floor, n, "fallback")
    wanted = settings.false_edges_per_face / (archive_faces or n)
    crossing = accepted_edges(edges, -2.0, image_of_face)

    def step(floor: float) -> _Tail | None:
        return _next(space, crossing, histogram / 2, floor, wanted, settings, coherent)

    starts = [tail for tail in map(step, [*_loose_floors(crossing, n), settings.fallback_floor]) if tail]
    if not starts:
        return fixed_floor(settings.fallback_floor, n, "fallback")
    tail = min(starts, key=lambda t: t.floor)
    trail = [tail.floor]
    for _ in range(_ROUNDS):
        following = step(tail.loose_floor)
        if following is None:
            break
        tail = following
        trail.append(tail.floor)
        if abs(trail[-1] - trail[-2]) < _TOLERANCE:
            break
    return FloorEstimate(
        floor=tail.floor,
        fmr=wanted,
        expected_false_edges_per_face=settings.false_edges_per_face,
        method="tail",
        n_faces=archive_faces or n,
        mated_share=tail.mated_share,
        anchor=tail.anchor,
        dimension=tail.dimension,
        trail=tuple(trail),
    )


def continued_tail(histogram: DoubleArray, wanted: float, anchor: float) -> tuple[float, float, float] | None:
    """Cosine that a share `wanted` of the counted pairs exceeds, the anchor used, and the dimension D.

    The survival at `anchor` (raised to `wanted` and to 50 pairs where less) is continued by its mean log-log
    slope over the decade above it. None when the histogram holds too few pairs for that.
    """
    total = histogram.sum()
    if total < 2 * FEWEST_PAIRS:
        return None
    anchor = min(max(anchor, wanted, FEWEST_PAIRS / total), 0.5)
    upper = min(anchor * _DECADE, 0.9)
    near, far = (1 - _exceeded_by(histogram, share) for share in (anchor, upper))
    if not 0 < near < far:
        return None
    slope = math.log(upper / anchor) / math.log(far / near)
    return 1 - near * (wanted / anchor) ** (1 / slope), anchor, 2 * slope


def _next(
    space: Space,
    edges: Edges,
    pairs: DoubleArray,
    floor: float,
    wanted: float,
    settings: ClusterSettings,
    coherent: float,
) -> _Tail | None:
    """The lowest floor that follows from the clusters at a floor; None when they leave no evidence."""
    above = edges.similarity > floor
    kept = Edges(edges.u[above], edges.v[above], edges.similarity[above])
    labels = modules(space.faces, kept, floor, settings.seed)
    within = _within(space, labels, floor, coherent)
    between = np.maximum(pairs - within, 0)
    found = [tail for anchor in anchors(SMALLEST_ANCHOR * wanted) if (tail := continued_tail(between, wanted, anchor))]
    return _Tail(*min(found), float(within.sum() / pairs.sum())) if found else None


def anchors(smallest: float) -> list[float]:
    """Shares from the smallest, but at most `LARGEST_ANCHOR`, up to that, each twice the one before; at least one."""
    first = min(smallest, LARGEST_ANCHOR)
    count = 1 + int(math.log(LARGEST_ANCHOR / first, _ANCHOR_STEP))
    return [first * _ANCHOR_STEP**i for i in range(count)]


def _loose_floors(edges: Edges, n: int) -> list[float]:
    """Floors that leave all edges, or a given mean number of edges per face."""
    falling = np.sort(edges.similarity)[::-1]
    counts = {int(min(len(falling), n * degree / 2)) for degree in _DEGREES}
    return [float(falling[count - 1]) - BIN_WIDTH for count in sorted(counts) if count]


def _within(space: Space, labels: IntArray, floor: float, coherent: float) -> DoubleArray:
    """Histogram of the pairs within coherent clusters, each once."""
    histogram = empty_histogram()
    for members in clusters_of(labels):
        if coherent and coherence(space, members, floor) < coherent:
            continue
        for start in range(0, len(members), _ROWS):
            rows = members[start : start + _ROWS]
            product = space.left[rows] @ space.right[members[start:]].T
            upper = product[np.arange(product.shape[1]) > np.arange(len(rows))[:, None]]
            bins = np.clip(((upper + 1) / BIN_WIDTH).astype(np.int64), 0, BINS - 1)
            histogram += np.bincount(bins, minlength=BINS)
    return histogram


def _exceeded_by(histogram: DoubleArray, share: float) -> float:
    """Cosine that the given share of pairs exceeds, log-linear between bin edges."""
    survival = np.cumsum(histogram[::-1])[::-1] / histogram.sum()
    i = int(np.count_nonzero(survival > share))
    cosine = -1 + i * BIN_WIDTH
    if i == 0 or i == BINS or survival[i] <= 0:
        return cosine
    before, after = math.log(survival[i - 1]), math.log(survival[i])
    return cosine - BIN_WIDTH * (math.log(share) - after) / (before - after)
