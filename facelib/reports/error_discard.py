"""Error-versus-discard curves: how comparison errors change when the faces of least quality are set aside.

Grother & Tabassi 2007, "Performance of biometric quality measures", IEEE PAMI 29(4); ISO/IEC 29794-1. The
threshold of decision is fixed once, on all comparisons; a comparison is discarded when the worse of its two
faces is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError

Floats = npt.NDArray[np.float64]
_TAILS = (2.5, 97.5)


@dataclass(frozen=True)
class Comparisons:
    """Mated or non-mated comparisons: each one's similarity, and the lower quality of its two faces, both (n,)."""

    similarity: Floats
    quality: Floats

    def __post_init__(self) -> None:
        if len(self.similarity) != len(self.quality):
            raise ConfigError(
                f"{len(self.similarity)} similarities for {len(self.quality)} qualities: give each comparison both"
            )


@dataclass(frozen=True)
class DiscardPoint:
    """What is left when faces below `least_quality` are discarded. Rates are in 0–1, NaN where nothing is left.

    `change` is the false non-match rate less that of the first point; each pair of ends is a 95 % interval.
    """

    least_quality: float
    discarded_share: float
    """Of the mated comparisons."""
    n_mated: int
    n_non_mated: int
    fnmr: float
    fnmr_ends: tuple[float, float]
    change: float
    change_ends: tuple[float, float]
    fmr: float


def least_quality(quality: npt.ArrayLike, shares: Sequence[float]) -> list[float]:
    """For each share, the largest quality below which at most that share of the faces lies.

    `quality` is (n,) of the faces; faces of equal quality stay together, so less than the share may be
    discarded. Raises ConfigError without faces, and for a share outside [0, 1).
    """
    ranked = np.sort(np.asarray(quality, np.float64))
    if not len(ranked):
        raise ConfigError("no face to rank by quality: give at least one")
    if not all(0 <= share < 1 for share in shares):
        raise ConfigError("a share to discard is outside 0 … 1: give shares from 0 to below 1")
    return [float(ranked[int(share * len(ranked) + 1e-9)]) for share in shares]


def error_discard_curve(
    mated: Comparisons,
    subjects: npt.ArrayLike,
    non_mated: Comparisons,
    threshold: float,
    limits: Sequence[float],
    resamples: int = 1000,
    seed: int = 0,
) -> list[DiscardPoint]:
    """One point for each limit, in their order; the first is what `change` is measured from.

    A comparison matches when its similarity is greater than `threshold`, and is kept when its quality is at
    least the limit. `subjects` holds the subject of each mated comparison. The intervals are percentiles of a
    bootstrap that draws subjects, each with all its comparisons (the threshold and the faces discarded stay as
    they are); comparisons of one subject depend on each other, so an interval that draws comparisons would be
    too narrow. Raises ConfigError without a limit or a mated comparison, or when one lacks its subject.
    """
    names, subject = np.unique(np.asarray(subjects), return_inverse=True)
    if len(subject) != len(mated.similarity) or not len(subject) or not limits:
        raise ConfigError("a curve needs a limit, and mated comparisons with the subject of each")
    n_subjects = len(names)
    draws = np.random.default_rng(seed).multinomial(n_subjects, np.full(n_subjects, 1 / n_subjects), resamples)
    wrong, match = mated.similarity <= threshold, non_mated.similarity > threshold
    points: list[DiscardPoint] = []
    first: tuple[float, Floats] | None = None
    for limit in limits:
        kept, kept_non_mated = mated.quality >= limit, non_mated.quality >= limit
        counts = (np.bincount(subject[chosen], minlength=n_subjects) for chosen in (kept & wrong, kept))
        rates = _share(*(draws @ c for c in counts))
        fnmr = float(_share(np.count_nonzero(kept & wrong), np.count_nonzero(kept)))
        first = first or (fnmr, rates)
        points.append(
            DiscardPoint(
                float(limit),
                1 - float(_share(np.count_nonzero(kept), len(kept))),
                np.count_nonzero(kept),
                np.count_nonzero(kept_non_mated),
                fnmr,
                _ends(rates),
                fnmr - first[0],
                _ends(rates - first[1]),
                float(_share(np.count_nonzero(kept_non_mated & match), np.count_nonzero(kept_non_mated))),
            )
        )
    return points


def mean_error(discarded: Sequence[float], fnmr: Sequence[float], up_to: float) -> float:
    """Mean false non-match rate over discarded shares from 0 to `up_to`: the partial area over its width.

    Trapezoids between the points, which are sorted by share and start at 0; the last is interpolated at
    `up_to`. Schlett et al. 2023, "Considerations on the evaluation of biometric quality assessment algorithms".
    Raises ConfigError when the points do not reach `up_to` or do not start at 0.
    """
    x, y = np.asarray(discarded, np.float64), np.asarray(fnmr, np.float64)
    if not len(x) or x[0] != 0 or not 0 < up_to <= x[-1] or (np.diff(x) < 0).any():
        raise ConfigError(f"the curve must run from a discarded share of 0 to at least {up_to}, in order")
    inside = x < up_to
    x, y = np.append(x[inside], up_to), np.append(y[inside], np.interp(up_to, x, y))
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / up_to)


def _share(part: npt.ArrayLike, whole: npt.ArrayLike) -> Floats:
    """part / whole, NaN where the whole is 0."""
    parts, wholes = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.where(wholes > 0, parts / np.where(wholes > 0, wholes, 1), np.nan)


def _ends(values: Floats) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, _TAILS)
    return float(low), float(high)
