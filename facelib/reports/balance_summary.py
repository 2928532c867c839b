"""Balance in single figures: one row per unit and attribute set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.stats import chi2

from facelib.audit import diversity, reference
from facelib.audit.identities import weighted_gini
from facelib.audit.moments import ShareMoments
from facelib.audit.resampling import share_intervals
from facelib.audit.unit_counts import Names, UnitCounts
from facelib.reports.balance import BalanceRules, audited
from facelib.reports.units_counted import Categories, Units
from facelib.reports.withheld import Withholding
from schemas.arrow import arrow_schema
from schemas.audit_tables import BALANCE_SUMMARY

SUMMARY_SCHEMA = arrow_schema(BALANCE_SUMMARY).remove_metadata().remove(0)
MOST_SPREAD = 0.05
"""Figures are made from withheld cells, spread evenly, as long as these hold no larger part of the units."""
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


def balance_summary(
    units: Mapping[str, Units],
    attributes: Sequence[str],
    categories: Categories,
    rules: BalanceRules | None = None,
    triples: Sequence[Names] = (),
    withheld: Withholding | None = None,
    agreement: Mapping[str, float] | None = None,
) -> pa.Table:
    """One row per unit for all units together (no attributes), then one per attribute set, under SUMMARY_SCHEMA.

    Arguments as for `balance.balance_cells`. agreement: by attribute, the share of the labelled faces of clusters with
    two or more that have their cluster's value. Everything after `n_missing` is over the units with a value for
    every attribute of the set and its declared cells; undefined figures are null. A figure never depends on a withheld
    count: the units of the withheld cells, whose number is public, are spread over these cells evenly
    (`is_approximate`), and where they are more than 5 % of the units the figures are null. Formulas and sources:
    METRICS.md.
    """
    chosen = rules or BalanceRules({})
    sets, counted, masks = audited(units, attributes, categories, chosen, triples, withheld)
    rows: list[dict[str, Any]] = []
    for unit, of in counted.items() if attributes else ():
        rows.append({"unit": unit, "attributes": [], "n": of.joint.units, **_spread(of)})
        for names in sets:
            row = _row(names, of, categories, chosen, masks[unit][names])
            if unit == "cluster" and len(names) == 1:
                row["agreement"] = (agreement or {}).get(names[0])
            rows.append({"unit": unit, "attributes": list(names), "n": of.joint.units, **row})
    return pa.Table.from_pylist(rows, schema=SUMMARY_SCHEMA)


def _spread(of: UnitCounts) -> dict[str, Any]:
    """How all units spread over identities."""
    if () not in of.moments or not of.joint.units:
        return {"n_missing": 0, "is_approximate": False}
    moments = of.moments[()].everyone
    return {
        "n_missing": 0,
        "identities": int(moments.identities[0]),
        "effective_identities": of.joint.units**2 / moments.squares,
        "identity_gini": weighted_gini(*moments.sizes(0)),
        "is_approximate": False,
    }


def spread_evenly(counts: Int64, hidden: Bool) -> Float64 | None:
    """Counts with those of the withheld cells replaced by their mean; None where these hold too many units."""
    rest = float(counts[hidden].sum())
    if rest > MOST_SPREAD * counts.sum() or hidden.all():
        return None
    return np.where(hidden, rest / max(1, hidden.sum()), counts)


def _row(names: Names, of: UnitCounts, categories: Categories, rules: BalanceRules, hidden: Bool) -> dict[str, Any]:
    counts = of.table(names)
    inner = (slice(None, -1),) * counts.ndim
    cells = counts[inner].size
    is_known = np.zeros(counts.shape, np.bool_)
    is_known[inner] = True
    tells = (hidden & is_known).any() and (hidden & ~is_known).any()
    missing = None if tells and hidden.any() else int(counts[~is_known].sum())
    row: dict[str, Any] = {"n_missing": missing, "categories": cells, "is_approximate": bool(hidden.any())}
    if not hidden.all():
        row["categories_present"] = int((counts[inner] > 0).sum())
    figures = spread_evenly(counts, hidden) if hidden.any() else counts.astype(np.float64)
    if figures is None or not figures[inner].sum():
        return row
    known = figures[inner].ravel()
    row |= {
        "shannon_nats": diversity.shannon(known),
        "evenness": diversity.evenness(known, cells),
        "simpson": diversity.simpson(known),
        "effective_categories": diversity.effective_categories(known),
        "imbalance_ratio": None if hidden[inner].any() else diversity.imbalance_ratio(known),
    }
    if not hidden.any() and names in of.moments:
        moments = of.moments[names].known
        row["effective_identities"] = float(counts[inner].sum()) ** 2 / moments.squares
    if len(names) == 1 and names[0] in rules.reference:
        shares = np.array([rules.reference[names[0]][c] for c in categories[names[0]]])
        row |= _against(known, shares, of.moments[names].known if names in of.moments else None)
    return row


def _against(known: Float64, shares: Float64, moments: ShareMoments | None) -> dict[str, Any]:
    """Distances from the reference shares, and the test of them."""
    extremes = reference.ratio_range(known, shares)
    row: dict[str, Any] = {
        "total_variation": reference.total_variation(known, shares),
        "kl_nats": reference.kullback_leibler(known, shares),
        "js_nats": reference.jensen_shannon(known, shares),
    }
    if extremes:
        row |= {"smallest_ratio": extremes[0], "largest_ratio": extremes[1]}
    whole = np.rint(known)
    fit = reference.goodness_of_fit(whole, shares)
    if fit is None:
        return row
    effect = 1.0 if moments is None else mean_design_effect(moments, shares)
    row |= {"chi2": fit.chi2, "g": fit.g, "df": fit.df, "cohen_w": fit.cohen_w, "mean_design_effect": effect}
    is_independent = math.isclose(effect, 1.0)
    row["p_value"] = fit.p_g if is_independent or not fit.df else float(chi2.sf(fit.g / effect, fit.df))
    return row


def mean_design_effect(moments: ShareMoments, shares: Float64) -> float:
    """δ̄ = Σ (1 − p_k) d_k / (S − 1) ≥ 1 over the S categories of reference > 0: χ² / δ̄ and G / δ̄ are about χ² (S − 1).

    Source: J. N. K. Rao and A. J. Scott, "The analysis of categorical data from complex sample surveys", Journal of
    the American Statistical Association 76 (1981) 221–230 (first-order correction, from the design effects d_k).
    """
    found = share_intervals(moments)
    used = np.flatnonzero(shares > 0)
    effect, share = found.design_effect[used], found.share[used]
    if used.size < 2 or np.isnan(effect).any():
        return 1.0
    return max(1.0, float(((1 - share) * effect).sum() / (used.size - 1)))
