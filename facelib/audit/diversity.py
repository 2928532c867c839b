"""How evenly units spread over declared categories.

Every function takes the counts of all declared categories (any shape, zeros included, missing
values excluded) and returns a plain float, or None where the figure is undefined.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError


def shannon(counts: npt.ArrayLike) -> float | None:
    """Shannon entropy H = −Σ p ln p in nats, 0 … ln S; empty categories add nothing. None without units.

    Source: C. E. Shannon, "A mathematical theory of communication", Bell System Technical Journal
    27 (1948) 379–423. The plug-in estimate: biased low by about (S − 1) / 2N (Miller 1955).
    """
    c = unit_counts(counts)
    total = c.sum()
    if total == 0:
        return None
    p = c[c > 0] / total
    return max(0.0, float(-(p * np.log(p)).sum()))


def miller_madow(counts: npt.ArrayLike) -> float | None:
    """Shannon entropy corrected for few units: H + (m − 1) / 2N in nats, with m the categories that hold units.

    ≥ H, and above ln S for few units spread evenly; no evenness is formed from it. Removes the first-order
    error of H for independent units only as far as m is the number of categories that can occur. None without units.

    Source: G. A. Miller, "Note on the bias of information estimates", in H. Quastler (ed.), Information
    Theory in Psychology (1955) 95–100.
    """
    c = unit_counts(counts)
    entropy = shannon(c)
    return None if entropy is None else entropy + float(((c > 0).sum() - 1) / (2 * c.sum()))


def evenness(counts: npt.ArrayLike, declared: int) -> float | None:
    """Pielou's evenness J = H / ln S, 0–1, with S = `declared` categories, empty ones included.

    None without units or with fewer than two declared categories. Raises ConfigError when more
    categories hold units than are declared.

    Source: E. C. Pielou, "The measurement of diversity in different types of biological
    collections", Journal of Theoretical Biology 13 (1966) 131–144.
    """
    present = int((unit_counts(counts) > 0).sum())
    if present > declared:
        raise ConfigError(f"{present} categories hold units but only {declared} are declared: declare them all")
    entropy = shannon(counts)
    if entropy is None or declared < 2:
        return None
    return min(1.0, entropy / math.log(declared))


def effective_categories(counts: npt.ArrayLike) -> float | None:
    """Number of equally frequent categories of the same concentration: 1 / Σ p², 1 … S. None without units.

    Source: E. H. Simpson, "Measurement of diversity", Nature 163 (1949) 688 (Σ p²); its inverse is
    the diversity number N₂ of M. O. Hill, "Diversity and evenness", Ecology 54 (1973) 427–432.
    """
    c = unit_counts(counts)
    if c.sum() == 0:
        return None
    return float(c.sum() ** 2 / (c**2).sum())


def simpson(counts: npt.ArrayLike, replacement: bool = True) -> float | None:
    """Gini–Simpson index: the chance that two units drawn at random are of different categories, 0 … 1.

    With replacement 1 − Σ p², at most 1 − 1/S, which describes these units. Without replacement
    1 − Σ n(n − 1) / N(N − 1), whose expectation over independent draws of units is 1 − Σ p² of their source;
    None with fewer than two units. None without units.

    Source: E. H. Simpson, "Measurement of diversity", Nature 163 (1949) 688: λ = Σ p² and its estimate
    Σ n(n − 1) / N(N − 1); the index is 1 − λ.
    """
    c = unit_counts(counts)
    total, taken = c.sum(), 0 if replacement else 1
    if total <= taken:
        return None
    return max(0.0, float(1 - (c * (c - taken)).sum() / (total * (total - taken))))


def hill(counts: npt.ArrayLike, order: float) -> float | None:
    """Diversity number of order q ≥ 0: (Σ p^q)^(1 / (1 − q)), 1 … S; falls as q grows. None without units.

    q = 0 is the number of categories that hold units, q = 1 (the limit) exp H, q = 2 `effective_categories`,
    q = ∞ the reciprocal of the largest share. Raises ConfigError for a negative order.

    Source: M. O. Hill, "Diversity and evenness: a unifying notation and its consequences", Ecology 54
    (1973) 427–432.
    """
    if not order >= 0:
        raise ConfigError(f"the order of a diversity number is {order}: give 0 or more")
    c = unit_counts(counts)
    entropy = shannon(c)
    if entropy is None:
        return None
    p = c[c > 0] / c.sum()
    if order == 1:
        return math.exp(entropy)
    if math.isinf(order):
        return float(1 / p.max())
    top = float(p.max())
    return math.exp((order * math.log(top) + math.log(((p / top) ** order).sum())) / (1 - order))


def imbalance_ratio(counts: npt.ArrayLike) -> float | None:
    """Largest over smallest count of the declared categories, ≥ 1.

    None when a declared category is empty (the ratio would be infinite: look at the number of
    categories present instead) and when no category is declared.
    """
    c = unit_counts(counts)
    if c.size == 0 or c.min() == 0:
        return None
    return float(c.max() / c.min())


def unit_counts(counts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The counts as flat float64 (exact below 2⁵³). Raises ConfigError when one is negative, infinite or NaN."""
    c = np.asarray(counts, np.float64).ravel()
    if not np.all(np.isfinite(c) & (c >= 0)):
        raise ConfigError("a category count is negative or not a number: give counts of units")
    return c
