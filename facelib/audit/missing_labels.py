"""What missing labels leave open: bounds of shares without any assumption, and whether labels are missing at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.audit.association import Independence, bin_codes, cramers_v, independence, quantile_edges
from facelib.audit.diversity import unit_counts
from facelib.audit.intervals import Float64, wilson
from facelib.errors import ConfigError

Int64 = npt.NDArray[np.int64]


def worst_case_bounds(counts: npt.ArrayLike, missing: int) -> tuple[Float64, Float64]:
    """Least and greatest share each category can have among all images, whatever the missing labels are.

    `counts` (K,): labelled images of each category; `missing`: images without a label, ≥ 0. Returns (low, high)
    float64 (K,) in 0–1: low = n_k / (Σ n + missing), high = (n_k + missing) / (Σ n + missing), so that every width is
    the share of missing labels. Each bound can be reached, not all at once: the shares add up to 1. NaN without images.
    They hold for the very images counted; they are no confidence interval, and wrong labels are not covered. Raises
    ConfigError for a negative count.

    Source: C. F. Manski, "Anatomy of the selection problem", Journal of Human Resources 24 (1989) 343–360;
    C. F. Manski, Partial Identification of Probability Distributions (2003), chapter 1.
    """
    n = unit_counts(counts)
    if missing < 0:
        raise ConfigError(f"{missing} labels are missing: give a count of images, 0 or more")
    total = n.sum() + missing
    if total == 0:
        return np.full(n.size, np.nan), np.full(n.size, np.nan)
    return n / total, (n + missing) / total


@dataclass(frozen=True)
class LabelRates:
    """Share of labelled images by group; arrays (G,), a share and its interval NaN where a group has no image.

    `test` and `cramers_v` are of the table groups × (labelled, not), None with fewer than two groups that have images
    or when all or no images are labelled. Intervals (Wilson) and test take images as independent: where images of one
    subject or one upload are labelled together, intervals are too narrow, p too small and V a little too large.
    A large V shows that labels are missing for a reason; a small one shows nothing about what was not measured.
    """

    n: Int64
    n_labelled: Int64
    share: Float64
    low: Float64
    high: Float64
    cramers_v: float | None
    """Bias-corrected, 0–1 (`association.cramers_v`)."""
    test: Independence | None
    """Pearson's χ² and G (`association.independence`)."""


def label_rates(groups: npt.ArrayLike, is_labelled: npt.ArrayLike, count: int, confidence: float = 0.95) -> LabelRates:
    """Share of labelled images in each of `count` groups, such as sources of images, and whether it depends on them.

    `groups` (M,) int, 0 … `count` − 1; `is_labelled` (M,) bool. Raises ConfigError for other shapes, types or codes.
    """
    group, labelled = np.asarray(groups), np.asarray(is_labelled)
    if group.ndim != 1 or group.shape != labelled.shape or labelled.dtype != np.bool_:
        raise ConfigError("groups and labelled images do not fit: give a number and a truth value for every image")
    if group.dtype.kind not in "iu" or np.any((group < 0) | (group >= count)):
        raise ConfigError(f"a group is outside 0 … {count - 1}: number the groups from 0")
    n = np.bincount(group, minlength=count).astype(np.int64)
    n_labelled = np.bincount(group[labelled], minlength=count).astype(np.int64)
    table = np.stack([n_labelled, n - n_labelled], axis=1)
    share = np.divide(n_labelled, n, out=np.full(count, np.nan), where=n > 0)
    return LabelRates(n, n_labelled, share, *wilson(n_labelled, n, confidence), cramers_v(table), independence(table))


def label_rates_by_measure(
    values: npt.ArrayLike, is_labelled: npt.ArrayLike, bins: int = 5, confidence: float = 0.95
) -> tuple[LabelRates, Float64]:
    """`label_rates` over `bins` quantile bins of a measurement, and the bins − 1 inner edges, in its unit.

    `values` (M,) float, such as sharpness, brightness, degrees of pose or eye distance in pixels; NaN where it could
    not be measured, which is the group after the last bin. Equal values stay together, so bins may be empty.
    """
    edges = quantile_edges(values, bins)
    return label_rates(bin_codes(values, edges), is_labelled, bins + 1, confidence), edges
