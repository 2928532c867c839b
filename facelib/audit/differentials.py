"""Differentials: how far error rates differ between groups, each in one figure.

Rates are shares in 0–1: FMR over non-mated comparisons only, FNMR over mated comparisons only, both at one
threshold. A group without comparisons has no rate (NaN) and is left out; with fewer than two groups left a figure is
undefined. None of these figures tests equality: chance alone drives the rates of equal groups apart, the further the
fewer their comparisons and the more groups there are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError

Float64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def max_min_ratio(rates: npt.ArrayLike) -> float | None:
    """Largest over smallest rate, ≥ 1; 1 when all are equal. `rates` is (groups,).

    None with fewer than two known rates and when the smallest is 0. Raises ConfigError for a rate outside 0–1.
    Source: the factors of `inequity_rate`.
    """
    return defined(_max_min(_known(rates)))


def max_geometric_mean_ratio(rates: npt.ArrayLike) -> float | None:
    """Largest rate over the geometric mean of all, ≥ 1; 1 when all are equal. `rates` is (groups,).

    None with fewer than two known rates and when one of them is 0, which makes the geometric mean 0: rates of 0 are
    not raised to some least value. Raises ConfigError for a rate outside 0–1.

    Source: P. Grother, "Face Recognition Vendor Test (FRVT) Part 8: Summarizing Demographic Differentials",
    NISTIR 8429 (2022).
    """
    return defined(_max_geometric_mean(_known(rates)))


def gini(rates: npt.ArrayLike) -> float | None:
    """Gini coefficient with the factor for few groups: n/(n − 1) · Σᵢ Σⱼ |xᵢ − xⱼ| / (2 n² x̄), 0–1.

    0 when all n rates are equal, 1 when one group has all errors. `rates` is (groups,). None with fewer than
    two known rates and when all are 0. Raises ConfigError for a rate outside 0–1.

    Source: J. J. Howard, E. J. Laird, R. E. Rubin, Y. B. Sirotin, J. L. Tipton and A. R. Vemury, "Evaluating proposed
    fairness models for face recognition algorithms", arXiv:2203.05051 (2022).
    """
    return defined(_gini(_known(rates)))


def fairness_discrepancy_rate(fmr: npt.ArrayLike, fnmr: npt.ArrayLike, alpha: float = 0.5) -> float | None:
    """FDR = 1 − (α A + (1 − α) B), 0–1, with A and B the largest differences of FMR and of FNMR; 1 when all are equal.

    `fmr` and `fnmr` are (groups,) in the same order; a group counts when both its rates are known. None with fewer
    than two such groups. Raises ConfigError for a rate outside 0–1, an α not between 0 and 1, and two lengths. The
    differences are absolute: at a small FMR, A is smaller still and B alone decides.

    Source: T. de Freitas Pereira and S. Marcel, "Fairness in biometrics: a figure of merit to assess biometric
    verification systems", IEEE Transactions on Biometrics, Behavior, and Identity Science (2021).
    """
    return defined(_fairness_discrepancy(*_known_both(fmr, fnmr, alpha), alpha))


def inequity_rate(fmr: npt.ArrayLike, fnmr: npt.ArrayLike, alpha: float = 0.5) -> float | None:
    """IR = A^α · B^(1 − α), ≥ 1, with A and B the `max_min_ratio` of FMR and of FNMR; 1 when all are equal.

    Arguments and errors are as for `fairness_discrepancy_rate`. None with fewer than two groups and when the smallest
    FMR or the smallest FNMR is 0. Source: Grother, NISTIR 8429 (2022); Howard et al., arXiv:2203.05051 (2022).
    """
    return defined(_inequity(*_known_both(fmr, fnmr, alpha), alpha))


def garbe(fmr: npt.ArrayLike, fnmr: npt.ArrayLike, alpha: float = 0.5) -> float | None:
    """Gini aggregation rate for biometric equitability: α G(FMR) + (1 − α) G(FNMR), 0–1, with `gini` as G.

    0 when all are equal. Arguments and errors are as for `fairness_discrepancy_rate`. None with fewer than two groups
    and when all FMR or all FNMR are 0. Source: Howard et al., arXiv:2203.05051 (2022).
    """
    return defined(_garbe(*_known_both(fmr, fnmr, alpha), alpha))


def all_differentials(
    fmr: Float64, fnmr: Float64, fmr_groups: Flags, fnmr_groups: Flags, alpha: float = 0.5
) -> dict[str, Float64]:
    """Every figure by its name, (…,) each, of many sets of rates at once, (…, groups) each.

    The flags (groups,) name the groups that count for FMR and for FNMR; for a figure of both rates, those flagged
    twice. NaN where a figure is undefined or a rate that counts is NaN; infinity where the smallest rate is 0 but not
    the largest. Rates are taken as they are.
    """
    both = fmr_groups & fnmr_groups
    pair = (fmr[..., both], fnmr[..., both])
    found = {}
    for name, rates in (("fmr", fmr[..., fmr_groups]), ("fnmr", fnmr[..., fnmr_groups])):
        found[f"{name}_max_min_ratio"] = _max_min(rates)
        found[f"{name}_max_geometric_mean_ratio"] = _max_geometric_mean(rates)
        found[f"{name}_gini"] = _gini(rates)
    found["fairness_discrepancy_rate"] = _fairness_discrepancy(*pair, alpha)
    found["inequity_rate"] = _inequity(*pair, alpha)
    found["garbe"] = _garbe(*pair, alpha)
    return found


def _max_min(x: Float64) -> Float64:
    return _ratio(x.max(axis=-1), x.min(axis=-1)) if _are_groups(x) else _undefined(x)


def _max_geometric_mean(x: Float64) -> Float64:
    if not _are_groups(x):
        return _undefined(x)
    with np.errstate(divide="ignore"):
        geometric_mean = np.exp(np.log(x).mean(axis=-1))
    return np.maximum(_ratio(x.max(axis=-1), geometric_mean), 1.0)


def _gini(x: Float64) -> Float64:
    if not _are_groups(x):
        return _undefined(x)
    n = x.shape[-1]
    differences = np.abs(x[..., :, None] - x[..., None, :]).sum(axis=(-2, -1))
    return np.minimum(n / (n - 1) * _ratio(differences, 2 * n**2 * x.mean(axis=-1)), 1.0)


def _fairness_discrepancy(fmr: Float64, fnmr: Float64, alpha: float) -> Float64:
    if not _are_groups(fmr):
        return _undefined(fmr)
    return np.asarray(1 - (alpha * _difference(fmr) + (1 - alpha) * _difference(fnmr)), np.float64)


def _difference(x: Float64) -> Float64:
    return np.asarray(x.max(axis=-1) - x.min(axis=-1))


def _inequity(fmr: Float64, fnmr: Float64, alpha: float) -> Float64:
    return _max_min(fmr) ** alpha * _max_min(fnmr) ** (1 - alpha)


def _garbe(fmr: Float64, fnmr: Float64, alpha: float) -> Float64:
    return alpha * _gini(fmr) + (1 - alpha) * _gini(fnmr)


def _ratio(part: Float64, whole: Float64) -> Float64:
    """part / whole; of zero, infinity or, for 0 / 0, NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(part / whole, np.float64)


