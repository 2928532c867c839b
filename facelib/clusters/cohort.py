"""The cohort: faces of different people, against which every face's surroundings are measured.

Cohort normalisation comes from speaker recognition (Auckenthaler, Carey and Lloyd-Thomas, "Score normalization for
text-independent speaker verification systems", 2000; Matějka et al., "Analysis of score normalization in
multilingual speaker recognition", 2017). Here the unit of length around a face is the distance at which strangers of
the archive begin: 1 - cosine to the cohort members of rank 0.2 % to 0.8 % (geometric mean), and the weight is
w = sqrt(typical distance / the face's distance). The correlation integral (see `facelib.clusters.floor`) says what this
does: the share of strangers within a distance r is a power of r, so scaling r gives every face the same
expected number of strangers beyond the floor.

The cohort is drawn from the archive: a sample is clustered loosely and one face per cluster is taken, so a face meets
its own person at most about once, and its first ranks are left out for that. Loose clusters that do not
hang together (crowds of blurred faces) stay whole, for their faces are strangers. It is done first with plain
cosines, very loosely, then twice with corrected similarities, because plain ones split people in crowded surroundings.

Or it is given: one template each of people who need not be in the archive, so that archives of few people, too, have
their similarities corrected.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from facelib.clusters.coherence import clusters_of, coherence
from facelib.clusters.floor import estimate_floor
from facelib.clusters.graph import accepted_edges
from facelib.clusters.map_equation import modules
from facelib.clusters.neighbours import exact_neighbours
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import FloatArray, IntArray, Space
from facelib.errors import ConfigError

SAMPLE = 4096
"""Faces from which the cohort is chosen, and from which the typical distance comes."""
FEWEST = 200
"""A smaller cohort says nothing about the ranks wanted: no correction then."""
_RANKS = (0.002, 0.008)
_FIRST_RANK = 3
_FALSE_EDGES_PER_FACE = 0.1
_ROUNDS = ((10.0, 0.0), (3.0, 0.5), (3.0, 0.5))
"""By round: how many times as many false edges the clusters allow, and the least coherence of those reduced to one."""
_LIMITS = (0.5, 2.0)
"""Of a weight, so that a few identical faces cannot blow it up."""
_SELF = 1e-6
_ROWS = 4096
_PRODUCT = 1 << 24
"""Cosines held at a time."""


@dataclass(frozen=True)
class Cohort:
    """`rows` (m,) of the faces it was drawn from, their unit embeddings `unit` (m, d), and the typical distance.

    A given cohort has no rows: (0,).
    """

    rows: IntArray
    unit: FloatArray
    typical: float

    @property
    def source(self) -> str:
        """`archive` (drawn from it) or `given`."""
        return "archive" if len(self.rows) else "given"

    @property
    def digest(self) -> str | None:
        """`cohort_digest` of a given cohort; null for one drawn from the archive."""
        return None if len(self.rows) else cohort_digest(self.unit)


def draw_cohort(unit: FloatArray, image: IntArray, settings: ClusterSettings) -> Cohort | None:
    """A cohort from unit rows (n, d) and the image (n,) of each; None when fewer than 200 people seem to be there.

    Deterministic for the order of the rows: give them in a fixed order.
    """
    loose_settings = replace(settings, false_edges_per_face=_FALSE_EDGES_PER_FACE)
    chosen = _sample(len(unit), settings)
    sample, cohort = unit[chosen], None
    space = Space.plain(sample)
    for looser, least in _ROUNDS:
        rows = _one_per_cluster(space, image[chosen], looser, least, loose_settings)
        if len(rows) < FEWEST:
            return None
        cohort = Cohort(chosen[rows], sample[rows], _typical(sample, sample[rows]))
        space = Space.corrected(sample, weights(sample, cohort))
    return cohort


def given_cohort(unit: FloatArray, templates: FloatArray, settings: ClusterSettings) -> Cohort:
    """The cohort of given unit rows `templates` (m, d), one per person, for an archive with unit rows (n, d).

    A person of the archive may be among them once, for the first ranks are left out. The typical distance is that of
    a sample of the archive, so that the geometric mean of its faces' weights is about 1, whoever was given.
    ConfigError with fewer than 200 templates, or when their length is not that of the archive's embeddings.
    """
    (m, d), wanted = templates.shape, unit.shape[1]
    if m < FEWEST or d != wanted:
        raise ConfigError(
            f"the cohort has {m} templates of {d} values and must have at least {FEWEST} of {wanted}: enrol more "
            "people with the embedding model of the archive"
        )
    return Cohort(np.empty(0, np.int64), templates, _typical(unit[_sample(len(unit), settings)], templates))


def cohort_digest(templates: FloatArray) -> str:
    """32 hex digits that tell given cohorts (m, d) apart."""
    return hashlib.blake2b(templates.tobytes(), digest_size=16).hexdigest()


def weights(unit: FloatArray, cohort: Cohort) -> FloatArray:
    """Weight of each face with unit rows (n, d), (n,) float32 in [0.5, 2]; 1 in typical surroundings."""
    distance = _distances(unit, cohort.unit)
    found: FloatArray = np.clip(np.sqrt(cohort.typical / distance), *_LIMITS).astype(np.float32)
    return found


def _one_per_cluster(space: Space, image: IntArray, looser: float, least: float, settings: ClusterSettings) -> IntArray:
    edges, histogram = exact_neighbours(space, settings)
    estimate = estimate_floor(space, edges, histogram, image, settings, coherent=least)
    loose = estimate.looser(looser)
    labels = modules(space.faces, accepted_edges(edges, loose, image), loose, settings.seed)
    keep = np.ones(space.faces, bool)
    for members in clusters_of(labels):
        if least == 0 or coherence(space, members, loose) >= least:
            keep[members[1:]] = False
    return np.flatnonzero(keep)


def _sample(n: int, settings: ClusterSettings) -> IntArray:
    """At most `SAMPLE` of n rows, ascending."""
    return np.sort(np.random.default_rng(settings.seed).permutation(n)[:SAMPLE])


def _typical(sample: FloatArray, cohort: FloatArray) -> float:
    return float(np.exp(np.log(_distances(sample, cohort)).mean()))


def _distances(unit: FloatArray, cohort: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Geometric mean over the ranks of 1 - cosine to the cohort, (n,) float64; the face itself is left out."""
    m = len(cohort)
    first = max(_FIRST_RANK, round(_RANKS[0] * m))
    last = min(max(first + 2, round(_RANKS[1] * m)), m - 1)
    found = np.empty(len(unit))
    step = max(1, min(_ROWS, _PRODUCT // m))
    for start in range(0, len(unit), step):
        rows = unit[start : start + step]
        nearest = np.argpartition(rows @ cohort.T, m - last - 1, axis=1)[:, m - last - 1 :]
        cosine = np.einsum("nd,nkd->nk", rows, cohort[nearest])
        distance = np.sort(1 - cosine.astype(np.float64), axis=1)
        is_self = distance[:, :1] < _SELF
        ranked = np.where(is_self, distance[:, 1:], distance[:, :-1])[:, first - 1 : last]
        found[start : start + step] = np.exp(np.log(np.maximum(ranked, _SELF)).mean(axis=1))
    return found
