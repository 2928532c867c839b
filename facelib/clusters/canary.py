"""The canary: synthetic identities that are clustered with the archive's faces and must come back.

Each is a direction drawn like the archive's embeddings are spread (their mean and covariance), with a few faces
about it that are much more alike than strangers usually are. When they do not come back as they were planted, the
similarity stage is broken, whatever the cause: unusable embeddings, a floor that joins everything, a search
that misses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facelib.clusters.agreement import pairwise_scores
from facelib.clusters.copies import near_distance
from facelib.clusters.space import FloatArray, IntArray

FACES = 4
"""Of each synthetic identity."""
_SHARE = 0.01
"""Of the archive's faces, at most, but for two identities."""
_MOST = 25
_SAMPLE = 4096
_CLOSENESS = 0.25
"""Distance 1 - cosine of two faces of an identity, relative to the one that 0.5 % of all pairs are closer than."""


@dataclass(frozen=True)
class Canary:
    """`unit` (m, d) float32 and the identity (m,) int64 of each synthetic face."""

    unit: FloatArray
    identity: IntArray


def no_canary(d: int) -> Canary:
    """None, where embeddings have d values."""
    return Canary(np.empty((0, d), np.float32), np.empty(0, np.int64))


def plant(unit: FloatArray, seed: int) -> Canary:
    """Synthetic faces for an archive with unit rows (n, d). It must hold many people: drawn from the spread of a few,
    the synthetic ones would lie between them."""
    n = len(unit)
    random = np.random.default_rng(seed)
    sample = unit[np.sort(random.permutation(n)[:_SAMPLE])].astype(np.float64)
    count = int(np.clip(n * _SHARE / FACES, 2, _MOST))
    mean = sample.mean(axis=0)
    centres = mean + random.standard_normal((count, len(sample))) @ (sample - mean) / np.sqrt(len(sample))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    near = _CLOSENESS * max(near_distance(unit, seed), 0.0)  # rounding makes it negative where faces are equal
    identity = np.repeat(np.arange(count), FACES)
    noise = random.standard_normal((len(identity), len(sample))) @ (sample - mean)
    noise -= np.einsum("nd,nd->n", noise, centres[identity])[:, None] * centres[identity]
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    faces = centres[identity] + np.sqrt(near) * noise  # two such rows differ by 1 - cosine of about `near`
    return Canary((faces / np.linalg.norm(faces, axis=1, keepdims=True)).astype(np.float32), identity)


def recovery(labels: IntArray, canary: Canary) -> float | None:
    """Pairwise F of the synthetic identities, in [0, 1]; null without any. `labels` (n + m,): they come last.

    The archive's faces of a cluster count as of another identity where they outnumber the synthetic ones: a stray face
    with a false edge to a synthetic one is what the floor allows, not a fault of the stage.
    """
    m = len(canary.identity)
    if not m:
        return None
    n = len(labels) - m
    own, synthetic = (np.bincount(part, minlength=int(labels.max()) + 1) for part in (labels[:n], labels[n:]))
    near = np.flatnonzero(((synthetic > 0) & (own > synthetic))[labels[:n]])
    truth = np.concatenate([canary.identity, canary.identity.max() + 1 + np.arange(len(near))])
    return pairwise_scores(np.concatenate([labels[n:], labels[near]]), truth).f1
