"""Which images to label next, so that a budget of labels narrows the shares of categories the most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.audit.association import quantile_codes
from facelib.audit.intervals import Float64
from facelib.audit.ppi import Int64, numbered, predictions
from facelib.audit.sampling_weights import capped_shares
from facelib.errors import ConfigError

_LEAST = 2
_LEAST_SPREAD = 0.1
"""As of a category predicted with probability 0.995: no stratum is starved because the probe is sure of itself."""


@dataclass(frozen=True)
class Stratum:
    """Clusters whose mean prediction is alike."""

    category: int
    """Most probable category of its clusters."""
    uncertainty_bin: int
    """0: the surest."""
    images: int
    """Unlabelled images."""
    clusters: int
    spread: float
    """Predicted standard deviation of the residuals of an image, summed in squares over categories, 0.1–1."""
    chosen: int


@dataclass(frozen=True)
class LabelPlan:
    """Images to label, by ascending row."""

    rows: Int64
    """(b,) rows of the archive."""
    stratum: Int64
    """(b,) index into `strata`."""
    inclusion: Float64
    """(b,) probability in (0, 1] with which the plan chose the image: the weight is its inverse."""
    strata: tuple[Stratum, ...]


def label_plan(
    codes: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    clusters: npt.ArrayLike,
    budget: int,
    seed: int = 0,
    bins: int = 3,
) -> LabelPlan:
    """A stratified random sample of `budget` unlabelled images, or all when there are no more.

    `codes` (M,) int, −1 where the label is missing: all those rows can be chosen, and no others. `probabilities` (M, K)
    in 0–1 (`probe.cross_fitted`; equal rows before there is any label). `clusters` (M,): subject or cluster of each
    image. Unlabelled images of a cluster stay together: with p the mean of their probabilities, strata are the
    category of the largest p × up to `bins` bins of 1 − Σ p² (Gini's impurity), which hold equally many clusters
    of the category but for ties.

    Allocation (Neyman): n_h ∝ N_h S_h, N_h images of the stratum, S_h² the mean of 1 − Σ p² over them, which is the
    variance of the residuals summed over categories if the probabilities are right; S_h at least 0.1, n_h at
    least 2 and at most N_h; rounded by largest remainder.

    In a stratum every cluster gives an image before any gives a second, and so on. In the round for which too few are
    left, clusters are chosen with probability proportional to their images, 1 at most, systematically in random order
    (Madow). The images of a cluster are equally likely. So π = (expected chosen images of the cluster) / (its
    unlabelled images): equal within a stratum outside large clusters.

    For `ppi.category_shares` on all labels, old and new: `inclusion` 1 for images that had a label before and this π
    for the plan's, `strata` as here (any number for the old), the same `clusters`. That holds wherever the old labels
    came from, if **every** image of the plan gets a label. Old labels then say nothing about images that have none: if
    they are a random sample too, that is given up. Intervals are too wide where clusters are so large that the plan
    is certain to take an image of them: their other images count as if anything could be on them.

    One plan serves one attribute; costs of labels are not weighed. Equal input and seed give an equal plan. Raises
    ConfigError for a budget below two images a stratum, for arrays that do not fit, and when no label is missing.

    Sources: J. Neyman, "On the two different aspects of the representative method", Journal of the Royal Statistical
    Society 97 (1934) 558–625; W. G. Madow, "On the theory of systematic sampling, II", Annals of Mathematical
    Statistics 20 (1949) 333–354; choosing labels for weighted prediction-powered inference: T. Zrnic, E. J. Candès,
    "Active statistical inference", arXiv:2403.03208 (2024).
    """
    code, p = predictions(codes, probabilities)
    rows = np.flatnonzero(code < 0)
    if rows.size == 0:
        raise ConfigError("every image has a label: there is nothing to plan")
    if bins < 1:
        raise ConfigError(f"{bins} bins of uncertainty: give 1 or more")
    cluster = np.unique(numbered(clusters, code.size, "clusters")[rows], return_inverse=True)[1]
    size = np.bincount(cluster)
    stratum_of, kinds = _strata(p[rows], cluster, size, bins)
    images = np.bincount(stratum_of, size).astype(np.int64)
    impurity = np.bincount(stratum_of[cluster], 1 - np.sum(p[rows] ** 2, axis=1)) / images
    spread = np.sqrt(np.clip(impurity, _LEAST_SPREAD**2, 1))
    chosen = _allocated(images, spread, budget)
    taken, expected = np.zeros(size.size, np.int64), np.zeros(size.size)
    random = np.random.default_rng(seed)
    for h, n in enumerate(chosen.tolist()):
        own = np.flatnonzero(stratum_of == h)
        taken[own], expected[own] = _drawn(size[own], n, random)
    order = np.lexsort((random.random(rows.size), cluster))
    rank = np.empty(rows.size, np.int64)
    rank[order] = np.arange(rows.size) - (np.cumsum(size) - size)[cluster[order]]
    kept = np.flatnonzero(rank < taken[cluster])
    figures = (images, np.bincount(stratum_of), spread, chosen)
    strata = tuple(Stratum(*kind, *row) for kind, *row in zip(kinds, *(f.tolist() for f in figures), strict=True))
    return LabelPlan(rows[kept], stratum_of[cluster[kept]], (expected / size)[cluster[kept]], strata)


def _strata(p: Float64, cluster: Int64, size: Int64, bins: int) -> tuple[Int64, list[tuple[int, int]]]:
    """Stratum of each cluster, and the category and bin of each stratum."""
    mean = np.stack([np.bincount(cluster, p[:, k]) for k in range(p.shape[1])], axis=1) / size[:, None]
    category, impurity = mean.argmax(axis=1), 1 - np.sum(mean**2, axis=1)
    bin_of = np.zeros(size.size, np.int64)
    for k in np.unique(category) if bins > 1 else ():
        bin_of[category == k] = quantile_codes(impurity[category == k], bins)
    key, stratum = np.unique(category * bins + bin_of, return_inverse=True)
    return np.asarray(stratum, np.int64), [divmod(k, bins) for k in key.tolist()]


def _allocated(images: Int64, spread: Float64, budget: int) -> Int64:
    least = np.minimum(images, _LEAST)
    budget = min(budget, int(images.sum()))
    if budget < least.sum():
        raise ConfigError(
            f"a budget of {budget} labels is below {least.sum()}, two a stratum: raise it or take fewer bins"
        )
    n, is_free = least.astype(np.float64), np.ones(images.size, np.bool_)
    while is_free.any():
        rest = budget - least[~is_free].sum()
        n[is_free] = capped_shares((images * spread)[is_free], images[is_free].astype(np.float64), float(rest))
        if np.all(n >= least):
            break
        is_free &= n > least
        n[~is_free] = least[~is_free]
    whole = np.floor(n + 1e-9).astype(np.int64)
    whole[np.argsort(whole - n, kind="stable")[: budget - int(whole.sum())]] += 1
    return np.asarray(whole, np.int64)


def _drawn(size: Int64, n: int, random: np.random.Generator) -> tuple[Int64, Float64]:
    """Images taken from each cluster, n in all, and their expected number."""
    rounds = int(np.searchsorted(np.cumsum(_rounds(size)), n, side="right"))
    taken = np.minimum(size, rounds)
    left = n - int(taken.sum())
    more = np.flatnonzero(size > rounds)
    chance = np.zeros(size.size)
    if left:
        chance[more] = capped_shares(size[more].astype(np.float64), np.ones(more.size), float(left))
        chance[chance > 1 - 1e-12] = 1
        taken[chance == 1] += 1
        order = random.permutation(np.flatnonzero((chance > 0) & (chance < 1)))
        left -= int(np.sum(chance == 1))
        ends = np.cumsum(chance[order])[:-1]
        taken[order[np.searchsorted(ends, random.random() + np.arange(left), side="right")]] += 1
    return taken, np.minimum(size, rounds) + chance


def _rounds(size: Int64) -> Int64:
    """Clusters that have a first image, a second, and so on."""
    return np.asarray(np.cumsum(np.bincount(size)[::-1])[::-1][1:], np.int64)
