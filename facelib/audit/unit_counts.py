"""Units of one kind, counted by all their attributes and by the identity each belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.audit.joint_counts import IntArray, JointCounts
from facelib.audit.moments import ShareMoments, share_moments

Names = tuple[str, ...]


@dataclass(frozen=True)
class SetMoments:
    """How identities hold the cells of one attribute set, flattened, the missing ones included.

    `everyone`: all units; `known`: those with a value for every attribute of the set.
    """

    everyone: ShareMoments
    known: ShareMoments

    def __add__(self, other: SetMoments) -> SetMoments:
        """Of both sets of identities, which must be disjoint."""
        return SetMoments(self.everyone + other.everyone, self.known + other.known)


@dataclass(frozen=True)
class UnitCounts:
    """joint: the units by all attributes. moments: by attribute set, and of all units under (); empty where every unit
    is an identity of its own."""

    joint: JointCounts
    moments: Mapping[Names, SetMoments]

    def table(self, names: Names) -> IntArray:
        """Counts of an attribute set, one axis per attribute, the missing value last."""
        return self.joint.table(*names)

    def __add__(self, other: UnitCounts) -> UnitCounts:
        """Of two parts of the units that share no identity."""
        moments = {names: found + other.moments[names] for names, found in self.moments.items()}
        return UnitCounts(self.joint.merged(other.joint), moments)


def count_units(
    categories: Mapping[str, Sequence[str]],
    codes: npt.ArrayLike,
    identity: npt.ArrayLike,
    sets: Sequence[Names],
) -> UnitCounts:
    """Units with the codes (units, k) of their values, as of `JointCounts`, and their identities (units,) int64.

    `sets` are the attribute sets to keep moments of.
    """
    rows = np.asarray(codes, np.int64).reshape(np.size(identity), len(categories))
    of = np.asarray(identity, np.int64)
    one = np.ones(len(rows), np.int64)
    names, sizes = list(categories), [len(c) for c in categories.values()]
    moments: dict[Names, SetMoments] = {(): _moments(of, one - 1, one > 0, 1)}
    for attributes in sets:
        at = [names.index(a) for a in attributes]
        shape = tuple(sizes[i] + 1 for i in at)
        cell = np.ravel_multi_index([rows[:, i] for i in at], shape)
        known = np.all([rows[:, i] < sizes[i] for i in at], axis=0)
        moments[attributes] = _moments(of, cell, known, int(np.prod(shape)))
    return UnitCounts(JointCounts.counted(categories, rows), moments)


def _moments(of: IntArray, cell: IntArray, known: npt.NDArray[np.bool_], cells: int) -> SetMoments:
    one = np.ones(len(of), np.int64)
    everyone = share_moments(of, cell, one, cells)
    return SetMoments(everyone, everyone if known.all() else share_moments(of[known], cell[known], one[known], cells))