def _are_groups(x: Float64) -> bool:
    return x.shape[-1] >= 2


def _undefined(x: Float64) -> Float64:
    nan: Float64 = np.full(x.shape[:-1], np.nan)
    return nan


def _known(rates: npt.ArrayLike) -> Float64:
    x = np.asarray(rates, np.float64).ravel()
    x = np.compress(~np.isnan(x), x)
    if not np.all((x >= 0) & (x <= 1)):
        raise ConfigError("an error rate is outside 0 … 1: give errors divided by comparisons")
    return x


def _known_both(fmr: npt.ArrayLike, fnmr: npt.ArrayLike, alpha: float) -> tuple[Float64, Float64]:
    if not 0 < alpha < 1:
        raise ConfigError(f"the weight alpha of the false match rates is {alpha}: give a value between 0 and 1")
    first, second = (np.asarray(x, np.float64).ravel() for x in (fmr, fnmr))
    if len(first) != len(second):
        raise ConfigError(
            f"{len(first)} false match rates for {len(second)} false non-match rates: give both per group"
        )
    both = ~np.isnan(first) & ~np.isnan(second)
    return _known(first[both]), _known(second[both])


def defined(figure: Float64) -> float | None:
    """The figure as a float, None for NaN and infinity."""
    return float(figure) if np.isfinite(figure) else None
