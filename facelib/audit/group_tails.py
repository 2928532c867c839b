"""False match rates within one group of faces, estimated from its clusters: no verified subjects are needed.

The rate at a similarity is the share of the group's non-mated pairs that exceed it. Pairs of two clusters stand for the
non-mated ones, as in the floor of the whole archive (`facelib.clusters.floor`). Two errors follow from that.

*Merged strangers.* Clusters join faces above the floor, so nearly all non-mated pairs beyond it are gone, and some
just below. Counting is therefore trusted only where `SMALLEST_ANCHOR` (30) times as many false edges are allowed as
at the floor, or more, which is where the floor itself is read from. There the rate is **counted**, if at least
`FEWEST_PAIRS` (50) pairs exceed the similarity. Elsewhere it is the **tail**: the survival at an anchor, continued by
its log-log slope over the decade above it, both of the group's own pairs. Anchors are the first trusted share, or
that of 50 pairs, and its doubles up to a tenth; the lowest rate is taken, for the floor's reason: a small anchor
holds mated pairs, at a large one the slope has not reached its limit, and both push the rate up. Rates of less than a
thousandth of the first anchor are not given.

*Split persons.* Pairs of two clusters of one person would count as non-mated and push the rate up, the more so the
smaller the group. So two clusters, one of them of three faces or more, are taken for one person when at least
`COHERENT` (0.3) of their pairs, and three, exceed the first trusted similarity. Single faces that are apart remain.
Where most people are split into them, as by plain cosines with one floor that is too strict for all but the most
crowded groups, rates come out far too high.

The interval is a bootstrap of clusters, not of pairs, since pairs that share a cluster depend on each other. As many
clusters as there are are drawn with replacement; a pair of two clusters counts as often as the product of their
multiplicities, copies of one cluster form no pairs, and ends are percentiles (C. A. Field and A. H. Welsh,
"Bootstrapping clustered data", 2007; R. M. Bolle, N. K. Ratha and S. Pankanti, "Error analysis of pattern recognition
systems: the subsets bootstrap", 2004; for pairs T. A. B. Snijders and S. P. Borgatti, "Non-parametric standard errors
and tests for network statistics", 1999). It covers the choice of people and nothing else: not the two errors above,
not the choice of the anchor, not the law of the tail. So a tail's interval misses the truth more often than one time
in twenty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.audit.labelled_pairs import LabelledFaces, tiles
from facelib.clusters.coherence import COHERENT
from facelib.clusters.components import components
from facelib.clusters.floor import (
    FEWEST_FACES,
    FEWEST_PAIRS,
    LARGEST_ANCHOR,
    SMALLEST_ANCHOR,
    FloorEstimate,
    anchors,
    continued_tail,
)
from facelib.clusters.neighbours import BIN_WIDTH, BINS, DoubleArray, empty_histogram
from facelib.clusters.space import FloatArray, IntArray, Space

MOST_FACES = 3000
"""Faces of a group that are compared; of more, a random sample."""
_FEWEST_ALIKE = 3
"""Pairs of two clusters by which they may be taken for one person, and faces of the larger one: between two clusters of
two faces, two people who look alike make as many."""
_FARTHEST = 1e-3
"""Least rate, relative to the first anchor."""
_RESAMPLES = 200
_ENDS = (2.5, 97.5)


@dataclass(frozen=True)
class GroupRates:
    """Rates in 0–1 at k similarities and the ends of their 95 % intervals, (k,) float64; NaN: no estimate."""

    fmr: DoubleArray
    low: DoubleArray
    high: DoubleArray
    is_counted: npt.NDArray[np.bool_]
    """(k,): counted pairs; else the tail."""


def sampled(rows: IntArray, seed: int) -> IntArray:
    """The rows of a group's faces, ascending; of more than `MOST_FACES`, so many at random."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:MOST_FACES])


def group_rates(
    space: Space, cluster: npt.ArrayLike, floor: FloorEstimate, similarity: DoubleArray, seed: int
) -> GroupRates | None:
    """Rates within the group whose faces are the space, at each `similarity` (k,); None where it is too small to tell.

    `cluster` (n,) is that of each face; every face is on an image of its own. `floor` is the archive's, at which the
    clusters were made. Too small are fewer than 50 faces, and fewer than 500 pairs of two clusters. Time grows with
    n²: a second or two for 3,000 faces.
    """
    if space.faces < FEWEST_FACES:
        return None
    trusted = floor.looser(SMALLEST_ANCHOR)
    faces = _people(space, np.unique(cluster, return_inverse=True)[1].astype(np.int64), trusted)
    histogram = _histogram(faces)
    shares = _anchors(histogram, trusted)
    tails = [tail for share in shares if (tail := continued_tail(histogram, share, share))]
    if not tails:
        return None
    near, far = _lowest(tails, similarity)
    levels, at = np.unique(np.concatenate([np.minimum(similarity, trusted), near, far]), return_inverse=True)
    exceeding, total = _exceeding(faces, levels, seed)
    at_similarity, at_near, at_far = np.split(at, 3)
    is_counted = (similarity <= trusted) & (exceeding[at_similarity, 0] >= FEWEST_PAIRS)
    share = np.divide(exceeding, total, out=np.full(exceeding.shape, np.nan), where=total > 0)
    continued = _continued(share[at_near], share[at_far], near, far, similarity)
    rate = np.where(is_counted[:, None], share[at_similarity], continued)
    ends = np.nanpercentile(rate[:, 1:], _ENDS, axis=1)
    too_far = ~is_counted & (rate[:, 0] < _FARTHEST * shares[0])
    fmr, low, high = np.where(too_far, np.nan, [rate[:, 0], *ends])
    return GroupRates(fmr, low, high, is_counted)


