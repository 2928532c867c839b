"""Association of two categorical variables, and of a category with a measurement cut into bins.

Tables are counts (r, c) of units whose two values are known; rows and columns without units are left out. Figures are
None when fewer than two rows or two columns remain. Association is not cause, and a table of one pair says nothing
about a third variable behind both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, rel_entr
from scipy.stats import random_table

from facelib.audit.diversity import unit_counts
from facelib.audit.reference import SMALL_EXPECTED, monte_carlo_p
from facelib.audit.resampling import Sparse, row_kinds
from facelib.errors import ConfigError

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
LARGEST_SIMULATED = 10**9
"""Most units of a table that is simulated: SciPy's generator fails on larger counts."""
_BLOCK = 1 << 20


def cramers_v(table: npt.ArrayLike) -> float | None:
    """Cramér's V with Bergsma's correction, 0–1: expectation near 0 for independent variables, 1 for equal ones.

    With φ² = χ² / n: V = √(max(0, φ² − (r−1)(c−1)/(n−1)) / min(r̃−1, c̃−1)), r̃ = r − (r−1)²/(n−1), c̃ likewise.
    Also None when each unit has a row or a column of its own. An interval: `facelib.audit.resampling.cluster_bootstrap`
    with the cells as categories.

    Source: W. Bergsma, "A bias-correction for Cramér's V and Tschuprow's T", Journal of the Korean Statistical
    Society 42 (2013) 323–328; H. Cramér, Mathematical Methods of Statistics (1946) for V.
    """
    counts = _filled(table)
    if counts is None:
        return None
    n = counts.sum()
    rows, columns = (s - 1 for s in counts.shape)
    least = min(rows - rows**2 / (n - 1), columns - columns**2 / (n - 1))
    if least <= 0:
        return None
    phi2 = float(_chi2(counts, _expected(counts)) / n) - rows * columns / (n - 1)
    return min(1.0, math.sqrt(max(0.0, phi2) / least))


@dataclass(frozen=True)
class Independence:
    """Tests that the two values of a unit are independent, with units as independent draws.

    chi2: Σ (n − e)² / e; g: 2 Σ n ln(n / e); both ≥ 0, with e = row total × column total / n. df: (r − 1)(c − 1).
    p_chi2, p_g: chance of a statistic as large or larger. `is_simulated`: because `smallest_expected` < 5 they
    come from random tables with the same totals, else from χ² with df degrees of freedom; None where simulation
    is called for and n exceeds 10⁹.
    """

    n: int
    df: int
    smallest_expected: float
    chi2: float
    g: float
    p_chi2: float | None
    p_g: float | None
    is_simulated: bool


def independence(table: npt.ArrayLike, replicates: int = 9999, seed: int = 0) -> Independence | None:
    """Pearson's χ² and the likelihood-ratio G of a table (r, c), without continuity correction.

    When an expected count is below 5, p-values are those of a permutation test: (1 + tables at least as extreme) /
    (1 + replicates), of random tables with the totals of this one. Images of one identity are not independent:
    over images these p-values are too small, `cluster_permutation` has the right one.

    Sources: as `facelib.audit.reference.goodness_of_fit`; W. M. Patefield, "Algorithm AS 159", Applied
    Statistics 30 (1981) 91–97 (random tables).
    """
    counts = _filled(table)
    if counts is None:
        return None
    expected = _expected(counts)
    chi2, g = float(_chi2(counts, expected)), float(_g(counts, expected))
    n, df, smallest = int(counts.sum()), (counts.shape[0] - 1) * (counts.shape[1] - 1), float(expected.min())
    if smallest >= SMALL_EXPECTED:
        return Independence(n, df, smallest, chi2, g, float(chdtrc(df, chi2)), float(chdtrc(df, g)), False)
    if n > LARGEST_SIMULATED:
        return Independence(n, df, smallest, chi2, g, None, None, False)
    extreme_chi2, extreme_g = 0, 0
    for drawn in _random_tables(counts.sum(axis=1), counts.sum(axis=0), replicates, seed):
        extreme_chi2 += _at_least(_chi2(drawn, expected), chi2)
        extreme_g += _at_least(_g(drawn, expected), g)
    p = monte_carlo_p(extreme_chi2, replicates), monte_carlo_p(extreme_g, replicates)
    return Independence(n, df, smallest, chi2, g, *p, True)


