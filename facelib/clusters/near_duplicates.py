"""Groups of near-identical images, from their 64-bit perceptual hashes.

Candidates come from an index over parts of the hash (Norouzi, Punjani and Fleet, "Fast search in
Hamming space with multi-index hashing", 2012): cut into b parts, two hashes at most d bits apart
agree in at least b - d of them, so a table for every choice of b - d parts misses no pair.
"""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from facelib.clusters.graph import components
from facelib.errors import ConfigError

HASH_BITS = 64
MAX_DISTANCE = 16
"""Largest distance accepted: beyond it unrelated 64-bit hashes (mean distance 32, sd 4) meet."""
_MAX_TABLES = 500
_POPCOUNT = np.array([i.bit_count() for i in range(1 << 16)], np.uint8)


def near_duplicate_groups(phash: npt.ArrayLike, max_distance: int = 6) -> npt.NDArray[np.int64]:
    """Group of each image, (n,) int64; -1 where no other image is near.

    `phash` (n,) int64 holds 64-bit hashes. Two images are near when their hashes differ in at most
    `max_distance` bits (0–16); groups are the connected components of that relation, so two
    members may be further apart than that. Groups are numbered from 0 by their smallest hash: the
    numbers do not depend on the order of the images. Raises ConfigError when `max_distance` is
    out of range.
    """
    if not 0 <= max_distance <= MAX_DISTANCE:
        raise ConfigError(f"max_distance is {max_distance}: give 0 to {MAX_DISTANCE} bits")
    unique, place, count = np.unique(np.asarray(phash, np.int64), return_inverse=True, return_counts=True)
    u, v = _near_pairs(unique.view(np.uint64), max_distance)
    component = components(len(unique), u, v)
    images = np.bincount(component, weights=count, minlength=1).astype(np.int64)
    grouped = images[component] > 1
    labels = np.full(len(unique), -1, np.int64)
    _, first, dense = np.unique(component[grouped], return_index=True, return_inverse=True)
    labels[grouped] = np.argsort(np.argsort(first))[dense]
    return labels[place]


def _near_pairs(
    hashes: npt.NDArray[np.uint64], max_distance: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Index pairs of distinct hashes at most `max_distance` bits apart; a pair may repeat."""
    none = np.empty(0, np.int64)
    if len(hashes) < 2 or max_distance == 0:
        return none, none
    parts, shared = _plan(len(hashes), max_distance)
    edge = [round(i * HASH_BITS / parts) for i in range(parts + 1)]
    masks = [((1 << (b - a)) - 1) << a for a, b in pairwise(edge)]
    found: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = [(none, none)]
    for chosen in combinations(masks, shared):
        found.extend(_bucket_pairs(hashes, np.uint64(sum(chosen)), max_distance))
    u, v = zip(*found, strict=True)
    return np.concatenate(u), np.concatenate(v)


def _plan(n: int, max_distance: int) -> tuple[int, int]:
    """Number of parts, and how many must agree: few tables, yet keys of about log2(n) bits."""
    wanted = math.log2(n)
    shared = 1
    while True:
        parts = max_distance + shared
        more = math.comb(parts + 1, shared + 1)
        if shared * HASH_BITS / parts >= wanted or parts + 1 > HASH_BITS or more > _MAX_TABLES:
            return parts, shared
        shared += 1


def _bucket_pairs(
    hashes: npt.NDArray[np.uint64], mask: np.uint64, max_distance: int
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Near pairs among the hashes that agree under the mask, by comparing sorted keys at growing lag."""
    keys = hashes & mask
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], hashes[order]
    found = []
    left = np.flatnonzero(keys[1:] == keys[:-1])
    lag = 1
    while len(left):
        near = left[_distance(values[left], values[left + lag]) <= max_distance]
        if len(near):
            found.append((order[near], order[near + lag]))
        lag += 1
        left = left[left + lag < len(keys)]
        left = left[keys[left] == keys[left + lag]]
    return found


def _distance(a: npt.NDArray[np.uint64], b: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Hamming distance of each pair, in bits."""
    halves = (a ^ b).view(np.uint16).reshape(-1, 4)
    return np.asarray(_POPCOUNT[halves].sum(axis=1, dtype=np.int64))
