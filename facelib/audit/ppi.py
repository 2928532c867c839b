"""Shares of categories over an archive of which only some images are labelled, by prediction-powered inference.

Predictions never stand in for labels. They say where the labelled images differ from the rest, and labelled images
alone say how wrong predictions are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from facelib.audit.intervals import Float64, wilson
from facelib.errors import ConfigError

Target = Literal["archive", "source"]
Int64 = npt.NDArray[np.int64]
_ROUNDING = 1e-9
"""Predictions of a smaller standard deviation are taken for constant."""


@dataclass(frozen=True)
class CategoryShares:
    """Estimates of the share of each category; arrays (K,) float64 in 0–1 unless said otherwise."""

    n_labelled: int
    n_unlabelled: int
    n_in_category: Int64
    """Labelled images of each category, int64."""
    argmax_share: Float64
    """Share of all images for which the category is the most probable one (ties: the first). Not an estimate."""
    mean_probability: Float64
    """Mean predicted probability over all images. Not an estimate either."""
    labelled_share: Float64
    """Weighted share among the labelled images: the classical estimate."""
    labelled_low: Float64
    labelled_high: Float64
    share: Float64
    """The prediction-powered estimate. The shares of all categories need not add to 1: each has its own λ."""
    low: Float64
    high: Float64
    tuning: Float64
    """λ; 0: predictions were no help, and the estimate is the classical one."""


def category_shares(
    codes: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    target: Target,
    clusters: npt.ArrayLike | None = None,
    inclusion: npt.ArrayLike | None = None,
    strata: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> CategoryShares:
    """Share of each category among M images, of which a random sample is labelled.

    `codes` (M,) int: category 0 … K − 1, or −1 where the label is missing. `probabilities` (M, K) in 0–1: predictions
    f of every image, each by a model that has not seen the image's subject (`probe.cross_fitted`). `clusters` (M,):
    subject or cluster of each image; None: each image its own. `inclusion` (M,): the known probability π with which
    each labelled image came to be labelled, 0 < π ≤ 1, read where a label is; 1 for labels of any origin when the
    others are a random sample of the rest; None: a simple random sample, π = n / M. `strata` (M,): the stratum
    each labelled image was drawn from, read where a label is; None: one. **The labelled images must be a random sample
    in that sense: no prediction repairs labels that are missing for a reason.**

    With w = 1 / π, W = Σ w over labelled images, Y the indicator of the category:

        share = λ · mean of f over all images + Σ w (Y − λ f) / W, clipped to 0–1
        D(λ)  = Σ_g (Σ_{i in g} z_i)² over clusters g, the variance due to labelling only a part;
                z = √(1 − π) · w (Y − λ f − its weighted mean in the stratum) / W, 0 where π = 1
        λ     = argmin of D over 0 … 1, closed form; 0 where D(0) is 0

    Under simple random sampling this is PPI++ for a mean: its λ, on the mean over unlabelled images, is ours times
    (M − n) / M. The interval is Wilson's with n_eff for n; with p the classical share

        1 / n_eff = D / p (1 − p)                    target "archive": the share among these very images
        1 / n_eff = D / p (1 − p) + Σ_g m_g² / M²    target "source": the share where the archive came from,
                                                     m_g images of cluster g, all of one category

    "archive" has no width when all is labelled; "source" then has that of complete counts. Only "source" is of one
    kind with intervals of complete counts. With λ = 0, one π, one stratum and every image its own cluster, "source" is
    `wilson(count, n)`; as D(λ) falls to 0 it becomes `wilson` on all M. For D is put

        D(λ) + (1 − D(λ) / D(0)) · the mean over clusters of (Σ √(1 − π) w / W)²: as if one more label than seen
        contradicted its prediction; without it, intervals are too narrow when next to none does;
        per stratum times G_h / (G_h − 1), G_h its labelled clusters with π < 1 (with one: its mean is that of all),
        the whole times (1 − 1/n) and the square of t with G − H over t with n − 1 degrees of freedom, n images with
        π < 1 in G clusters and H strata;
        with repeated clusters at least D without them, times the ratio of both summed over all categories.

    A category that no labelled image with π < 1, or each, has: λ = 0, and Σ_g (Σ √(1 − π) w / W)² for D / p (1 − p).

    Intervals are NaN when G ≤ H, all but the predictions without a label. They do not cover wrong labels, labels
    missing for a reason, or the spread of λ; each covers its own category, not all together. For "archive" they are
    too wide when images were drawn singly and `clusters` repeat among the labelled: a cluster is taken as drawn as a
    whole. Raises ConfigError for arrays that do not fit.

    Sources: A. N. Angelopoulos, S. Bates, C. Fannjiang, M. I. Jordan, T. Zrnic, "Prediction-powered inference",
    Science 382 (2023) 669–674; A. N. Angelopoulos, J. C. Duchi, T. Zrnic, "PPI++: Efficient prediction-powered
    inference", arXiv:2311.01453 (λ); T. Zrnic, E. J. Candès, "Cross-prediction-powered inference", PNAS 121 (2024)
    (models trained on the same labels); C.-E. Särndal, B. Swensson, J. Wretman, "Model assisted survey sampling"
    (1992) (the regression estimator, weights, strata); E. L. Korn, B. I. Graubard, Survey Methodology 24 (1998)
    193–201 (effective size and degrees of freedom of shares); L. Kish, Survey Sampling (1965) (design effects).
    The one label more is ours; benchmark `partial_labels` measures what intervals cover.
    """
    if target not in ("archive", "source"):
        raise ConfigError(f"target is {target!r}: give archive or source")
    code, f = predictions(codes, probabilities)
    cluster = np.arange(code.size) if clusters is None else numbered(clusters, code.size, "clusters")
    stratum = np.zeros(code.size, np.int64) if strata is None else numbered(strata, code.size, "strata")
    rows = np.flatnonzero(code >= 0)
    found = np.full((7, f.shape[1]), np.nan)
    if rows.size:
        draw = _Draw(_inclusion(inclusion, code >= 0), cluster[rows], stratum[rows])
        y = (code[rows, None] == np.arange(f.shape[1])).astype(np.float64)
        tuning = draw.tuning(y, f[rows])
        of_source = float(np.sum((np.bincount(cluster) / code.size) ** 2)) if target == "source" else 0.0
        for part, factor in ((slice(0, 3), np.zeros_like(tuning)), (slice(3, 6), tuning)):
            error = y - factor * f[rows]
            share = np.clip(factor * f.mean(axis=0) + draw.weight @ error, 0, 1)
            inverse = of_source if rows.size == code.size else draw.inverse_size(y, error, confidence) + of_source
            found[part] = share, *_interval(share, np.broadcast_to(inverse, share.shape), confidence)
        found[6] = tuning
    return CategoryShares(
        int(rows.size),
        code.size - int(rows.size),
        np.bincount(code[rows], minlength=f.shape[1]).astype(np.int64),
        np.bincount(f.argmax(axis=1), minlength=f.shape[1]) / code.size,
        f.mean(axis=0),
        *found,
    )


class _Draw:
    """The labelled images as a random draw; arrays (n, K) hold a value of each for every category."""

    def __init__(self, pi: Float64, cluster: Int64, stratum: Int64) -> None:
        self.weight = 1 / pi / (1 / pi).sum()
        self._is_drawn = pi < 1
        self._by_chance = (np.sqrt(1 - pi) * self.weight)[self._is_drawn]
        stratum = stratum[self._is_drawn]
        self._images = _Units(np.arange(stratum.size), stratum)
        self._clusters = _Units(cluster[self._is_drawn], stratum)

    def tuning(self, y: Float64, f: Float64) -> Float64:
        """λ of each category (K,)."""
        a, b = (self._clusters.deviations(self._by_error(v)) for v in (y, f))
        square = np.sum(b**2, axis=0)
        slope = np.zeros(square.size)
        differs = square > _ROUNDING**2 * np.sum(self._by_chance**2)
        np.divide(np.sum(a * b, axis=0), square, out=slope, where=self._varies(y) & differs)
        return np.clip(slope, 0, 1)

    def inverse_size(self, y: Float64, error: Float64, confidence: float) -> Float64:
        """D / p (1 − p) of each category (K,), in all that is put for it."""
        if self._clusters.freedom < 1:
            return np.full(y.shape[1], np.nan)
        p, varies = self.weight @ y, self._varies(y)
        before, after = self._variance(y), self._variance(error)
        one = self._clusters.totals(self._by_chance[:, None])
        gain = np.zeros(p.size)
        np.divide(before - after, before, out=gain, where=before > 0)
        inverse = np.full(p.size, np.sum(one**2))
        np.divide(after + np.maximum(gain, 0) * np.mean(one**2), p * (1 - p), out=inverse, where=varies)
        few, many = t.ppf((1 + confidence) / 2, [self._clusters.freedom, self._images.size - 1])
        return np.asarray(inverse * (few / many) ** 2, np.float64)

    def _varies(self, y: Float64) -> npt.NDArray[np.bool_]:
        drawn = y[self._is_drawn]
        return np.asarray(drawn.any(axis=0) & ~drawn.all(axis=0))

    def _variance(self, values: Float64) -> Float64:
        """D (K,): of single images, times the design effect of clusters: of the category, of all, 1 at least."""
        z = self._by_error(values)
        single, own = (np.sum(u.deviations(z) ** 2, axis=0) for u in (self._images, self._clusters))
        if self._clusters.size == self._images.size or single.sum() == 0:
            return np.asarray(single, np.float64)
        least = single * max(1.0, float(own.sum() / single.sum()))
        return np.asarray(np.maximum(own, least), np.float64)

    def _by_error(self, values: Float64) -> Float64:
        z: Float64 = self._by_chance[:, None] * (values - self.weight @ values)[self._is_drawn]
        return z


class _Units:
    """Images or clusters as the units that were drawn, a cluster in two strata being two."""

    def __init__(self, unit: Int64, stratum: Int64) -> None:
        span = int(unit.max(initial=0)) + 1
        pairs, self._unit = np.unique(stratum * span + unit, return_inverse=True)
        self.size = pairs.size
        self._stratum, count = np.unique(pairs // span, return_inverse=True, return_counts=True)[1:]
        self._share = np.where(count > 1, 1 / np.maximum(count, 1), 0.0)
        factor = np.where(count > 1, count / np.maximum(count - 1, 1), 1.0)
        self._scale = np.sqrt(factor * (1 - 1 / max(unit.size, 1)))[self._stratum]
        self.freedom = self.size - max(int((count > 1).sum()), 1)

    def totals(self, z: Float64) -> Float64:
        """Sums (units, K) of values (n, K)."""
        sums = np.zeros((self.size, z.shape[1]))
        np.add.at(sums, self._unit, z)
        return sums

    def deviations(self, z: Float64) -> Float64:
        """Totals less their mean in the stratum, scaled so that their squares add up to the variance of the sum."""
        sums = self.totals(z)
        mean = np.zeros((self._share.size, z.shape[1]))
        np.add.at(mean, self._stratum, sums)
        centred: Float64 = (sums - (mean * self._share[:, None])[self._stratum]) * self._scale[:, None]
        return centred


def _interval(share: Float64, inverse_size: Float64, confidence: float) -> tuple[Float64, Float64]:
    n = np.divide(1, inverse_size, out=np.ones(share.size), where=inverse_size > 0)
    low, high = wilson(share * n, n, confidence)
    low, high = (np.where(inverse_size == 0, share, end) for end in (low, high))
    return np.where(np.isnan(inverse_size), np.nan, low), np.where(np.isnan(inverse_size), np.nan, high)


def predictions(codes: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[Int64, Float64]:
    """Labels (M,) int64 and probabilities (M, K) float64, or ConfigError where they do not fit each other."""
    f = np.asarray(probabilities, np.float64)
    if f.ndim != 2 or not f.size:
        raise ConfigError("probabilities have not two axes: give a row for every image, a column for every category")
    if not np.all((f >= 0) & (f <= 1)):
        raise ConfigError("a predicted probability is outside 0 … 1: give one of each category for every image")
    return label_codes(codes, *f.shape), f


def label_codes(codes: npt.ArrayLike, images: int, categories: int) -> Int64:
    """Labels (M,) int64 from 0, −1 where missing, or ConfigError."""
    code = np.asarray(codes)
    if code.shape != (images,):
        raise ConfigError(f"{code.size} labels meet {images} images: give one for every image, -1 where missing")
    if code.dtype.kind not in "iu" or np.any((code < -1) | (code >= categories)):
        raise ConfigError(f"a label is outside -1 … {categories - 1}: give numbers of categories, -1 where missing")
    return code.astype(np.int64)


def numbered(values: npt.ArrayLike, images: int, what: str) -> Int64:
    """The clusters, subjects or strata of images (M,) numbered from 0, int64, or ConfigError."""
    value = np.asarray(values)
    if value.shape != (images,):
        raise ConfigError(f"{value.size} {what} meet {images} images: give one for every image")
    return np.asarray(np.unique(value, return_inverse=True)[1], np.int64)


def _inclusion(inclusion: npt.ArrayLike | None, labelled: npt.NDArray[np.bool_]) -> Float64:
    """π of the labelled images."""
    if inclusion is None:
        return np.full(int(labelled.sum()), labelled.mean())
    pi = np.asarray(inclusion, np.float64)
    if pi.shape != labelled.shape or not np.all((pi[labelled] > 0) & (pi[labelled] <= 1)):
        raise ConfigError("an inclusion probability of a labelled image is not in (0, 1]: give one for every image")
    return pi[labelled]
