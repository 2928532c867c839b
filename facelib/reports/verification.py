"""1:1 verification by the protocol of LFW: a threshold found on some folds and judged on the others.

Huang, Ramesh, Berg and Learned-Miller 2007, "Labeled Faces in the Wild", University of Massachusetts technical
report 07-49, View 2. Rates over all pairs are in `facelib.reports.all_pairs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError

FOLDS = 10
NO_FACE = -2.0
"""Similarity of a pair of which an image has no face: below every cosine, so that it is never a match."""
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


@dataclass(frozen=True)
class PairsAccuracy:
    """Accuracy over `n_pairs` pairs cut into `folds`.

    `n_not_listed` pairs were left out because an image is not in the archive. In `n_without_face` of
    `n_pairs` an image has no face; they count as not matched.
    """

    accuracy: Accuracy
    folds: int
    n_pairs: int
    n_mated: int
    n_not_listed: int
    n_without_face: int


def read_pairs(path: Path) -> list[Pair]:
    """Pairs of a local file; see `parse_pairs`."""
    return parse_pairs(path.read_bytes(), path.name)


def parse_pairs(data: bytes, name: str) -> list[Pair]:
    """Pairs of a file in the format of LFW's pairs.txt (Huang et al. 2007), in its order.

    First line: folds and mated pairs per fold (or the latter alone, for one fold); then in each fold the mated
    ("name 1 2") and as many non-mated ("name 1 other 2") pairs. The image of name and 1 is
    name/name_0001.jpg. `name` is for messages. Raises ConfigError when the text is of another form or the
    number of lines differs.
    """
    try:
        header, *lines = data.decode("utf-8-sig").splitlines() or [""]
        *folds, per_fold = (int(v) for v in header.split())
        expected = (folds[0] if folds else 1) * per_fold * 2
    except ValueError:
        raise ConfigError(
            f"pairs file {name} does not begin with the numbers of folds and of pairs: give a file like LFW's pairs.txt"
        ) from None
    pairs = [_pair(line.split(), name, i) for i, line in enumerate(lines, start=2) if line.strip()]
    if len(pairs) != expected:
        raise ConfigError(f"pairs file {name} holds {len(pairs)} pairs, its first line says {expected}: get it anew")
    return pairs


def _pair(fields: list[str], file: str, line: int) -> Pair:
    try:
        if len(fields) == 3:
            name, first, second = fields
            return Pair(_file(name, first), _file(name, second), True)
        name, first, other, second = fields
        return Pair(_file(name, first), _file(other, second), False)
    except ValueError:
        raise ConfigError(
            f"line {line} of pairs file {file} is neither “name 1 2” nor “name 1 other 2”: correct it"
        ) from None


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


def pairs_accuracy(
    pairs: Sequence[Pair], images: Mapping[str, str], row_of: Mapping[str, int], unit: npt.NDArray[np.float32]
) -> PairsAccuracy:
    """Cross-validated accuracy of cosine similarity on the pairs whose images are in the archive.

    `images` maps files to image_ids, `row_of` image_ids to the rows of `unit`, float32 (n, d) of unit length, of
    their main faces. Ten folds, fewer where there are fewer mated or non-mated pairs. Raises ConfigError
    when less than two of either are left.
    """
    listed = [p for p in pairs if p.first in images and p.second in images]
    is_mated = np.array([p.is_mated for p in listed], bool)
    n_mated = int(np.count_nonzero(is_mated))
    folds = min(FOLDS, n_mated, len(listed) - n_mated)
    if folds < 2:
        raise ConfigError(
            f"of {len(pairs)} pairs {n_mated} mated and {len(listed) - n_mated} non-mated ones have both images in the "
            "archive, where two of each are needed: name/name_0001.jpg must lie below --images"
        )
    at = np.array([[row_of.get(images[f], -1) for f in (p.first, p.second)] for p in listed])
    has_faces = (at >= 0).all(axis=1)
    scores = np.full(len(listed), NO_FACE)
    first, second = (unit[at[has_faces, i]].astype(np.float64) for i in (0, 1))
    scores[has_faces] = np.einsum("nd,nd->n", first, second)
    return PairsAccuracy(
        cross_validated(scores, is_mated, balanced_folds(is_mated, folds)),
        folds,
        len(listed),
        n_mated,
        len(pairs) - len(listed),
        int(np.count_nonzero(~has_faces)),
    )


def true_match_rate(mated: Scores, non_mated: Scores, false_match_rate: float) -> tuple[float, float]:
    """Share of mated scores above the lowest threshold that at most that share of non-mated scores exceeds.

    Returns the rate and the threshold, which is one of the non-mated scores.
    """
    allowed = int(false_match_rate * len(non_mated))
    threshold = np.partition(non_mated, len(non_mated) - 1 - allowed)[len(non_mated) - 1 - allowed]
    return float((mated > threshold).mean()), float(threshold)
