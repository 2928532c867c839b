"""All comparisons of a labelled set: true match rate at given false match rates, with intervals over subjects.

A pair of faces matches when its cosine is greater than the threshold. Mated pairs are two faces of one subject,
non-mated pairs of two. Pairs that share a subject depend on each other, so the intervals draw subjects (Bolle,
Ratha and Pankanti 2004, "Error analysis of pattern recognition systems - the subsets bootstrap", Computer Vision
and Image Understanding 93(1)). A non-mated pair then occurs as often as the product of its subjects' multiplicities
(the vertex bootstrap: Snijders and Borgatti 1999, "Non-parametric standard errors and tests for network statistics",
Connections 22(2); for 1:1 comparison Fogliato, Patil and Perona 2024, "Confidence intervals for error rates in 1:1
matching tasks", International Journal of Computer Vision 132). Two copies of one subject form no pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError
from facelib.reports.comparisons import Comparisons, Floats, Ints, RocPoint, compare_all

LEAST_FALSE_MATCHES = 10
"""A false match rate is supported by the data when so many false matches, or more, are expected at it."""
_TAILS = (2.5, 97.5)
_SPARE = 1000


@dataclass(frozen=True)
class OperatingPoint:
    """The true match rate where at most `fmr` of the non-mated pairs match; each pair of ends is a 95 % interval.

    All but the first two are None when the data does not support the rate (`expected_false_matches`, which is
    `fmr` times the number of non-mated pairs, below LEAST_FALSE_MATCHES).
    """

    fmr: float
    expected_false_matches: float
    threshold: float | None = None
    tmr: float | None = None
    tmr_ends: tuple[float, float] | None = None
    threshold_ends: tuple[float, float] | None = None


@dataclass(frozen=True)
class Verification:
    """Every comparison of a set of faces."""

    n_faces: int
    n_subjects: int
    n_mated: int
    n_non_mated: int
    points: list[OperatingPoint]
    roc: list[RocPoint]
    resamples: int


def verify(
    unit: Floats, subjects: npt.ArrayLike, rates: Sequence[float], resamples: int = 1000, seed: int = 0
) -> Verification:
    """Compare all faces; counts are exact.

    `unit` is float32 (n, d) of unit length, `subjects` (n,) of any type that sorts. Time grows with the square of
    n: some ten seconds of CPU for 20,000 faces. `rates` are false match rates in (0, 1). `resamples` sets of
    subjects are drawn for the intervals; in each, the threshold is found anew. A set without any mated or
    non-mated pair is left out. Raises ConfigError for a rate out of range, and when there is no mated or
    no non-mated pair.
    """
    subject, sizes = _in_order(subjects)
    n_mated = int((sizes * (sizes - 1) // 2).sum())
    n_non_mated = int(_non_mated_weight(np.ones_like(sizes), sizes))
    check_rates(rates)
    if not n_mated or not n_non_mated:
        raise ConfigError(
            f"{len(subject)} faces of {len(sizes)} subjects hold {n_mated} mated and {n_non_mated} non-mated pairs: "
            "label two faces of one subject, and two subjects, at least"
        )
    supported = [r for r in rates if r * n_non_mated >= LEAST_FALSE_MATCHES]
    kept = min(n_non_mated, 2 * int(max(supported, default=0) * n_non_mated) + _SPARE)
    while True:
        compared = compare_all(unit, subject, kept)
        found = _intervals(compared, sizes, supported, resamples, seed)
        if found is not None:
            break
        kept = min(n_non_mated, 4 * kept)  # a set drew the pairs at the top so often that the threshold lies lower
    points = [found.get(r, OperatingPoint(r, r * n_non_mated)) for r in rates]
    return Verification(len(subject), len(sizes), n_mated, n_non_mated, points, compared.roc, resamples)


def check_rates(rates: Sequence[float]) -> None:
    """ConfigError for a false match rate outside (0, 1)."""
    if not all(0 < r < 1 for r in rates):
        raise ConfigError("a false match rate is outside 0 … 1: give rates such as 1e-3,1e-4")


def subject_multiplicities(n_subjects: int, resamples: int, seed: int) -> Iterator[Ints]:
    """How often each subject occurs in each of the `resamples` sets of n_subjects drawn with replacement."""
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(rng.integers(n_subjects, size=n_subjects), minlength=n_subjects)


def sample_subjects(subjects: npt.ArrayLike, most_faces: int, seed: int) -> npt.NDArray[np.bool_]:
    """Which faces to compare, (n,): all of them up to `most_faces`, else all those of some subjects.

    The subjects are taken in a random order, each with all its faces, as long as they fit. ConfigError
    when fewer than two do.
    """
    subject, sizes = _in_order(subjects)
    if len(subject) <= most_faces:
        return np.ones(len(subject), bool)
    order = np.random.default_rng(seed).permutation(len(sizes))
    taken = order[np.cumsum(sizes[order]) <= most_faces]
    if len(taken) < 2:
        raise ConfigError(f"the faces of two subjects do not fit into {most_faces} faces: raise --max-faces")
    return np.isin(subject, taken)


def _in_order(subjects: npt.ArrayLike) -> tuple[Ints, Ints]:
    """Subject of each face as an integer, in the order in which they first occur, and the faces of each.

    The order of occurrence keeps the draws of a seed independent of how subjects are named.
    """
    _, first, code = np.unique(np.asarray(subjects), return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    subject = rank[code]
    return subject, np.bincount(subject)


def _non_mated_weight(times: Ints, sizes: Ints) -> int:
    """Number of non-mated pairs when each subject with `sizes` faces occurs `times` times."""
    faces = times * sizes
    return (int(faces.sum()) ** 2 - int((faces**2).sum())) // 2


def _intervals(
    compared: Comparisons, sizes: Ints, rates: Sequence[float], resamples: int, seed: int
) -> dict[float, OperatingPoint] | None:
    """The point of each rate; None when more of the non-mated pairs are needed."""
    if not rates:
        return {}
    ones = np.ones_like(sizes)
    above = np.searchsorted(-compared.mated, -compared.non_mated, side="left")
    drawn: list[list[tuple[float, float]]] = []
    for times in chain([ones], subject_multiplicities(len(sizes), resamples, seed)):
        found = _rates_of(compared, above, times, sizes, rates)
        if found is None:
            return None
        drawn.append(found)
    total = _non_mated_weight(ones, sizes)
    return {
        rate: OperatingPoint(rate, rate * total, threshold, tmr, *_ends([found[i] for found in drawn[1:]]))
        for i, rate in enumerate(rates)
        for tmr, threshold in (drawn[0][i],)
    }


def _ends(drawn: Sequence[tuple[float, float]]) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """Ends of the interval of the TMR and of the threshold; None when no set has a value."""
    values = np.array([d for d in drawn if not np.isnan(d).any()])
    if not len(values):
        return None, None
    (tmr_low, threshold_low), (tmr_high, threshold_high) = np.percentile(values, _TAILS, axis=0).tolist()
    return (tmr_low, tmr_high), (threshold_low, threshold_high)


def _rates_of(
    compared: Comparisons, above: Ints, times: Ints, sizes: Ints, rates: Sequence[float]
) -> list[tuple[float, float]] | None:
    """(TMR, threshold) at each rate in the set where each subject occurs `times` times; NaN where there is none.

    The threshold is the lowest of the non-mated cosines that at most that share of the non-mated pairs exceeds.
    `above` holds how many mated cosines exceed each of the kept ones. None when the threshold lies below them.
    """
    total = _non_mated_weight(times, sizes)
    matched = np.concatenate([[0], np.cumsum(times[compared.mated_subject])])
    if not total or not matched[-1]:
        return [(np.nan, np.nan)] * len(rates)
    false = np.cumsum(times[compared.first] * times[compared.second])
    found = []
    for rate in rates:
        at = int(np.searchsorted(false, int(rate * total), side="right"))
        if at == len(false):
            return None
        found.append((float(matched[above[at]] / matched[-1]), float(compared.non_mated[at])))
    return found
