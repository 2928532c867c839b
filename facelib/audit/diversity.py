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
    c = _counts(counts)
    total = c.sum()
    if total == 0:
        return None
    p = c[c > 0] / total
    return max(0.0, float(-(p * np.log(p)).sum()))


def evenness(counts: npt.ArrayLike, declared: int) -> float | None:
    """Pielou's evenness J = H / ln S, 0–1, with S = `declared` categories, empty ones included.

    None without units or with fewer than two declared categories. Raises ConfigError when more
    categories hold units than are declared.

    Source: E. C. Pielou, "The measurement of diversity in different types of biological
    collections", Journal of Theoretical Biology 13 (1966) 131–144.
    """
    present = int((_counts(counts) > 0).sum())
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
    c = _counts(counts)
    if c.sum() == 0:
        return None
    return float(c.sum() ** 2 / (c**2).sum())


def imbalance_ratio(counts: npt.ArrayLike) -> float | None:
    """Largest over smallest count of the declared categories, ≥ 1.

    None when a declared category is empty (the ratio would be infinite: look at the number of
    categories present instead) and when no category is declared.
    """
    c = _counts(counts)
    if c.size == 0 or c.min() == 0:
        return None
    return float(c.max() / c.min())


def _counts(counts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    c = np.asarray(counts, np.float64).ravel()
    if not np.all(np.isfinite(c) & (c >= 0)):
        raise ConfigError("a category count is negative or not a number: give counts of units")
    return c