def _people(space: Space, cluster: IntArray, trusted: float) -> LabelledFaces:
    """The faces with clusters for subjects, those joined that look like one person; each on an image of its own."""
    n = int(cluster.max()) + 1
    everyone, no_group = np.arange(len(cluster)), np.zeros_like(cluster)
    pairs = []
    for tile in tiles(LabelledFaces(space, cluster, everyone, no_group, 0)):
        row, column = np.nonzero(tile.non_mated & (tile.similarity > trusted))
        ends = np.sort([cluster[tile.first][row], cluster[tile.second][column]], axis=0)
        pairs.append(ends[0] * n + ends[1])
    key, alike = np.unique(np.concatenate(pairs), return_counts=True)
    one, other = np.divmod(key, n)
    size = np.bincount(cluster)
    same = np.minimum(alike, np.maximum(size[one], size[other])) >= _FEWEST_ALIKE
    same &= alike >= COHERENT * size[one] * size[other]
    return LabelledFaces(space, components(n, one[same], other[same])[cluster], everyone, no_group, 0)


def _histogram(faces: LabelledFaces) -> DoubleArray:
    """Of the pairs of two people, each once."""
    histogram = empty_histogram()
    for tile in tiles(faces):
        bins = np.clip(((tile.similarity[tile.non_mated] + 1) / BIN_WIDTH).astype(np.int64), 0, BINS - 1)
        histogram += np.bincount(bins, minlength=BINS)
    return histogram


def _anchors(histogram: DoubleArray, trusted: float) -> list[float]:
    """Shares from which the tail may be continued, rising; none when there are too few pairs."""
    total = histogram.sum()
    if total * LARGEST_ANCHOR < FEWEST_PAIRS:
        return []
    first = max(histogram[max(0, int((trusted + 1) / BIN_WIDTH)) :].sum(), FEWEST_PAIRS) / total
    return anchors(first) if first < LARGEST_ANCHOR else [min(first, 0.5)]


def _lowest(tails: list[tuple[float, float, float]], similarity: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Of the tail that is lowest at each similarity (k,), the two similarities between which its slope is measured.

    `tails` are what `continued_tail` returns at each anchor. The first similarity is the anchor's; ten times as many
    pairs exceed the second.
    """
    near, anchor, dimension = (np.array(part)[:, None] for part in zip(*tails, strict=True))
    rate = np.log(anchor) + dimension / 2 * np.log((1 - similarity) / (1 - near))
    far = 1 - (1 - near) * 10 ** (2 / dimension)
    lowest = np.argmin(rate, axis=0)
    return near[lowest, 0], far[lowest, 0]


def _exceeding(faces: LabelledFaces, levels: DoubleArray, seed: int) -> tuple[DoubleArray, DoubleArray]:
    """Pairs of two people above each level, (levels, 1 + resamples), and all of them, (1 + resamples,).

    In the first column every pair counts once, in the others as often as its people were drawn.
    """
    people = faces.n_subjects
    draws = np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), _RESAMPLES)
    times: FloatArray = np.concatenate([np.ones((1, people)), draws]).T[faces.subject].astype(np.float32)
    found = np.zeros((len(levels) + 1, times.shape[1]))
    for tile in tiles(faces):
        for row, exceeds in enumerate((tile.non_mated, *(tile.non_mated & (tile.similarity > x) for x in levels))):
            partners = exceeds.astype(np.float32) @ times[tile.second]  # sums of small integers: exact
            found[row] += np.einsum("nr,nr->r", partners.astype(np.float64), times[tile.first])
    return found[1:], found[0]


def _continued(
    at_near: DoubleArray, at_far: DoubleArray, near: DoubleArray, far: DoubleArray, similarity: DoubleArray
) -> DoubleArray:
    """Share (k, r) that exceeds each similarity (k,), from the shares that exceed the two (k, r)."""
    decade = np.log((1 - far) / (1 - near))[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.log(at_far / at_near) / decade
        found = at_near * np.exp(slope * np.log((1 - similarity) / (1 - near))[:, None])
    return np.where(at_near == 0, 0, found)
