"""1:1 verification: threshold and accuracy by cross-validation, and mated acceptance at a given false match rate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError

FOLDS = 10
Scores = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pair:
    """Two image files below the archive's folder, and whether they show the same person."""

    first: str
    second: str
    is_mated: bool


@dataclass(frozen=True)
class Accuracy:
    """Mean and standard error over the folds, and the mean of the thresholds."""

    mean: float
    standard_error: float
    threshold: float


def read_pairs(path: Path) -> list[Pair]:
    """Pairs of a file in the format of LFW's pairs.txt (Huang et al. 2007), in its order.

    First line: folds and mated pairs per fold; then in each fold the mated ("name 1 2") and as many
    non-mated ("name 1 other 2") pairs. ConfigError when the number of lines differs.
    """
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    folds, per_fold = (int(v) for v in header.split())
    pairs = [_pair(line.split()) for line in lines if line.strip()]
    if len(pairs) != folds * per_fold * 2:
        raise ConfigError(
            f"{path.name} holds {len(pairs)} pairs, its first line says {folds * per_fold * 2}: get it anew"
        )
    return pairs


def _pair(fields: list[str]) -> Pair:
    if len(fields) == 3:
        name, first, second = fields
        return Pair(_file(name, first), _file(name, second), True)
    name, first, other, second = fields
    return Pair(_file(name, first), _file(other, second), False)


def _file(name: str, number: str) -> str:
    return f"{name}/{name}_{int(number):04d}.jpg"


def balanced_folds(is_mated: Flags, folds: int = FOLDS) -> npt.NDArray[np.int64]:
    """Fold (n,) of each pair: mated and non-mated pairs are each cut, in their order, into runs of equal length.

    Runs, not every tenth pair: the files list pairs by name, so that a person's pairs stay together.
    """
    fold = np.empty(len(is_mated), np.int64)
    for kind in (True, False):
        members = np.flatnonzero(is_mated == kind)
        fold[members] = np.arange(len(members)) * folds // max(1, len(members))
    return fold


def best_threshold(scores: Scores, is_mated: Flags) -> float:
    """The threshold with most pairs right when `score > threshold` means mated; halfway between two scores.

    Of several equally good ones, the lowest. Below all scores or above all, it is minus or plus infinity.
    """
    order = np.argsort(scores, kind="stable")
    ranked, mated = scores[order], is_mated[order]
    right = np.concatenate([[0], np.cumsum(np.where(mated, -1, 1))]) + np.count_nonzero(mated)
    cuts = np.concatenate([[-np.inf], (ranked[1:] + ranked[:-1]) / 2, [np.inf]])
    between = np.concatenate([[True], ranked[1:] > ranked[:-1], [True]])
    return float(cuts[between][np.argmax(right[between])])


def cross_validated(scores: Scores, is_mated: Flags, fold: npt.NDArray[np.int64]) -> Accuracy:
    """Accuracy in each fold at the best threshold of all others: their mean, and deviation / √folds."""
    names = np.unique(fold)
    thresholds = np.array([best_threshold(scores[fold != f], is_mated[fold != f]) for f in names])
    accuracies = np.array(
        [((scores > t) == is_mated)[fold == f].mean() for f, t in zip(names, thresholds, strict=True)]
    )
    error = accuracies.std(ddof=1) / np.sqrt(len(names))
    return Accuracy(float(accuracies.mean()), float(error), float(thresholds.mean()))


def true_match_rate(mated: Scores, non_mated: Scores, false_match_rate: float) -> tuple[float, float]:
    """Share of mated scores above the lowest threshold that at most that share of non-mated scores exceeds.

    Returns the rate and the threshold, which is one of the non-mated scores.
    """
    allowed = int(false_match_rate * len(non_mated))
    threshold = np.partition(non_mated, len(non_mated) - 1 - allowed)[len(non_mated) - 1 - allowed]
    return float((mated > threshold).mean()), float(threshold)
