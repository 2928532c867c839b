"""Weights for drawing images so that declared cells, and the identities in them, come up as declared.

A cell is a category of one attribute or a combination of categories of several. Shares are expected
shares of draws made one by one, with replacement, with probability proportional to the weight (or of
the terms of a loss that is multiplied by it). Without replacement they hold only while few of the
images have been drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Missing = Literal["excluded", "neutral"]
TARGET_TOLERANCE = 0.01 + 1e-9
"""How far target shares may add up to other than 1 before they are scaled to it (published shares are rounded)."""
EXACT = 1e-9
"""Two shares closer than this are one."""


@dataclass(frozen=True)
class SamplingWeights:
    """Weights of n images and what drawing with them gives, for S declared cells.

    `weights`: float64 (n,), ≥ 0, mean 1 over the labelled images that can be drawn. `counts`: images, int64
    (S,). `target`, `expected`: float64 (S,), shares 0–1 asked for and given among draws with a label, each
    adding up to 1; `expected` is NaN when no labelled image can be drawn. `status` of a cell: `reached`;
    `empty`, no image to draw; `capped`, the cap keeps it below its target; `above`, it takes up what those
    cells cannot. `missing_share`: expected share of draws without a label.

    `effective_sample_size` over all images and `effective_by_cell` (S,) are Kish's; `effective_identities`
    (S,) is the same figure over the summed weights of the identities of a cell, which is their number when
    they come up equally often; None without identities. NaN or None where nothing can be drawn.
    """

    weights: Float64
    counts: Int64
    target: Float64
    expected: Float64
    status: tuple[str, ...]
    missing_share: float | None
    effective_sample_size: float | None
    effective_by_cell: Float64
    effective_identities: Float64 | None


def sampling_weights(
    cells: npt.ArrayLike,
    target: npt.ArrayLike,
    identities: npt.ArrayLike | None = None,
    cap: float | None = None,
    missing: Missing = "neutral",
) -> SamplingWeights:
    """Weight of every image such that cell c is drawn with share `target[c]`.

    cells: integers (n,), 0 … S − 1, −1 without a label. target: (S,), see `target_shares`; uniform is
    `np.full(S, 1 / S)`. An image weighs target / share of its cell (inverse-probability weighting, D. G. Horvitz
    and D. J. Thompson, JASA 47 (1952) 663–685). The share of empty cells goes to the others in proportion.

    identities: integers (n,); given, a cell's share is divided equally among its identities and an
    identity's among its images. One that occurs in several cells counts once in each.

    cap: largest weight over the mean weight, ≥ 1. Shares become min(cap × share in the data, λ × target),
    with λ such that they add up to 1: among all shares below the cap those of the smallest Kullback–Leibler
    divergence from the target. Within a cell, what one identity may not weigh goes to the others by the same
    rule; only what a whole cell may not weigh goes to other cells. Both are solved exactly, without iteration.

    missing: weight of images without a label; `excluded` 0, `neutral` 1 (the mean of the others).

    Raises ConfigError for codes out of range, arrays of different lengths, a wrong target or cap below 1.
    """
    codes, wanted = np.asarray(cells), target_shares(target)
    if codes.ndim != 1 or (codes.size and not (codes.dtype.kind in "iu" and codes.min() >= -1)):
        raise ConfigError("cells must be a list of whole numbers, −1 for a missing label: code the categories")
    if codes.size and codes.max() >= wanted.size:
        raise ConfigError(f"a cell code is {codes.max()} but the target has {wanted.size} cells: declare them all")
    if missing not in ("excluded", "neutral"):
        raise ConfigError(f"missing is {missing}: choose excluded or neutral")
    labelled = codes >= 0
    known = codes[labelled].astype(np.int64)
    counts = np.bincount(known, minlength=wanted.size)
    drawable = int(counts[wanted > 0].sum())
    ceiling = ceilings(counts, drawable, cap)
    expected = capped_shares(wanted, ceiling)
    weights = np.full(codes.size, float(missing == "neutral"))
    effective_identities = None
    if identities is None:
        weights[labelled] = (expected * drawable / np.maximum(counts, 1))[known]
    else:
        cell, group, size = _groups(known, np.asarray(identities), labelled)
        shares = _identity_shares(cell, size, expected, ceilings(size, drawable, cap))
        weights[labelled] = (shares * drawable / size)[group]
        effective_identities = _effective(cell, shares, wanted.size)
    total = float(weights.sum())
    return SamplingWeights(
        weights,
        counts,
        wanted,
        expected if drawable else np.full(wanted.size, np.nan),
        _status(counts, wanted, expected, ceiling),
        float(weights[~labelled].sum()) / total if total else None,
        effective_sample_size(weights),
        _effective(known, weights[labelled], wanted.size),
        effective_identities,
    )


def effective_sample_size(weights: npt.ArrayLike) -> float | None:
    """(Σw)² / Σw², 1 … n: the number of equally weighted draws of the same variance. None without weight.

    Holds for independent images whose measurement is unrelated to the weight; images of one subject
    are not independent. Source: L. Kish, Survey Sampling (1965).
    """
    w = np.asarray(weights, np.float64)
    if not np.all(np.isfinite(w) & (w >= 0)):
        raise ConfigError("a weight is negative or not a number: give weights ≥ 0")
    square = float(w @ w)
    return float(w.sum()) ** 2 / square if square else None


def target_shares(target: npt.ArrayLike) -> Float64:
    """Target shares as float64 of the same shape, scaled to add up to 1.

    Raises ConfigError when one is outside 0–1 or their sum is further than TARGET_TOLERANCE from 1.
    """
    t = np.asarray(target, np.float64)
    if t.size == 0 or not np.all((t >= 0) & (t <= 1)) or abs(t.sum() - 1) > TARGET_TOLERANCE:
        raise ConfigError("target shares must lie in 0–1 and add up to 1: correct them")
    shares: Float64 = t / t.sum()
    return shares


def capped_shares(target: Float64, ceiling: Float64, total: float = 1.0) -> Float64:
    """min(ceiling, λ × target) with λ such that the sum is `total`, or as much of it as the ceilings allow.

    One-dimensional float64 ≥ 0; a ceiling may be infinite. Minimises Σ x ln(x / target) under x ≤ ceiling.
    For every set A of entries, λ ≥ (total − Σ_A ceiling) / Σ_rest target, with equality for the set at its
    ceiling; that set is a prefix in the order of ceiling / target, so λ is the largest over the prefixes.
    """
    return np.minimum(ceiling, filling_level(target, ceiling, total) * target)


def ceilings(counts: npt.ArrayLike, total: float, cap: float | None) -> Float64:
    """Largest shares when no image may weigh more than `cap` times the mean: cap × count / total; 0 without images.

    counts: any shape; total: images that can be drawn. Infinite without a cap. ConfigError for a cap below 1.
    """
    if cap is not None and not cap >= 1:
        raise ConfigError(f"the cap on weights is {cap}: give at least 1, the mean weight")
    n = np.asarray(counts, np.float64)
    return np.where(n > 0, np.inf if cap is None else cap * n / max(total, 1.0), 0.0)


def filling_level(target: Float64, ceiling: Float64, total: float) -> float:
    """The λ of `capped_shares`, ≥ 0; the smallest that brings all to their ceilings when these add up to less."""
    used = target > 1e-200
    t, c = target[used], ceiling[used]
    if c.sum() <= total:
        return float((c / t).max(initial=0.0))
    order = np.argsort(c / t)
    filled = np.concatenate([[0.0], np.cumsum(c[order][:-1])])
    rest = np.cumsum(t[order][::-1])[::-1]
    return float(((total - filled) / rest).max())


def _groups(known: Int64, identities: npt.NDArray[np.generic], labelled: npt.NDArray[np.bool_]) -> tuple[Int64, ...]:
    """Cell and size of every pair of cell and identity that occurs, in order of the cell, and the pair of each row."""
    if identities.shape != labelled.shape or identities.dtype.kind not in "iu":
        raise ConfigError("identities must be whole numbers, one for each image: code them")
    ids = identities[labelled].astype(np.int64)
    low = int(ids.min(initial=0))
    span = int(ids.max(initial=0)) - low + 1
    if span > 2**62 // (int(known.max(initial=0)) + 1):
        distinct, ids = np.unique(ids, return_inverse=True)
        low, span = 0, distinct.size
    pairs, group, size = np.unique(known * span + (ids - low), return_inverse=True, return_counts=True)
    return pairs // span, group, size


def _identity_shares(cell: Int64, size: Int64, expected: Float64, ceiling: Float64) -> Float64:
    shares = np.zeros(size.size)
    ends = np.searchsorted(cell, np.arange(expected.size + 1))
    for c in np.flatnonzero(np.diff(ends)):
        part = slice(ends[c], ends[c + 1])
        equal = np.full(part.stop - part.start, expected[c] / (part.stop - part.start))
        shares[part] = capped_shares(equal, ceiling[part], expected[c])
    return shares


def _status(counts: Int64, target: Float64, expected: Float64, ceiling: Float64) -> tuple[str, ...]:
    names = np.array(["reached", "empty", "capped", "above"])
    off = np.where(expected < target, 2, 3) * (np.abs(expected - target) > EXACT)
    return tuple(names[np.where((counts == 0) & (target > 0), 1, off)].tolist())


def _effective(codes: Int64, values: Float64, size: int) -> Float64:
    square = np.bincount(codes, values**2, size)
    return np.divide(np.bincount(codes, values, size) ** 2, square, out=np.full(size, np.nan), where=square > 0)
