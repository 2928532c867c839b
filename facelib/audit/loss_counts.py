"""Images by the number of stages they passed, with how identities hold those that were lost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.audit.moments import RateMoments, rate_moments
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
    done = np.asarray(passed, np.int64)[:, None]
    lost, reached = done == np.arange(stages), done >= np.arange(stages)
    _, of = np.unique(np.asarray(identity, np.int64), return_inverse=True)
    at = {attribute: i for i, attribute in enumerate(categories)}
    found: dict[Names, RateMoments] = {(): rate_moments(of, np.zeros(len(of), np.int64), lost, reached, 1)}
    for names in sets:
        if len(names) <= MOST_ATTRIBUTES:
            shape = [len(categories[a]) + 1 for a in names]
            cell = np.ravel_multi_index([rows[:, at[a]] for a in names], shape)
            found[names] = rate_moments(of, cell, lost, reached, math.prod(shape))
    return LossCounts(found)
