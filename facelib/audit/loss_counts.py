"""Images by the number of stages they passed, with how identities hold those that were lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.audit.moments import Int64, RateMoments, rate_moments


@dataclass(frozen=True)
class LossCounts:
    """Images lost (events) of those that reached a stage (units), by attribute.

    moments: arrays (groups + 1, stages), the missing cell last; under None of all images, (1, stages).
    """

    moments: Mapping[str | None, RateMoments]

    def __add__(self, other: LossCounts) -> LossCounts:
        """Of two parts of the images that share no identity."""
        return LossCounts({a: found + other.moments[a] for a, found in self.moments.items()})


def count_losses(
    categories: Mapping[str, Sequence[str]],
    codes: npt.ArrayLike,
    passed: npt.ArrayLike,
    identity: npt.ArrayLike,
    stages: int,
) -> LossCounts:
    """Images with the codes (images, k) of their values, the stages they passed, 0 … stages, and their identities."""
    rows = np.asarray(codes, np.int64).reshape(np.size(passed), len(categories))
    done, of = np.asarray(passed, np.int64), np.asarray(identity, np.int64)
    found: dict[str | None, RateMoments] = {None: _by_stage(of, np.zeros(len(of), np.int64), done, 1, stages)}
    for i, (attribute, groups) in enumerate(categories.items()):
        found[attribute] = _by_stage(of, rows[:, i], done, len(groups) + 1, stages)
    return LossCounts(found)


def _by_stage(of: Int64, group: Int64, passed: Int64, groups: int, stages: int) -> RateMoments:
    columns = []
    for stage in range(stages):
        there = passed >= stage
        lost = (passed[there] == stage).astype(np.int64)
        columns.append(rate_moments(of[there], group[there], lost, np.ones(len(lost), np.int64), groups))
    return RateMoments(*(np.stack(parts, axis=1) for parts in zip(*(c.arrays() for c in columns), strict=True)))
