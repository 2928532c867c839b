"""Error rates of a search in a gallery of enrolled subjects, where a probe's subject may not be enrolled."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.clusters.gallery import decide
from facelib.errors import ConfigError


@dataclass(frozen=True)
class IdentificationRates:
    """Counts of searches, and the rates that follow; a rate without a search is NaN.

    The terms are those of ISO/IEC 19795-1 and of Grother, Ngan and Hanaoka, NISTIR 8271, 2019.
    """

    threshold: float
    n_mated: int
    """Searches whose subject is enrolled."""
    n_non_mated: int
    """Searches whose subject is not enrolled."""
    n_false_positive: int
    """Non-mated searches that returned a candidate above the threshold."""
    n_false_negative: int
    """Mated searches whose subject is not the first candidate, or not above the threshold."""
    n_rank_one: int
    """Mated searches whose subject is the first candidate, whatever its score."""

    @property
    def fpir(self) -> float:
        """False-positive identification rate, FPIR(N, T)."""
        return _rate(self.n_false_positive, self.n_non_mated)

    @property
    def fnir(self) -> float:
        """False-negative identification rate, FNIR(N, R = 1, T)."""
        return _rate(self.n_false_negative, self.n_mated)

    @property
    def rank_one(self) -> float:
        """Rank-1 identification rate, 1 − FNIR(N, 1, −∞) among searches with a face."""
        return _rate(self.n_rank_one, self.n_mated)


def identification_rates(
    subjects: npt.ArrayLike,
    candidates: npt.ArrayLike,
    scores: npt.ArrayLike,
    enrolled: Collection[str],
    threshold: float,
) -> IdentificationRates:
    """Rates of n searches.

    `subjects` (n,): who is on each probe; `candidates` (n,): the first candidate; `scores` (n,): its score, where
    a greater one than `threshold` is a decision for it; `enrolled`: the subjects of the gallery. A probe without a
    face has the score −∞: a false negative when its subject is enrolled, never a false positive. ConfigError when
    the lengths differ or a score is NaN.
    """
    truth, first, score = np.asarray(subjects), np.asarray(candidates), np.asarray(scores, np.float64)
    if not len(truth) == len(first) == len(score):
        raise ConfigError(f"{len(truth)} subjects, {len(first)} candidates and {len(score)} scores: give one of each")
    if np.isnan(score).any():
        raise ConfigError("the score of a search is NaN: give −∞ to a probe without a face")
    is_mated = np.isin(truth, sorted(enrolled))
    is_right = (truth == first) & (score > -np.inf)
    is_above = decide(score, threshold)
    return IdentificationRates(
        float(threshold),
        n_mated=int(is_mated.sum()),
        n_non_mated=int((~is_mated).sum()),
        n_false_positive=int((~is_mated & is_above).sum()),
        n_false_negative=int((is_mated & ~(is_right & is_above)).sum()),
        n_rank_one=int((is_mated & is_right).sum()),
    )


def _rate(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
