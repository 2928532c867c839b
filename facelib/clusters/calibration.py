"""The floor from verified subjects, where the user has labels and asks for it."""

from __future__ import annotations

import numpy as np

from facelib.clusters.engine import blocks
from facelib.clusters.floor import FloorEstimate, continued_tail
from facelib.clusters.neighbours import BIN_WIDTH, BINS, empty_histogram
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import IntArray, Space

MOST_FACES = 20_000
"""Labelled faces that are compared; of more, a random sample."""
_ROWS = 1024


def calibrated_floor(
    space: Space, subject: IntArray, settings: ClusterSettings, archive_faces: int
) -> FloorEstimate | None:
    """Floor at which `settings.false_edges_per_face` are expected, from all pairs of different subjects.

    `subject` (n,): the verified person of each face of the space, -1 where unknown. Where the wanted share is below
    that of 50 pairs, the survival is continued by its slope (see `facelib.clusters.floor`). None when fewer than a
    hundred pairs of two subjects are known.
    """
    known = np.flatnonzero(subject >= 0)
    if len(known) > MOST_FACES:
        known = np.sort(np.random.default_rng(settings.seed).permutation(known)[:MOST_FACES])
    histogram = empty_histogram()
    for first, last in blocks(len(known), _ROWS):
        rows, later = known[first:last], known[first:]
        similarity = space.left[rows] @ space.right[later].T
        apart = subject[rows][:, None] != subject[later]
        apart &= np.arange(len(later)) > np.arange(len(rows))[:, None]
        bins = np.clip(((similarity[apart] + 1) / BIN_WIDTH).astype(np.int64), 0, BINS - 1)
        histogram += np.bincount(bins, minlength=BINS)
    wanted = settings.false_edges_per_face / archive_faces
    tail = continued_tail(histogram, wanted, wanted)
    if tail is None:
        return None
    floor, anchor, dimension = tail
    return FloorEstimate(
        floor=floor,
        fmr=wanted,
        expected_false_edges_per_face=settings.false_edges_per_face,
        method="subjects",
        n_faces=archive_faces,
        anchor=anchor,
        dimension=dimension,
    )
