"""Search of a gallery of enrolled subjects (1:N, open set): templates, exact search, decision, threshold.

A template is one reference made of all images of a subject (ISO/IEC 2382-37): the quality-weighted mean of their unit
embeddings, scaled to unit length. Averaging the embeddings of a subject's images before comparison is the baseline
of Whitelam et al., "IARPA Janus Benchmark-B face dataset", 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facelib.clusters.neighbours import DoubleArray, knn_block
from facelib.clusters.space import FloatArray, IntArray
from facelib.errors import ConfigError, DegenerateResultError

_SPARE = 8
"""Candidates kept beyond `top` until their scores are recomputed, so that rounding cannot decide the ranks."""
_COLUMN_TILES = 8


class Gallery(NamedTuple):
    """What probes are compared with: one row per subject, subjects in ascending order.

    The score of a probe x is vectors · x + offsets. For templates `offsets` is zero and the score a cosine.
    """

    subjects: tuple[str, ...]
    vectors: FloatArray
    """(subjects, d) float32."""
    offsets: FloatArray
    """(subjects,) float32."""


def templates(unit: FloatArray, weights: npt.ArrayLike, subjects: Sequence[str]) -> Gallery:
    """One template per subject: the direction of the weighted sum of its unit embeddings.

    `unit` (n, d) float32 unit rows; `weights` (n,) of 0 or more, the quality scores; `subjects` (n,). The images of a
    subject whose weights are all zero count alike. Raises ValueError for a weight that is negative or not
    finite, DegenerateResultError without a row.
    """
    given = np.asarray(weights, np.float64)
    if len(given) != len(unit) or len(subjects) != len(unit):
        raise ValueError("unit, weights and subjects differ in length")
    if not (np.isfinite(given) & (given >= 0)).all():
        raise ValueError("a weight is negative or not finite")
    if not len(unit):
        raise DegenerateResultError("the gallery has no face to make a template of: check the enrolled images")
    names, subject = np.unique(np.array(subjects, dtype=np.str_), return_inverse=True)
    totals = np.bincount(subject, given, len(names))
    given = np.where(totals[subject] > 0, given, 1.0)
    sums = np.zeros((len(names), unit.shape[1]))
    np.add.at(sums, subject, given[:, None] * unit.astype(np.float64))
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    vectors = np.divide(sums, norms, where=norms > 0, out=np.zeros_like(sums)).astype(np.float32)
    return Gallery(tuple(names.tolist()), vectors, np.zeros(len(names), np.float32))


def search(probes: FloatArray, gallery: Gallery, top: int, tile: int = 1024) -> tuple[IntArray, FloatArray]:
    """The `top` best-scoring subjects of each probe, exact, best first; equal scores by subject.

    `probes` (m, d) float32 unit rows. Returns indices into `gallery.subjects` and scores float32, both
    (m, min(top, subjects)). Memory: about 50 × `tile`² bytes.
    """
    n, width = len(gallery.subjects), tile * _COLUMN_TILES
    kept, wanted = min(top, n), min(top + _SPARE, n)
    indices, scores = np.empty((len(probes), kept), np.int64), np.empty((len(probes), kept), np.float32)
    for start in range(0, len(probes), tile):
        part = probes[start : start + tile]
        index, value = np.empty((len(part), 0), np.int64), np.empty((len(part), 0), np.float32)
        for left in range(0, n, width):
            columns = np.arange(left, min(left + width, n))
            product = part @ gallery.vectors[columns].T + gallery.offsets[columns]
            index = np.concatenate((index, np.broadcast_to(columns, product.shape)), axis=1)
            index, value = _largest(index, np.concatenate((value, product), axis=1), wanted)
        indices[start : start + tile], scores[start : start + tile] = _ranked(part, gallery, index, kept)
    return indices, scores


def decide(similarity: npt.ArrayLike, threshold: float) -> npt.NDArray[np.bool_]:
    """Whether each probe is identified: its best similarity exceeds the threshold."""
    return np.asarray(np.asarray(similarity) > threshold, np.bool_)


def non_mated_scores(gallery: Gallery) -> FloatArray:
    """Each template's best cosine to the template of another subject, (subjects,) float32.

    Each is a search whose subject is not enrolled: the gallery without that subject, probed with it
    (leave one subject out). DegenerateResultError with fewer than two subjects.
    """
    if len(gallery.subjects) < 2:
        raise DegenerateResultError("the gallery has one subject, so it says nothing about others: enrol more")
    return knn_block(gallery.vectors, gallery.vectors, 1, 0)[1][:, 0]


def threshold_at_fpir(scores: npt.ArrayLike, fpir: float) -> float:
    """The lowest score that at most a share `fpir` of non-mated searches exceeds.

    With the best score s of each of n non-mated searches, s₁ ≥ s₂ ≥ …, it is s₍ₖ₊₁₎, k = ⌊fpir · n⌋: FPIR(T) = share
    of non-mated searches with a candidate above T (ISO/IEC 19795-1; Grother, Ngan and Hanaoka, "Face Recognition
    Vendor Test part 2: identification", NISTIR 8271, 2019). FPIR grows with the number of subjects enrolled, so
    a threshold holds for galleries of about that size.

    On `non_mated_scores` three things make it differ from the FPIR of real probes. Templates of several images
    are compared, where a probe is one image: the mean of several lies nearer to all others, so the threshold
    comes out high. A person enrolled under two names has the same effect. And it holds for people like those
    enrolled: for a population whose members resemble each other more, it is too low.

    ConfigError when `fpir` is outside (0, 1), or below 1/n: that is less than one search.
    """
    falling: DoubleArray = np.sort(np.asarray(scores, np.float64))[::-1]
    if not 0 < fpir < 1:
        raise ConfigError(f"--fpir is {fpir:g}: give a rate above 0 and below 1, such as 0.01")
    allowed = int(fpir * len(falling) + 1e-9)
    if allowed < 1:
        raise ConfigError(
            f"--fpir {fpir:g} is less than one of the gallery's {len(falling)} searches: enrol more subjects, "
            "or give a higher rate or a --threshold"
        )
    return float(falling[allowed])


def _largest(index: IntArray, value: FloatArray, wanted: int) -> tuple[IntArray, FloatArray]:
    """The `wanted` largest values of each row, in the order of their columns; of equal values the first."""
    if value.shape[1] <= wanted:
        return index, value
    bar = np.partition(value, -wanted, axis=1)[:, -wanted, None]
    above, equal = value > bar, value == bar
    keep = above | (equal & (np.cumsum(equal, axis=1) <= wanted - above.sum(axis=1, keepdims=True)))
    return index[keep].reshape(len(value), wanted), value[keep].reshape(len(value), wanted)


def _ranked(part: FloatArray, gallery: Gallery, index: IntArray, kept: int) -> tuple[IntArray, FloatArray]:
    """Candidates with recomputed scores, best first, cut to `kept`."""
    score = np.einsum("md,mkd->mk", part, gallery.vectors[index]) + gallery.offsets[index]
    order = np.lexsort((index, -score), axis=1)[:, :kept]
    return np.take_along_axis(index, order, 1), np.take_along_axis(score, order, 1).astype(np.float32)
