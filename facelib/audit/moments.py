"""Sums over identities from which the intervals of shares and of rates follow, one pass over any part of the units.

Sums of disjoint sets of identities add up, so parts can be counted in different tasks. Memory depends on the cells and
on how many different sizes the identities have, not on the number of units.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ShareMoments:
    """Units by cell and how identities hold them.

    With n_ck the units of identity c in cell k and m_c = Σ_k n_ck: `cross` float64 (S,) is Σ_c m_c n_ck, `squares`
    Σ_c m_c². `held` int64 (h, 3) are cell, n_ck > 0 and the number of identities with that many units in that cell,
    without repeats, sorted.
    """

    cells: int
    cross: Float64
    squares: float
    held: Int64

    @property
    def n(self) -> Int64:
        """Units by cell, int64 (S,)."""
        return self._sum(self.held[:, 1] * self.held[:, 2])

    @property
    def identities(self) -> Int64:
        """Identities with at least one unit in the cell, int64 (S,)."""
        return self._sum(self.held[:, 2])

    @property
    def own_squares(self) -> Float64:
        """Σ_c n_ck² by cell, float64 (S,)."""
        squares = self.held[:, 1].astype(np.float64) ** 2 * self.held[:, 2]
        return weighted_counts(self.held[:, 0], squares, self.cells)

    def sizes(self, cell: int) -> tuple[Int64, Int64]:
        """Units that identities have in a cell, ascending, and how many identities have so many; int64 (h,) each."""
        rows = self.held[self.held[:, 0] == cell]
        return rows[:, 1], rows[:, 2]

    def __add__(self, other: ShareMoments) -> ShareMoments:
        """Of both sets of identities, which must be disjoint."""
        held = np.concatenate([self.held, other.held])
        return ShareMoments(self.cells, self.cross + other.cross, self.squares + other.squares, merged(held))

    def _sum(self, values: Int64) -> Int64:
        found = np.zeros(self.cells, np.int64)
        np.add.at(found, self.held[:, 0], values)
        return found


def share_moments(identity: npt.ArrayLike, cell: npt.ArrayLike, n: npt.ArrayLike, cells: int) -> ShareMoments:
    """The moments of units counted by identity and cell; a combination may stand in several rows.

    `identity` int (m,), any numbers; `cell` int (m,), 0 … `cells` − 1; `n` int (m,) ≥ 0. Raises ConfigError for arrays
    that do not fit.
    """
    of, at, units = (np.asarray(a, np.int64) for a in (identity, cell, n))
    if not of.shape == at.shape == units.shape or np.any((at < 0) | (at >= cells)) or np.any(units < 0):
        raise ConfigError("identities, cells and units do not fit: give one of each per row, cells from 0")
    _, number = np.unique(of, return_inverse=True)
    key, position = np.unique(number * cells + at, return_inverse=True)
    held = np.zeros(key.size, np.int64)
    np.add.at(held, position, units)
    own, own_cell = np.divmod(key, max(1, cells))
    size = np.bincount(own, held).astype(np.float64)
    cross = weighted_counts(own_cell, held * size[own], cells)
    rows = np.column_stack([own_cell, held, np.ones(key.size, np.int64)])[held > 0]
    return ShareMoments(cells, cross, float((size**2).sum()), merged(rows))


def weighted_counts(codes: Int64, weights: Float64, size: int) -> Float64:
    """Sum of the weights of each code 0 … size − 1, float64 (size,)."""
    found: Float64 = np.bincount(codes, weights, minlength=size).astype(np.float64)
    return found


def merged(held: Int64) -> Int64:
    """Rows of cell, size and times, (h, 3), sorted, with the times of equal cells and sizes added up."""
    rows, position = np.unique(held[:, :2], axis=0, return_inverse=True)
    times = np.zeros(len(rows), np.int64)
    np.add.at(times, position.ravel(), held[:, 2])
    return np.column_stack([rows, times])


@dataclass(frozen=True)
class RateMoments:
    """Units that met an event, of those that could, by cell, and how identities hold them.

    With e_c events among w_c units of identity c: `events` and `units` int64, and Σ e², Σ e w, Σ w² float64, each of
    shape (cells,) or any other.
    """

    events: Int64
    units: Int64
    events_squared: Float64
    cross: Float64
    units_squared: Float64

    def __add__(self, other: RateMoments) -> RateMoments:
        """Of both sets of identities, which must be disjoint."""
        return RateMoments(*(a + b for a, b in zip(self.arrays(), other.arrays(), strict=True)))

    def arrays(self) -> tuple[Any, ...]:
        """Its five arrays, in order."""
        return self.events, self.units, self.events_squared, self.cross, self.units_squared

    @property
    def design_effect(self) -> Float64:
        """Variance of the rate over identities, linearised, over that of independent units; NaN for rates 0 and 1.

        Σ_c (e_c − r w_c)² / (W r (1 − r)), r = E / W. Source: W. G. Cochran, Sampling Techniques, 3rd ed. (1977),
        section 9A (ratio of clusters of unequal size).
        """
        units = np.maximum(self.units, 1).astype(np.float64)
        rate = self.events / units
        variance = self.events_squared - 2 * rate * self.cross + rate**2 * self.units_squared
        independent = units * rate * (1 - rate)
        known = independent > 0
        found: Float64 = np.divide(variance, independent, out=np.full(rate.shape, np.nan), where=known)
        return found


def rate_moments(
    identity: npt.ArrayLike, cell: npt.ArrayLike, events: npt.ArrayLike, units: npt.ArrayLike, cells: int
) -> RateMoments:
    """The moments, (cells, …), of `events` among `units`, int (m, …) with 0 ≤ events ≤ units, by identity and cell, int
    (m,)."""
    of, at, hits, whole = (np.asarray(a, np.int64) for a in (identity, cell, events, units))
    _, number = np.unique(of, return_inverse=True)
    key, position = np.unique(number * cells + at, return_inverse=True)
    own_cell = key % max(1, cells)
    shape = hits.shape[1:]
    columns = []
    for pair in zip(*(a.reshape(len(of), math.prod(shape)).T for a in (hits, whole)), strict=True):
        e, w = (weighted_counts(position, a.astype(np.float64), key.size) for a in pair)
        columns.append([weighted_counts(own_cell, v, cells) for v in (e, w, e * e, e * w, w * w)])
    found = [np.stack(parts, axis=-1).reshape(cells, *shape) for parts in zip(*columns, strict=True)]
    return RateMoments(found[0].astype(np.int64), found[1].astype(np.int64), *found[2:])


def sum_of(parts: Iterable[Any]) -> Any:
    """Moments of all parts together; at least one."""
    total, *rest = parts
    for part in rest:
        total = total + part
    return total
