"""Identities as units of sampling: images that must stay together, and random samples of them."""

from __future__ import annotations

import numpy as np

from facelib.audit.ppi import Int64
from facelib.clusters.components import components


def linked_units(*names: Int64) -> Int64:
    """The identity of each of M images (M,) int64, numbered from 0 by first image.

    names: int64 (M,) each, such as the cluster and the verified subject of an image, −1 where it has none. Images that
    share one of them belong together, directly or through others; an image without any is alone. So neither a person
    whom clusters divide nor two whom they join are ever taken for independent where a subject or cluster says so.
    """
    size = names[0].size
    pairs = []
    for name in names:
        rows = np.flatnonzero(name >= 0)
        _, first, inverse = np.unique(name[rows], return_index=True, return_inverse=True)
        pairs.append((rows[first][inverse], rows))
    u, v = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    return components(size, u, v)


def drawn_units(unit: Int64, most: int, seed: int) -> tuple[Int64, float]:
    """Rows (m,) int64 ascending of a random sample of whole units, up to `most` images, and the share of units drawn.

    unit: int64 (M,), numbered from 0 without gaps. Units are drawn without replacement, all with equal probability,
    until the next would exceed `most`; at least one is. All rows and 1.0 where M ≤ `most`. The share is the
    probability with which an image is drawn, but for the part of `most` that one unit makes. Equal input and seed give
    an equal sample.
    """
    if unit.size <= most:
        return np.arange(unit.size), 1.0
    size = np.bincount(unit)
    order = np.random.default_rng(seed).permutation(size.size)
    taken = max(1, int(np.searchsorted(np.cumsum(size[order]), most, side="right")))
    is_drawn = np.zeros(size.size, np.bool_)
    is_drawn[order[:taken]] = True
    return np.flatnonzero(is_drawn[unit]), taken / size.size