def cluster_permutation(
    group: npt.ArrayLike, groups: int, counts: Sparse, replicates: int = 999, seed: int = 0
) -> float | None:
    """p-value of independence when units come in clusters: (1 + b) / (1 + replicates), never 0.

    group: int (C,), the one group 0 … `groups` − 1 of each cluster, `groups` where it is missing (left out). counts:
    sparse int64 (C, c), the units of each cluster by category of the other variable, as of
    `facelib.audit.resampling.cluster_counts`. Groups are dealt anew to the clusters as wholes, and b is how often χ² of
    the table groups × categories is then as large as it is or larger. The hypothesis is that the group says nothing
    about a cluster's units, their number included: groups of unlike cluster sizes can be told apart by that alone.
    None when fewer than two groups or two categories have units. Raises ConfigError for other codes or shapes.

    Source: P. Good, Permutation, Parametric, and Bootstrap Tests of Hypotheses, 3rd ed. (2005); p as in `independence`.
    """
    code = np.asarray(group)
    if code.shape != (counts.shape[0],):
        raise ConfigError(f"{code.size} groups meet {counts.shape[0]} clusters: give the group of every cluster")
    if np.any((code < 0) | (code > groups)):
        raise ConfigError("a group code is out of range: count from 0, and use the number of groups for a missing one")
    kept = (code < groups) & (np.diff(counts.indptr) > 0)
    kind = row_kinds(counts[kept])
    kinds, first = np.unique(kind, return_index=True)
    units = counts[kept][first].toarray().astype(np.float64)
    dealt = np.zeros((groups, kinds.size))
    np.add.at(dealt, (code[kept], kind), 1)
    dealt = dealt[dealt.any(axis=1)]
    table = _filled(dealt @ units)
    if table is None:
        return None
    units = units[:, units.any(axis=0)]
    observed = float(_chi2(table, _expected(table)))
    extreme = 0
    for drawn in _random_tables(dealt.sum(axis=1), dealt.sum(axis=0), replicates, seed):
        tables = drawn @ units
        extreme += _at_least(_chi2(tables, _expected(tables)), observed)
    return monte_carlo_p(extreme, replicates)


def quantile_edges(values: npt.ArrayLike, bins: int) -> Float64:
    """The bins − 1 inner edges, float64 ascending, that cut the known values into equal parts as far as ties allow.

    Edge i is the smallest value with at least i / bins of the known values at or below it. NaN is unknown; without
    known values the edges are NaN. Raises ConfigError for fewer than two bins.
    """
    if bins < 2:
        raise ConfigError(f"{bins} bins cut nothing: give two or more")
    known = np.asarray(values, np.float64).ravel()
    known = known[~np.isnan(known)]
    if known.size == 0:
        return np.full(bins - 1, np.nan)
    return np.asarray(np.quantile(known, np.arange(1, bins) / bins, method="inverted_cdf"), np.float64)


def bin_codes(values: npt.ArrayLike, edges: npt.ArrayLike) -> Int64:
    """Bin of each value, int64 of its shape: the number of ascending inner edges below it; edges + 1 for NaN.

    Bin i holds edges[i − 1] < value ≤ edges[i]. The code of NaN is the number of bins, as for a missing category.
    Raises ConfigError for edges that descend.
    """
    cuts, v = np.asarray(edges, np.float64), np.asarray(values, np.float64)
    if np.any(np.diff(cuts) < 0):
        raise ConfigError("the edges of bins descend: sort them")
    return np.where(np.isnan(v), cuts.size + 1, np.searchsorted(cuts, v, side="left")).astype(np.int64)


def quantile_codes(values: npt.ArrayLike, bins: int) -> Int64:
    """`bin_codes` at `quantile_edges`: 0 … bins − 1, `bins` for NaN. Equal values stay together; bins may be empty."""
    return bin_codes(values, quantile_edges(values, bins))


def holm(p_values: npt.ArrayLike) -> Float64:
    """Holm's adjusted p-values of one family, float64 (tests,), 0–1: rejecting those ≤ α errs at all with chance ≤ α.

    Holds for tests that depend on each other in any way. NaN stays NaN and counts for no test of the family.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6 (1979) 65–70.
    """
    p = np.asarray(p_values, np.float64)
    known = np.nonzero(~np.isnan(p))[0]
    if p.ndim != 1 or np.any((p[known] < 0) | (p[known] > 1)):
        raise ConfigError("a p-value is outside 0–1: give the p-values of one family as a list")
    order = known[np.argsort(p[known], kind="stable")]
    adjusted = np.full(p.size, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(order.size, 0, -1)), 1.0)
    return adjusted


def _filled(table: npt.ArrayLike) -> Float64 | None:
    counts = np.asarray(table, np.float64)
    if counts.ndim != 2:
        raise ConfigError(f"a table of counts has {counts.ndim} axes: give rows and columns")
    counts = unit_counts(counts).reshape(counts.shape)
    counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    return counts if min(counts.shape) > 1 else None


def _expected(tables: Float64) -> Float64:
    rows, columns = tables.sum(axis=-1, keepdims=True), tables.sum(axis=-2, keepdims=True)
    return np.asarray(rows * columns / rows.sum(axis=-2, keepdims=True))


def _chi2(tables: Float64, expected: Float64) -> Float64:
    return np.asarray(((tables - expected) ** 2 / expected).sum(axis=(-2, -1)))


def _g(tables: Float64, expected: Float64) -> Float64:
    return np.asarray(np.maximum(2 * rel_entr(tables, expected).sum(axis=(-2, -1)), 0.0))


def _at_least(drawn: Float64, observed: float) -> int:
    return int((drawn >= observed * (1 - 1e-9)).sum())


def _random_tables(rows: Float64, columns: Float64, replicates: int, seed: int) -> Iterator[Float64]:
    """Blocks (b, r, c) of random tables with these totals, `replicates` in all."""
    rng = np.random.default_rng(seed)
    tables = random_table(rows.astype(np.int64), columns.astype(np.int64))
    step = max(1, _BLOCK // (rows.size * columns.size))
    for start in range(0, replicates, step):
        yield np.asarray(tables.rvs(size=min(step, replicates - start), random_state=rng), np.float64)
