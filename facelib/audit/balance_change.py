"""How shares changed between two runs over archives that overlap, and whether by more than chance.

A unit (image, face, cluster, person) is in the earlier run A, in the later run B, or in both. With N_A and N_B units,
the difference of the shares of a cell is Σ gᵢ over the units i of the cell, gᵢ = [i in B] / N_B − [i in A] / N_A, and
Σ gᵢ over all units is 0. Units in both with one cell have the same small weight in all of them, and none at all where
N_A = N_B: they cancel. So the difference is W (p₊ − p₋), where p₊ and p₋ are the weighted shares among the units of
positive and of negative weight, and W is the sum of the positive weights: after a growth, the added units against the
earlier ones, W = N_added / N_B. A unit whose cell changed counts as removed and added.

Chance is that of drawing identities, each with all its units of both runs, from one source. Errors of the labels, of
the clusters, and of the choice of what was added are not in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.audit.two_shares import compare_shares
from facelib.errors import ConfigError

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
ABSENT = -1
"""Code of the cell of a unit in a run that it is not in."""
_LEAST_FACTOR = 1e-6


@dataclass(frozen=True)
class Change:
    """Cells before and after, arrays (S,).

    n_before, n_after: int64. share_before, share_after: float64 0–1, of all units of the run; NaN without any.
    difference: after − before, −1 … 1, with its interval low … high; p_value: that of no difference in the source,
    0–1, two-sided; all NaN where one of the runs has no unit, p_value 1 where nothing changed.
    """

    n_before: Int64
    n_after: Int64
    share_before: Float64
    share_after: Float64
    difference: Float64
    low: Float64
    high: Float64
    p_value: Float64


@dataclass(frozen=True)
class _Side:
    """Units of one sign of weight: identity and cell of each, (m,), and weights that add up to 1."""

    identity: Int64
    cell: Int64
    weight: Float64

    @classmethod
    def of(cls, identity: Int64, cell: Int64, weight: Float64) -> _Side:
        return cls(identity, cell, weight / weight.sum())

    def by_identity(self, identities: int) -> Float64:
        """Weight of each identity, (C,)."""
        return np.asarray(np.bincount(self.identity, self.weight, minlength=identities), np.float64)

    def shares(self, cells: int) -> Float64:
        """(S,)."""
        return np.minimum(np.bincount(self.cell, self.weight, minlength=cells), 1.0)


def share_changes(
    identity: npt.ArrayLike, before: npt.ArrayLike, after: npt.ArrayLike, cells: int, confidence: float = 0.95
) -> Change:
    """Shares of S = `cells` cells among the units of an earlier and of a later run.

    identity: int (U,), any numbers; before, after: int (U,), the cell of each unit in the runs, 0 … S − 1, ABSENT where
    it is not in that run; units in neither do not count. A unit without a label needs a cell too. Raises ConfigError
    for other codes.

    p₊ and p₋ are compared as if m₊ and m₋ independent units had been drawn (`compare_shares`). With a, b the weights of
    the units of both signs, each adding up to 1, A_c, B_c those of the identity c and ρ the correlation of
    units of one identity: 1 / m₊ = ρ Σ A_c² + (1 − ρ) Σ a², likewise m₋. Both are divided by the factor by which the
    variance of p₊ − p₋ is larger than that: the larger of
    1 − 2ρ Σ A_c B_c / (1 / m₊ + 1 / m₋), since identities with units of both signs cancel, and of the cell's own
    linearised Σ_c (Σ a (y − p₊) − Σ b (y − p₋))² over p₊(1 − p₊) / m₊ + p₋(1 − p₋) / m₋, y = 1 for units of the
    cell. The first sees too few identities where a cell has few, the second does not.

    Sources: L. Kish, Survey Sampling (1965) (design effects, overlapping samples); S. Karlin, E. C. Cameron and
    P. T. Williams, PNAS 78 (1981) 2664–2668 (ρ by pairs); D. A. Binder, "On the variances of asymptotically normal
    estimators from complex surveys", International Statistical Review 51 (1983) 279–292 (linearisation).
    """
    of, old, new = _checked(identity, before, after, cells)
    n_old = np.bincount(old[old >= 0], minlength=cells).astype(np.int64)
    n_new = np.bincount(new[new >= 0], minlength=cells).astype(np.int64)
    total_old, total_new = int(n_old.sum()), int(n_new.sum())
    nan = np.full(cells, np.nan)
    if not total_old or not total_new:
        shares = (n_old / total_old if total_old else nan), (n_new / total_new if total_new else nan)
        return Change(n_old, n_new, *shares, nan, nan, nan, nan)
    share_old, share_new = n_old / total_old, n_new / total_new
    sides = _sides(of, old, new, total_old, total_new)
    if sides is None:
        nothing = np.zeros(cells)
        return Change(n_old, n_new, share_old, share_new, nothing, nothing, nothing, np.ones(cells))
    plus, minus, scale = sides
    rho = _correlation(of, np.where(new >= 0, new, old), cells)
    m_plus, m_minus = _effective(plus, minus, rho, cells)
    p, q = plus.shares(cells), minus.shares(cells)
    found = compare_shares(m_plus * p, m_plus, m_minus * q, m_minus, confidence)
    difference = share_new - share_old
    is_equal = (n_old * total_new) == (n_new * total_old)
    return Change(
        n_old,
        n_new,
        share_old,
        share_new,
        np.where(is_equal, 0.0, difference),
        np.minimum(scale * found.low, difference),
        np.maximum(scale * found.high, difference),
        np.where(is_equal, 1.0, found.p_value),
    )


def _checked(
    identity: npt.ArrayLike, before: npt.ArrayLike, after: npt.ArrayLike, cells: int
) -> tuple[Int64, Int64, Int64]:
    of, old, new = (np.asarray(v, np.int64) for v in (identity, before, after))
    if not of.shape == old.shape == new.shape or of.ndim != 1:
        raise ConfigError(f"{of.size} identities meet {old.size} and {new.size} cells: give one of each per unit")
    for codes in (old, new):
        if codes.size and (codes.min() < ABSENT or codes.max() >= cells):
            raise ConfigError("the cell of a unit is out of range: count from 0, and use −1 where it is not in a run")
    there = (old >= 0) | (new >= 0)
    _, number = np.unique(of[there], return_inverse=True)
    return number.astype(np.int64), old[there], new[there]


def _sides(of: Int64, old: Int64, new: Int64, total_old: int, total_new: int) -> tuple[_Side, _Side, float] | None:
    """Units of positive and of negative weight, and the sum of the positive ones; None when all weights are 0."""
    same = (old == new) & (old >= 0)
    gone, come = (old >= 0) & ~same, (new >= 0) & ~same
    kept = total_old - total_new  # of the sign of 1 / N_B − 1 / N_A
    plus = [(of[come], new[come], np.full(int(come.sum()), 1 / total_new))]
    minus = [(of[gone], old[gone], np.full(int(gone.sum()), 1 / total_old))]
    if kept:
        weight = np.full(int(same.sum()), abs(kept) / total_old / total_new)
        (plus if kept > 0 else minus).append((of[same], old[same], weight))
    parts = [tuple(np.concatenate(columns) for columns in zip(*side, strict=True)) for side in (plus, minus)]
    if not parts[0][0].size or not parts[1][0].size:
        return None
    return _Side.of(*parts[0]), _Side.of(*parts[1]), float(parts[0][2].sum())


def _correlation(of: Int64, cell: Int64, cells: int) -> float:
    """Intraclass correlation of the cells over all pairs of units of one identity, 0–1; 1 without pairs."""
    size = np.bincount(of)
    pairs = float((size * (size - 1)).sum())
    share = np.bincount(cell, minlength=cells) / cell.size
    chance = float(share @ share)
    if pairs == 0 or chance >= 1:
        return 1.0
    _, alike = np.unique(of * cells + cell, return_counts=True)
    return max(0.0, (float((alike * (alike - 1)).sum()) / pairs - chance) / (1 - chance))


def _effective(plus: _Side, minus: _Side, rho: float, cells: int) -> tuple[Float64, Float64]:
    """Effective numbers of units of both sides for each cell, float64 (S,) each."""
    identities = int(max(plus.identity.max(), minus.identity.max())) + 1
    a, b = plus.by_identity(identities), minus.by_identity(identities)
    v_plus, v_minus = (
        rho * float(whole @ whole) + (1 - rho) * float(side.weight @ side.weight)
        for whole, side in ((a, plus), (b, minus))
    )
    both = (v_plus + v_minus - 2 * rho * float(a @ b)) / (v_plus + v_minus)
    p, q = plus.shares(cells), minus.shares(cells)
    alone = p * (1 - p) * v_plus + q * (1 - q) * v_minus
    own = _own_variance(plus, minus, a, b, cells)
    factor = np.divide(own, alone, out=np.zeros(cells), where=alone > 0)
    factor = np.maximum(np.maximum(factor, both), _LEAST_FACTOR)
    return 1 / (v_plus * factor), 1 / (v_minus * factor)


def _own_variance(plus: _Side, minus: _Side, a: Float64, b: Float64, cells: int) -> Float64:
    """Linearised variance of p₊ − p₋ over C identities, (S,), times C / (C − 1), over the same of U units, U / (U − 1):
    the variance of independent units where all are identities of their own."""
    key = np.concatenate([plus.identity * cells + plus.cell, minus.identity * cells + minus.cell])
    signed, position = np.unique(key, return_inverse=True)
    held = np.bincount(position, np.concatenate([plus.weight, -minus.weight]), minlength=signed.size)
    who, cell = np.divmod(signed, cells)
    squares, with_a, with_b = (np.bincount(cell, held * factor, minlength=cells) for factor in (held, a[who], b[who]))
    p, q = plus.shares(cells), minus.shares(cells)
    variance = squares - 2 * (p * with_a - q * with_b) + p**2 * (a @ a) - 2 * p * q * (a @ b) + q**2 * (b @ b)
    identities, units = int(((a > 0) | (b > 0)).sum()), key.size
    few = identities / max(1, identities - 1) * (units - 1) / units
    return np.asarray(np.maximum(variance, 0.0) * few)
