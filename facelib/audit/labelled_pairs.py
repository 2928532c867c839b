"""Every comparison of labelled faces once, in tiles, and the thresholds that hold false match rates.

Two faces of one subject are a mated comparison, of two subjects a non-mated one. Two faces of one image are no
comparison: they are two people in one photograph, whatever their labels say. Similarity does not depend on the
order of the two faces, so comparisons are unordered. One matches when its similarity is greater than the threshold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facelib.clusters.engine import blocks
from facelib.clusters.space import FloatArray, IntArray, Space
from facelib.errors import ConfigError

Flags = npt.NDArray[np.bool_]

LEAST_FALSE_MATCHES = 10
"""A false match rate is supported by the data when so many false matches, or more, are expected at it."""
_TILE = 1024
_HALF = 16
_BINS = 1 << _HALF


@dataclass(frozen=True)
class LabelledFaces:
    """Faces of known subjects, (n,) each: subjects are numbered from 0, a missing group is `n_groups`."""

    space: Space
    subject: IntArray
    image: IntArray
    group: IntArray
    n_groups: int

    @property
    def n_faces(self) -> int:
        """Number of faces."""
        return len(self.subject)

    @property
    def n_subjects(self) -> int:
        """Number of subjects."""
        return int(self.subject.max(initial=-1)) + 1

    def only(self, rows: IntArray) -> LabelledFaces:
        """Some of the faces; their subjects are numbered anew, in the same order."""
        _, subject = np.unique(self.subject[rows], return_inverse=True)
        space = self.space if len(rows) == self.n_faces else self.space.only(rows)
        return LabelledFaces(space, subject.astype(np.int64), self.image[rows], self.group[rows], self.n_groups)


class Tile(NamedTuple):
    """Similarities (a, b) of the faces `first` (a,) and `second` (b,); the flags mark each comparison once."""

    similarity: FloatArray
    mated: Flags
    non_mated: Flags
    first: slice
    second: slice


def labelled_faces(
    space: Space, subject: npt.ArrayLike, image: npt.ArrayLike, group: npt.ArrayLike, n_groups: int
) -> LabelledFaces:
    """The faces of known subjects. The arrays are (n,) integers; -1 is an unknown subject, or a missing group.

    Raises ConfigError when the lengths differ or a code is out of range.
    """
    of, at, label = (np.asarray(codes, np.int64).ravel() for codes in (subject, image, group))
    if not len(of) == len(at) == len(label) == space.faces:
        raise ConfigError(
            f"{len(of)} subjects, {len(at)} images and {len(label)} groups for {space.faces} faces: "
            "give one of each per face"
        )
    if of.min(initial=-1) < -1 or label.min(initial=-1) < -1 or label.max(initial=-1) >= n_groups:
        raise ConfigError(f"a subject or a group is below -1 or a group above {n_groups - 1}: number them from 0")
    everyone = LabelledFaces(space, of, at, np.where(label < 0, n_groups, label), n_groups)
    return everyone.only(np.flatnonzero(of >= 0))


def sampled(faces: LabelledFaces, most_faces: int, seed: int) -> LabelledFaces:
    """All faces up to `most_faces`, else all those of some subjects.

    The subjects are taken in a random order, each with all its faces, as long as they fit.
    """
    return faces if faces.n_faces <= most_faces else faces.only(sampled_rows(faces.subject, most_faces, seed))


def sampled_rows(subject: IntArray, most_faces: int, seed: int) -> IntArray:
    """Rows of the faces of `sampled`, ascending; `subject` (n,) counts from 0."""
    sizes = np.bincount(subject)
    order = np.random.default_rng(seed).permutation(len(sizes))
    taken = order[np.cumsum(sizes[order]) <= most_faces] if len(subject) > most_faces else order
    return np.flatnonzero(np.isin(subject, taken))


def tiles(faces: LabelledFaces) -> Iterator[Tile]:
    """Every pair of faces once, by tiles of at most 1024 × 1024; the same bits in every pass."""
    spans = [slice(*block) for block in blocks(faces.n_faces, _TILE)]
    upper = np.triu(np.ones((_TILE, _TILE), bool), 1)
    for i, first in enumerate(spans):
        for second in spans[i:]:
            similarity = faces.space.left[first] @ faces.space.right[second].T
            mated = faces.subject[first, None] == faces.subject[second]
            compared = faces.image[first, None] != faces.image[second]
            if first is second:
                compared &= upper[: len(compared), : len(compared)]
            yield Tile(similarity, mated & compared, ~mated & compared, first, second)


def thresholds_at(faces: LabelledFaces, rates: Sequence[float]) -> list[float | None]:
    """For each false match rate, the lowest non-mated similarity that at most this share of the non-mated exceeds.

    None when the data does not support the rate: fewer than LEAST_FALSE_MATCHES expected. The order statistic is exact:
    similarities are counted by the upper half of their bits and then, where the statistic lies, by the lower half.
    Raises ConfigError for a rate outside (0, 1).
    """
    if not all(0 < rate < 1 for rate in rates):
        raise ConfigError("a false match rate is outside 0 … 1: give rates such as 1e-3,1e-4")
    upper = np.zeros(_BINS, np.int64)
    for tile in tiles(faces):
        upper += np.bincount(_bits(tile) >> _HALF, minlength=_BINS)
    total = int(upper.sum())
    allowed = {rate: int(rate * total) for rate in rates if rate * total >= LEAST_FALSE_MATCHES}
    falling = np.concatenate([np.arange(_BINS // 2)[::-1], np.arange(_BINS // 2, _BINS)])
    place = {rate: _reached(upper, falling, most) for rate, most in allowed.items()}
    lower = {part: np.zeros(_BINS, np.int64) for part, _ in place.values()}
    for tile in tiles(faces) if lower else ():
        bits = _bits(tile)
        for part, count in lower.items():
            count += np.bincount(bits[bits >> _HALF == part] & (_BINS - 1), minlength=_BINS)
    found: list[float | None] = []
    for rate in rates:
        if rate not in allowed:
            found.append(None)
            continue
        part, exceeding = place[rate]
        falling = np.arange(_BINS) if part >= _BINS // 2 else np.arange(_BINS)[::-1]
        rest, _ = _reached(lower[part], falling, allowed[rate] - exceeding)
        found.append(float(np.uint32((part << _HALF) + rest).view(np.float32)))
    return found


def _bits(tile: Tile) -> npt.NDArray[np.uint32]:
    """Of the non-mated similarities, sign first: of negative values, greater bits mean smaller values."""
    return tile.similarity[tile.non_mated].view(np.uint32)


def _reached(counts: IntArray, falling: IntArray, most: int) -> tuple[int, int]:
    """The first bin, in this order, up to which more than `most` are counted, and how many are before it."""
    so_far = counts[falling].cumsum()
    at = int(np.searchsorted(so_far, most, side="right"))
    return int(falling[at]), int(so_far[at] - counts[falling[at]])
