"""Images by the number of stages they passed, with how identities hold those that were lost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.audit.moments import Int64, RateMoments, weighted_counts
from facelib.audit.unit_counts import Names

MOST_ATTRIBUTES = 2
"""Losses are counted by single attributes and by pairs."""


@dataclass(frozen=True)
class LossCounts:
    """Images lost (events) of those that reached a stage (units), by attribute set.

    moments: arrays (cells, stages), the cells of a set in the order of `JointCounts.table`, each attribute's missing
    value last; under () of all images, (1, stages).
    """

    moments: Mapping[Names, RateMoments]

    def __add__(self, other: LossCounts) -> LossCounts:
        """Of two parts of the images that share no identity."""
        return LossCounts({names: found + other.moments[names] for names, found in self.moments.items()})


def count_losses(
    categories: Mapping[str, Sequence[str]],
    codes: npt.ArrayLike,
    passed: npt.ArrayLike,
    identity: npt.ArrayLike,
    stages: int,
    sets: Iterable[Names],
) -> LossCounts:
    """Images with the codes (images, k) of their values, the stages they passed, 0 … stages, and their identities.

    sets: attribute sets; those of more than MOST_ATTRIBUTES are left out.
    """
    rows = np.asarray(codes, np.int64).reshape(np.size(passed), len(categories))
    done = np.asarray(passed, np.int64)
    _, of = np.unique(np.asarray(identity, np.int64), return_inverse=True)
    at = {attribute: i for i, attribute in enumerate(categories)}
    found: dict[Names, RateMoments] = {(): _by_stage(of, np.zeros(len(of), np.int64), done, 1, stages)}
    for names in sets:
        if len(names) <= MOST_ATTRIBUTES:
            shape = [len(categories[a]) + 1 for a in names]
            cell = np.ravel_multi_index([rows[:, at[a]] for a in names], shape)
            found[names] = _by_stage(of, cell, done, math.prod(shape), stages)
    return LossCounts(found)


def _by_stage(of: Int64, cell: Int64, passed: Int64, cells: int, stages: int) -> RateMoments:
    """As `moments.rate_moments`, (cells, stages), of the images that reached each stage."""
    key, position = np.unique(of * cells + cell, return_inverse=True)
    own_cell = key % cells
    columns = []
    for stage in range(stages):
        e = np.bincount(position[passed == stage], minlength=key.size)
        w = np.bincount(position[passed >= stage], minlength=key.size)
        columns.append([weighted_counts(own_cell, v.astype(np.float64), cells) for v in (e, w, e * e, e * w, w * w)])
    events, units, *products = (np.stack(parts, axis=1) for parts in zip(*columns, strict=True))
    return RateMoments(events.astype(np.int64), units.astype(np.int64), *products)
