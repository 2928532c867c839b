"""Embeddings with planted identities: what a clustering must bring back, at any size.

Every identity has a centre, every face lies about its identity's centre at a distance of its own, as far for a
blurred photograph as it is near for a good one, and junk faces belong to nobody and lie about a direction of their
own, as embeddings of blur do. Similarities of three kinds of models are imitated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class EmbeddingKind:
    """How the embeddings of a kind of model are spread over the unit sphere."""

    dimensions: int
    """Length of an embedding."""
    intrinsic: int
    """Dimensions in which identities differ; the fewer, the heavier the tail of non-mated similarities."""
    common: float
    """Mean cosine of two non-mated faces: the part of the vector that all faces share."""
    noise: float
    """Median length of a face's deviation from its centre, the centre's own part having length 1."""
    spread: float
    """Standard deviation of the logarithm of that length over faces."""


KINDS = {
    "dlib": EmbeddingKind(128, 40, 0.80, 0.45, 0.25),
    "facenet": EmbeddingKind(512, 56, 0.05, 0.50, 0.25),
    "arcface": EmbeddingKind(512, 200, 0.0, 0.70, 0.25),
    "plain": EmbeddingKind(128, 128, 0.0, 0.55, 0.25),
}


@dataclass(frozen=True)
class Planted:
    """`embeddings` (n, d) float32 of unit length; `identities` (n,) int64, junk faces each their own."""

    embeddings: npt.NDArray[np.float32]
    identities: npt.NDArray[np.int64]
    is_junk: npt.NDArray[np.bool_]


def planted_embeddings(
    n: int,
    kind: EmbeddingKind,
    seed: int,
    *,
    junk_share: float = 0.05,
    exponent: float = 2.0,
    largest: int = 1000,
) -> Planted:
    """`n` faces in random order.

    Identity sizes follow the power law P(s) ∝ s^-`exponent` on 1 … min(`largest`, n/100), as the sizes of web
    collections do (Guo et al., "MS-Celeb-1M", 2016, figure 3, for the shape). The same seed gives the same bits on the
    same machine.
    """
    random = np.random.default_rng(seed)
    n_junk = round(n * junk_share)
    identities = np.repeat(*_sizes(n - n_junk, exponent, max(2, min(largest, n // 100)), random))
    basis = np.linalg.qr(random.standard_normal((kind.dimensions, kind.dimensions)))[0].astype(np.float32)
    within = basis[: kind.intrinsic]
    n_identities = int(identities[-1]) + 1
    centres = _unit(random.standard_normal((n_identities, kind.intrinsic), np.float32)) @ within
    faces = np.empty((n, kind.dimensions), np.float32)
    for start in range(0, n - n_junk, _CHUNK):
        part = identities[start : start + _CHUNK]
        length = kind.noise * np.exp(kind.spread * random.standard_normal((len(part), 1), np.float32))
        faces[start : start + len(part)] = centres[part] + length * _noise(len(part), within, random)
    if n_junk:
        blur = _unit(random.standard_normal((1, kind.intrinsic), np.float32)) @ within
        faces[n - n_junk :] = _JUNK_SHARED * blur + _noise(n_junk, within, random)
    shared = np.float32(np.sqrt(kind.common))
    apart = np.float32(np.sqrt(1 - kind.common))
    faces = _unit(faces) * apart
    if kind.common:
        faces = _unit(faces + shared * _outside(basis, kind))
    order = random.permutation(n)
    labels = np.concatenate([identities, n_identities + np.arange(n_junk)])
    return Planted(np.ascontiguousarray(faces[order]), labels[order], (order >= n - n_junk))


_CHUNK = 65536
_JUNK_SHARED = 0.5
"""Length of the direction that junk faces share; their own parts have length 1."""


def _sizes(
    total: int, exponent: float, largest: int, random: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Identities from 0, and their sizes, which sum to `total`."""
    size = np.arange(1, largest + 1)
    law = size**-exponent
    drawn = random.choice(size, total, p=law / law.sum())
    count = int(np.searchsorted(np.cumsum(drawn), total)) + 1
    sizes = drawn[:count]
    sizes[-1] -= sizes.sum() - total
    return np.arange(count), sizes


def _noise(n: int, within: npt.NDArray[np.float32], random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Isotropic directions in the intrinsic space, (n, d), of unit length."""
    return np.asarray(_unit(random.standard_normal((n, len(within)), np.float32)) @ within, np.float32)


def _outside(basis: npt.NDArray[np.float32], kind: EmbeddingKind) -> npt.NDArray[np.float32]:
    return np.asarray(basis[kind.intrinsic % kind.dimensions])


def _unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
