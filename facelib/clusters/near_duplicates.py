"""Groups of near-identical images, from two 64-bit hashes of each image and of its mirror image.

The two hashes of an image side by side are its code, of 128 bits. The mirror image has a code of its own. Two
images are near when a code of one differs from a code of the other in at most so many bits. Pairs are found
with the tables of `hash_bands`. Codes that crowd under one key are searched on their own, where other bits tell
them apart; where tables do not help, all pairs are compared, but for those that are joined already.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facelib.clusters.components import components, first_seen
from facelib.clusters.hash_bands import WORDS, Band, BandPlan, ones_per_bit, plan_bands

_CROWD = 1000
_POPCOUNT = np.array([i.bit_count() for i in range(1 << 16)], np.uint8)

Codes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


class NearComponents(NamedTuple):
    """Component of each node, (n,) int64, numbered by first member, and the pairs of codes compared."""

    labels: Ints
    comparisons: int


def near_duplicate_groups(codes: npt.ArrayLike, mirrors: npt.ArrayLike, max_distance: int) -> Ints:
    """Group of each image, (n,) int64; -1 where no other image is near.

    `codes`, `mirrors` (n, 2) int64: two 64-bit hashes of each image, and of its mirror image. Two images are
    near when one of the two codes of the one and one of the other differ in at most `max_distance` of 128 bits.
    Groups are the connected components of that relation, so two members may be further apart than that; they
    are numbered from 0 in order of their first image.
    """
    own = np.asarray(codes, np.int64).reshape(-1, WORDS).view(np.uint64)
    both = np.concatenate([own, np.asarray(mirrors, np.int64).reshape(-1, WORDS).view(np.uint64)])
    labels = near_components(both, np.tile(np.arange(len(own)), 2), max_distance).labels
    grouped = (np.bincount(labels, minlength=1) > 1)[labels]
    groups = np.full(len(own), -1, np.int64)
    groups[grouped] = first_seen(labels[grouped])
    return groups


def near_components(
    codes: Codes, nodes: Ints, max_distance: int, bands: tuple[Band, ...] | None = None
) -> NearComponents:
    """Connected components of nodes that have codes (m, 2) at most `max_distance` bits apart.

    `nodes` (m,): the node each code belongs to, 0 to n - 1; a node may have several codes. With `bands`, only
    pairs that these bring together are sure to be found.
    """
    distinct, place = distinct_codes(codes)
    n = int(nodes.max(initial=-1)) + 1
    labels = components(len(distinct) + n, place, len(distinct) + nodes)[: len(distinct)]
    labels, comparisons = _search(distinct, labels, max_distance, bands)
    found = np.empty(n, np.int64)
    found[nodes] = labels[place]
    return NearComponents(first_seen(found), comparisons)


def chain(members: Ints, labels: Ints) -> tuple[Ints, Ints]:
    """Pairs (u, v) of members that join all members with the same label, and no others."""
    order = np.argsort(labels, kind="stable")
    ahead = labels[order][1:] == labels[order][:-1]
    return members[order[:-1][ahead]], members[order[1:][ahead]]


def _search(codes: Codes, labels: Ints, max_distance: int, bands: tuple[Band, ...] | None) -> NearComponents:
    """`labels` of distinct codes, joined wherever two codes are near."""
    budget, comparisons = len(codes) * (len(codes) - 1) // 8, 0  # a quarter of all pairs
    if bands is None:
        plan = plan_bands(ones_per_bit(codes), len(codes), max_distance) if len(codes) else BandPlan((), 0)
        if plan.cost > 4 * budget:
            return _spread(codes, labels, max_distance)
        bands = plan.bands
    labels = first_seen(labels)
    for band in bands:
        for mask in band.tables:
            table = _Table(codes, labels, band.word, mask)
            if comparisons + table.pairs > budget or any(len(c) == len(codes) for c in table.crowds):
                found = _spread(codes, labels, max_distance)
                return NearComponents(found.labels, comparisons + found.comparisons)
            comparisons += table.pairs
            for u, v in table.links(max_distance):
                labels = _joined(labels, u, v)
            for crowd in table.crowds:
                inner = _search(codes[crowd], labels[crowd], max_distance, None)
                comparisons += inner.comparisons
                labels = _joined(labels, *chain(crowd, inner.labels))
    return NearComponents(labels, comparisons)


class _Table:
    """Runs of codes that agree under a mask, those left out whose codes are joined already.

    `pairs`: pairs to compare within the runs; `crowds`: the indices of runs too long for that.
    """

    def __init__(self, codes: Codes, labels: Ints, word: int, mask: int) -> None:
        keys = codes[:, word] & np.uint64(mask)
        order = np.argsort(keys)
        start = np.flatnonzero(np.concatenate([[True], keys[order[1:]] != keys[order[:-1]]]))
        size = np.diff(start, append=len(codes))
        sorted_labels = labels[order]
        mixed = np.minimum.reduceat(sorted_labels, start) != np.maximum.reduceat(sorted_labels, start)
        crowded = mixed & (size > _CROWD)
        self.crowds = [order[a : a + n] for a, n in zip(start[crowded], size[crowded], strict=True)]
        start, size = start[mixed & ~crowded], size[mixed & ~crowded]
        self.pairs = int((size * (size - 1) // 2).sum())
        stop = np.cumsum(size)
        self._members = order[np.arange(size.sum()) + np.repeat(start - stop + size, size)]
        self._stop = np.repeat(stop, size)
        self._codes = codes
        self._word = word

    def links(self, max_distance: int) -> Iterator[tuple[Ints, Ints]]:
        """Pairs of indices of near codes within the runs, in batches."""
        other = self._codes[self._members, 1 - self._word]  # the word that the mask does not make alike
        left, stop, lag = np.arange(len(self._members)), self._stop, 0
        found: list[tuple[Ints, Ints]] = []
        while len(left):
            lag += 1
            has_more = left + lag < stop
            left, stop = left[has_more], stop[has_more]
            maybe = left[_popcount(other[left] ^ other[left + lag]) <= max_distance]
            u, v = self._members[maybe], self._members[maybe + lag]
            near = _distance(self._codes[u], self._codes[v]) <= max_distance
            found.append((u[near], v[near]))
            if not len(left) or sum(len(u) for u, _ in found) > len(self._codes):
                all_u, all_v = zip(*found, strict=True)
                yield np.concatenate(all_u), np.concatenate(all_v)
                found = []


def _spread(codes: Codes, labels: Ints, max_distance: int) -> NearComponents:
    """The same from all pairs, except those of codes that have been reached from the same code."""
    found = np.full(len(codes), -1, np.int64)
    waiting, comparisons = np.arange(len(codes)), 0
    while len(waiting):
        first, waiting = waiting[0], waiting[1:]
        found[first] = first
        reached, rest = [first], codes[waiting]
        while reached and len(waiting):
            near = _distance(codes[reached.pop()], rest) <= max_distance
            comparisons += len(waiting)
            if near.any():
                found[waiting[near]] = first
                reached.extend(waiting[near])
                waiting, rest = waiting[~near], rest[~near]
    return NearComponents(_joined(first_seen(labels), *chain(np.arange(len(codes)), found)), comparisons)


def _joined(labels: Ints, u: Ints, v: Ints) -> Ints:
    """Labels after joining those of u[i] and v[i] for all i."""
    a, b = labels[u], labels[v]
    apart = a != b
    if not apart.any():
        return labels
    touched, place = np.unique(np.concatenate([a[apart], b[apart]]), return_inverse=True)
    joined = components(len(touched), *np.split(place, 2))
    _, first = np.unique(joined, return_index=True)
    new = np.arange(labels.max() + 1)
    new[touched] = touched[first][joined]
    return np.asarray(new[labels])


def distinct_codes(codes: Codes) -> tuple[Codes, Ints]:
    """Distinct codes in ascending order, and the index of each code among them."""
    order = np.lexsort((codes[:, 1], codes[:, 0]))
    ordered = codes[order]
    new = np.ones(len(codes), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    place = np.empty(len(codes), np.int64)
    place[order] = np.cumsum(new) - 1
    return ordered[new], place


def _distance(a: Codes, b: Codes) -> npt.NDArray[np.uint32]:
    """Hamming distance of each pair of codes (n, 2), in bits."""
    bits = _popcount((a ^ b).reshape(-1))
    return np.asarray(bits[::2] + bits[1::2])


def _popcount(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
    """Bits set in each of (n,) words."""
    counts = _POPCOUNT[words.view(np.uint16)].view(np.uint32)  # four counts of at most 16
    return np.asarray(counts * np.uint32(0x01010101) >> np.uint32(24))
