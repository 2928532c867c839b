"""Which bits of two-word codes to index, so that no near pair is missed.

Norouzi, Punjani and Fleet, "Fast search in Hamming space with multi-index hashing" (2012). If two codes
differ in at most d bits, their first words differ in at most r or their second words in at most d - 1 - r,
whatever r. If two words cut into r + s parts differ in at most r bits, they agree in at least s parts: a
table for every choice of s parts brings every such pair together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

WORD_BITS = 64
WORDS = 2
_MAX_TABLES = 500
_SORT = 8  # cost of sorting one code, in comparisons


@dataclass(frozen=True)
class Band:
    """The tables of `word` whose first part is `mask`: each table is the mask of the bits that must agree."""

    word: int
    mask: int
    tables: tuple[int, ...]


@dataclass(frozen=True)
class BandPlan:
    """Bands, and the comparisons they are expected to cost if the bits were independent."""

    bands: tuple[Band, ...]
    cost: float


def plan_bands(ones: npt.NDArray[np.int64], n: int, max_distance: int) -> BandPlan:
    """The cheapest bands that bring together every pair of n codes at most `max_distance` bits apart.

    `ones` (2, 64): codes in which each bit is set, lowest bit first. Bits that vary little tell codes apart
    little: the bits are dealt to the parts so that each part has its share of those that vary most.
    """
    entropy = [_entropy_bits(ones[word] / n) for word in range(WORDS)]
    cheapest = [[_cheapest(r, n, float(e.sum())) for r in range(-1, max_distance + 1)] for e in entropy]
    splits = [(first, max_distance - 1 - first) for first in range(-1, max_distance + 1)]
    radii = min(splits, key=lambda split: sum(cheapest[word][r + 1].cost for word, r in enumerate(split)))
    chosen = [cheapest[word][r + 1] for word, r in enumerate(radii)]
    bands = [
        band
        for word, (r, c) in enumerate(zip(radii, chosen, strict=True))
        if r >= 0
        for band in _bands(word, _deal(entropy[word], r + c.shared), c.shared)
    ]
    return BandPlan(tuple(bands), sum(c.cost for c in chosen))


def ones_per_bit(codes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Codes in which each bit is set, (2, 64) int64, of (n, 2) codes."""
    one = np.uint64(1)
    return np.array([[((codes[:, w] >> np.uint64(b)) & one).sum() for b in range(WORD_BITS)] for w in range(WORDS)])


class _Choice(NamedTuple):
    cost: float
    shared: int


def _cheapest(radius: int, n: int, entropy: float) -> _Choice:
    """How many parts should have to agree, and the cost; nothing is to be done for a radius of -1."""
    if radius < 0:
        return _Choice(0.0, 0)
    choices = []
    for shared in range(1, WORD_BITS - radius + 1):
        tables = math.comb(radius + shared, shared)
        if shared > 1 and tables > _MAX_TABLES:
            break
        alike = n / 2 * 2.0 ** -(entropy * shared / (radius + shared))
        choices.append(_Choice(tables * n * (_SORT + alike), shared))
    return min(choices)


def _entropy_bits(share: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Entropy of each bit, 0–1 bit, from the share of codes in which it is set."""
    p = np.stack([share, 1 - share])
    return np.asarray(-(p * np.log2(np.where(p > 0, p, 1))).sum(axis=0))


def _deal(entropy: npt.NDArray[np.float64], parts: int) -> list[int]:
    """Masks of the parts: bits by falling entropy, dealt forwards and backwards in turn."""
    masks = [0] * parts
    for place, bit in enumerate(np.argsort(-entropy, kind="stable")):
        round_, seat = divmod(place, parts)
        masks[parts - 1 - seat if round_ % 2 else seat] |= 1 << int(bit)
    return masks


def _bands(word: int, parts: list[int], shared: int) -> Iterator[Band]:
    for first in range(len(parts) - shared + 1):
        rest = combinations(parts[first + 1 :], shared - 1)
        yield Band(word, parts[first], tuple(parts[first] | sum(chosen) for chosen in rest))
