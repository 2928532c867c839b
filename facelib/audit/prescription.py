"""What to collect: the fewest images and identities that bring declared cells to a stated target.

Cells are categories of one attribute or combinations of categories of several. Collecting only adds, so
what is there stays, and every addition also raises the total that the shares are of. A target that
cannot be reached is told per cell (`status`, `reasons`), with the nearest plan.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.audit.diversity import evenness, imbalance_ratio, shannon
from facelib.audit.sampling_weights import target_shares
from facelib.audit.trials import ROUNDING, Comparison, identities_for_trials
from facelib.errors import ConfigError

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
_Filled = tuple[Int64, Bool | None, str | None]
"""New counts, the cells that stay short of the target (None: it has no meaning), and why."""


@dataclass(frozen=True)
class Measures:
    """Counts int64 (S,) and their shares float64 0–1 (NaN without units), evenness and imbalance ratio (or None)."""

    counts: Int64
    shares: Float64
    evenness: float | None
    imbalance_ratio: float | None


@dataclass(frozen=True)
class UnitPlan:
    """Units to add to every cell, int64 (S,), and the measures before and, expected, after.

    `status` of a cell: `enough`, `collect` or `short` (below the target even after the plan); `undefined` for all
    when the target has no meaning. `reasons` says why for the last two, else None.
    """

    add: Int64
    status: tuple[str, ...]
    reasons: tuple[str | None, ...]
    before: Measures
    after: Measures


@dataclass(frozen=True)
class Prescription:
    """Plans for images and for identities, identities None when none were counted."""

    images: UnitPlan
    identities: UnitPlan | None


def collect_for_shares(
    images: npt.ArrayLike,
    target: npt.ArrayLike,
    identities: npt.ArrayLike | None = None,
    tolerance: float = 0.2,
    collectable: npt.ArrayLike | None = None,
    images_per_identity: int = 1,
) -> Prescription:
    """Fewest additions after which every cell has at least the share (1 − tolerance) × target.

    images, identities: counts per cell (S,); an identity in several cells counts in each. target: shares (S,), see
    `target_shares`. tolerance: 0.001 … below 1; 0.2 makes every ratio of share to target reach four fifths. There is
    no upper bound on a ratio. collectable: bool (S,), False where nothing can be added; all by default. Cells that
    stay short for that reason are left out of the demand. images_per_identity: images that each new identity brings
    at least; identities are planned first, and images on top of what the new identities bring.

    With θ = (1 − tolerance) × target, the total T solves T = Σ max(n, θT). For every set A of cells,
    T ≥ Σ_rest n / (1 − Σ_A θ), with equality for the set that is filled up; that set is a prefix in the
    order of n / θ, so T is the largest value over the prefixes, at most Σ n / tolerance. In whole units it is the
    smallest fixed point of Σ max(n, ⌈θT⌉), which the iteration from below reaches. In any other solution every cell
    holds at least as much.

    `undefined` without units: any share of nothing is reached. ConfigError for counts, shares or options out of range.
    """
    if not 0.001 <= tolerance < 1:
        raise ConfigError(f"tolerance is {tolerance}: give at least 0.001 and less than 1, such as 0.2")
    least = (1 - tolerance) * target_shares(target)
    allowed = _allowed(collectable, least.size)
    return _prescribe(images, identities, images_per_identity, lambda n: _fill_shares(n, least, allowed))


def collect_for_evenness(
    images: npt.ArrayLike,
    target: float,
    identities: npt.ArrayLike | None = None,
    collectable: npt.ArrayLike | None = None,
    images_per_identity: int = 1,
) -> Prescription:
    """Fewest additions after which Pielou's evenness over the S cells is at least `target`, 0 … 1.

    Other arguments as for `collect_for_shares`. Units go to the smallest cells, which are raised together
    (water-filling): of all ways to add the same number it leaves the most even counts, because every other result
    majorises it and entropy is Schur-concave (A. W. Marshall and I. Olkin, Inequalities (1979), chapter 3). Raising
    the level raises evenness as long as the level's share p has −ln p > H; so the smallest level that suffices is
    found by bisection, and the smallest number of units by trying those between it and the level below.

    When collecting is not allowed somewhere, evenness has a maximum below 1; a target above it leaves those cells
    `short` and the plan is the one of the largest evenness. `undefined` with fewer than two cells.
    """
    if not 0 <= target <= 1:
        raise ConfigError(f"the target evenness is {target}: give a value between 0 and 1")
    allowed = _allowed(collectable, np.size(images))
    return _prescribe(images, identities, images_per_identity, lambda n: _fill_evenly(n, target, allowed))


def collect_for_trials(
    images: npt.ArrayLike,
    identities: npt.ArrayLike,
    trials: npt.ArrayLike,
    comparison: Comparison,
    collectable: npt.ArrayLike | None = None,
) -> Prescription:
    """Additions after which every cell has the identities for `trials` independent comparisons (scalar or (S,)).

    identities: for mated comparisons those with at least two images. The number of identities is the safe one of
    `identities_for_trials`; each new one brings two images for mated comparisons and one for non-mated.
    """
    before = _counts(images)
    n = _identity_counts(identities, before)
    allowed = _allowed(collectable, n.size)
    wanted = identities_for_trials(trials, comparison)[1]
    if wanted.shape not in ((), n.shape):
        raise ConfigError(f"trials must be one number or one for each of the {n.size} cells: correct it")
    after = np.where(allowed, np.maximum(n, wanted), n)
    short, reason = after < wanted, "nothing can be added here"
    people = _plan(n, after, short, reason)
    each = 2 if comparison == "mated" else 1
    return Prescription(_plan(before, before + each * people.add, short, reason), people)


def _counts(counts: npt.ArrayLike) -> Int64:
    n = np.asarray(counts)
    if n.ndim != 1 or n.size == 0 or n.dtype.kind not in "iu" or n.min() < 0:
        raise ConfigError("counts must be whole numbers ≥ 0, one for each cell: correct them")
    return n.astype(np.int64)


def _identity_counts(identities: npt.ArrayLike, images: Int64) -> Int64:
    k = _counts(identities)
    if k.shape != images.shape or (k > images).any():
        raise ConfigError("every identity must have at least one image of the cell: count both from the same rows")
    return k


def _allowed(collectable: npt.ArrayLike | None, size: int) -> Bool:
    allowed = np.ones(size, bool) if collectable is None else np.asarray(collectable)
    if allowed.shape != (size,) or allowed.dtype != bool:
        raise ConfigError(f"collectable must be true or false for each of the {size} cells: correct it")
    return allowed


def _prescribe(
    images: npt.ArrayLike, identities: npt.ArrayLike | None, each: int, fill: Callable[[Int64], _Filled]
) -> Prescription:
    n = _counts(images)
    if identities is None:
        return Prescription(_plan(n, *fill(n)), None)
    if each < 1:
        raise ConfigError(f"images_per_identity is {each}: give at least 1")
    k = _identity_counts(identities, n)
    people = _plan(k, *fill(k))
    return Prescription(_plan(n, *fill(n + each * people.add)), people)


def _plan(before: Int64, after: Int64, short: Bool | None, reason: str | None) -> UnitPlan:
    if short is None:
        status = np.full(before.size, "undefined")
    else:
        status = np.where(short, "short", np.where(after > before, "collect", "enough"))
    reasons = tuple(reason if s in ("short", "undefined") else None for s in status)
    return UnitPlan(after - before, tuple(status.tolist()), reasons, _measures(before), _measures(after))


def _measures(counts: Int64) -> Measures:
    total = int(counts.sum())
    shares = counts / total if total else np.full(counts.size, np.nan)
    return Measures(counts, shares, evenness(counts, counts.size), imbalance_ratio(counts))


def _fill_shares(n: Int64, least: Float64, allowed: Bool) -> _Filled:
    if n.shape != least.shape:
        raise ConfigError(f"{n.size} cells are counted but {least.size} have a target: declare the same cells")
    if n.sum() == 0:
        return n, None, "there are no units, so shares are undefined: give a target in numbers"
    need = np.where(allowed, least, 0.0)
    order = np.argsort(n[need > 0] / need[need > 0])
    rest = n.sum() - np.cumsum(n[need > 0][order])
    room = 1 - np.cumsum(need[need > 0][order])
    total = math.ceil(max(float(n.sum()), (rest / room).max(initial=0.0)) * (1 - ROUNDING))
    while True:
        filled = np.maximum(n, np.ceil(need * total * (1 - ROUNDING)).astype(np.int64))
        if filled.sum() <= total:
            break
        total = int(filled.sum())
    short = filled < least * total * (1 - ROUNDING)
    return filled, short, "nothing can be added here, so its share stays below the target"


def _fill_evenly(n: Int64, target: float, allowed: Bool) -> _Filled:
    def raised(level: int) -> Int64:
        return np.where(allowed, np.maximum(n, level), n)

    def reaches(counts: Int64) -> bool:
        if target == 1:
            return bool(0 < counts.min() == counts.max())
        found = evenness(counts, n.size)
        return found is not None and found >= target

    def rises(level: int) -> bool:
        counts = raised(level)
        return level == 0 or -math.log(level / counts.sum()) > (shannon(counts) or 0.0)

    if n.size < 2:
        return n, None, "fewer than two cells are declared, so evenness is undefined"
    if not (n.any() or allowed.any()):
        return n, None, "there are no units and nothing can be added, so evenness is undefined"
    nobody = np.zeros(n.size, bool)
    if reaches(n):
        return n, nobody, None
    best = n
    if allowed.any():
        low, high = int(n[allowed].min()), max(int(n.max()), 1)
        top = high if allowed.all() else low + bisect_left(range(low, high), True, key=lambda v: not rises(v))
        level = low + bisect_left(range(low, top), True, key=lambda v: reaches(raised(v)))
        counts = raised(level - 1)
        best = counts.copy()
        for cell in np.flatnonzero(allowed & (counts == level - 1)):
            counts[cell] += 1
            if reaches(counts):
                return counts, nobody, None
            best = max(best, counts.copy(), key=lambda c: evenness(c, c.size) or 0.0)
    largest = evenness(best, best.size) or 0.0
    return best, ~allowed & (best < best.mean()), f"nothing can be added here; the largest evenness is {largest:.6g}"
